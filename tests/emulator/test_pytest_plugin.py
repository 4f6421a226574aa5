"""The pytest plugin, in test suites of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

MODULE = "pagerduty_alerting.emulator.pytest_plugin"
INSTALLED = any(point.value == MODULE for point in importlib.metadata.entry_points(group="pytest11"))

SYNCHRONOUS = """
def test_the_client_talks_to_the_emulator(pagerduty_client, pagerduty_api):
    token = pagerduty_client.create_integration_token()
    pagerduty_api.authorize(token, services=["Database"])
    pagerduty_client.connect(token)
    assert [service.name for service in pagerduty_client.list_services()] == ["Database"]
    pagerduty_api.requests.assert_all_use(pagerduty_api.api_token)

def test_each_test_starts_fresh(pagerduty_client, pagerduty_api):
    pagerduty_api.requests.assert_not_called()
    assert pagerduty_client.list_services() == []
"""

ASYNCHRONOUS = """
async def test_the_client_talks_to_the_emulator(pagerduty_async_client, pagerduty_api):
    token = await pagerduty_async_client.create_integration_token()
    pagerduty_api.authorize(token, services=["Database"])
    await pagerduty_async_client.connect(token)
    assert [service.name for service in await pagerduty_async_client.list_services()] == ["Database"]

class TestInAClass:
    async def test_each_test_starts_fresh(self, pagerduty_async_client, pagerduty_api):
        pagerduty_api.requests.assert_not_called()
        assert await pagerduty_async_client.list_services() == []
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs a test suite in a process of its own, with warnings as errors."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run(source, *options, ini=""):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n{ini}")
        pytester.makepyfile(source)
        plugin = [] if INSTALLED else ["-p", MODULE]
        return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *options, timeout=100)

    return run


def test_synchronous_tests_get_a_client_and_a_fresh_emulator(run):
    run(SYNCHRONOUS).assert_outcomes(passed=2)


def test_it_works_in_parallel(run):
    run(SYNCHRONOUS, "-n", "2").assert_outcomes(passed=2)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asynchronous_tests_work_under_pytest_asyncio(run, mode):
    marked = ASYNCHRONOUS if mode == "auto" else "import pytest\npytestmark = pytest.mark.asyncio\n" + ASYNCHRONOUS
    run(marked, ini=f"asyncio_mode = {mode}").assert_outcomes(passed=2)


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_asynchronous_tests_work_under_anyio(run):
    source = (
        "import pytest\npytestmark = pytest.mark.anyio\n"
        "@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n" + ASYNCHRONOUS
    )
    run(source).assert_outcomes(passed=2)


def test_a_failing_asynchronous_test_fails_and_leaves_nothing_open(run):
    source = """
async def test_it(pagerduty_async_client):
    assert await pagerduty_async_client.list_services() == ["no"]
"""
    result = run(source, ini="asyncio_mode = auto")
    result.assert_outcomes(failed=1)
    assert "Unclosed" not in result.stdout.str() + result.stderr.str()


def test_a_synchronous_test_may_drive_the_asynchronous_client_itself(run):
    source = (
        "import asyncio\n"
        "def test_it(pagerduty_async_client):\n"
        "    async def main():\n"
        "        async with pagerduty_async_client as client: return await client.list_services()\n"
        "    assert asyncio.run(main()) == []\n"
        "def test_unused(pagerduty_async_client): pass\n"
    )
    run(source).assert_outcomes(passed=2)


def test_faults_and_held_requests_do_not_reach_the_next_test(run):
    source = """
import threading

def test_one(pagerduty_api, pagerduty_client):
    gate = pagerduty_api.on().hold()
    pagerduty_api.on().respond(500)
    threading.Thread(target=ask, args=(pagerduty_api,)).start()
    gate.wait_arrived()

def ask(api):
    import http.client
    connection = http.client.HTTPConnection(api.origin.removeprefix("http://"), timeout=20)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except OSError:
        pass
    finally:
        connection.close()

def test_two(pagerduty_api, pagerduty_client):
    assert pagerduty_api.orders == []
    assert pagerduty_client.list_services() == []
"""
    run(source).assert_outcomes(passed=2)


def test_options_can_be_set_by_overriding_the_server(run):
    source = """
import pytest
from pagerduty_alerting.emulator import Emulator, IdStyle

@pytest.fixture(scope="session")
def pagerduty_server():
    with Emulator(id_style=IdStyle.DASHED) as api:
        yield api

def test_it(pagerduty_client):
    assert "-" in pagerduty_client.create_integration_token().id
"""
    run(source).assert_outcomes(passed=1)


def test_the_fixtures_are_described(run):
    result = run(SYNCHRONOUS, "--fixtures")
    result.stdout.fnmatch_lines(["pagerduty_api -- *", "pagerduty_client -- *", "pagerduty_async_client -- *"])


def test_the_plugin_imports_nothing_until_a_fixture_asks():
    code = f"import {MODULE}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"aiohttp", "attrs", "attr", "cattrs", "orjson"}
    ours = {name for name in loaded if name.startswith("pagerduty_alerting")}
    assert ours == {"pagerduty_alerting", "pagerduty_alerting.emulator", MODULE}
