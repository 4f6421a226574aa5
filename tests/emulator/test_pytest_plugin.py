"""The pytest plugin in test suites in separate processes, with warnings as errors.

With them run the tests in examples/ and in the README, with only the configuration that they describe.
"""

import importlib.metadata
import subprocess
import sys

import pytest

from tests.support.examples import README_TESTS, source_of

pytest_plugins = ["pytester"]

MODULE = "pagerduty_alerting.emulator.pytest_plugin"
LOOP_SCOPE = "asyncio_default_fixture_loop_scope = function"  # otherwise pytest-asyncio warns
INSTALLED = any(point.value == MODULE for point in importlib.metadata.entry_points(group="pytest11"))

SYNCHRONOUS = """
def test_the_client_uses_the_emulator(pagerduty_client, pagerduty_api):
    token = pagerduty_client.create_integration_token()
    pagerduty_api.authorize(token, services=["Database"])
    pagerduty_client.connect(token)
    assert [service.name for service in pagerduty_client.list_services()] == ["Database"]
    pagerduty_api.requests.assert_all_use(pagerduty_api.api_token)

def test_each_test_starts_with_a_reset_emulator(pagerduty_client, pagerduty_api):
    pagerduty_api.requests.assert_not_called()
    assert pagerduty_client.list_services() == []
"""

DRIVING_A_LOOP = """
import asyncio

def test_a_synchronous_test_can_run_the_asynchronous_client_itself(pagerduty_async_client):
    async def main():
        async with pagerduty_async_client as client:
            return await client.list_services()
    assert asyncio.run(main()) == []

def test_unused(pagerduty_async_client):
    pass
"""

OWN_CLIENT = """
import os
from pagerduty_alerting import Client

def test_code_that_builds_its_own_client_finds_the_emulator(pagerduty_environ, pagerduty_api):
    assert pagerduty_environ == pagerduty_api.environ
    assert "CLOUDFLARE_API_KEY" not in os.environ
    with Client() as client:
        assert client.list_services() == []
    pagerduty_api.requests.assert_called("list", times=1)

def test_the_environment_is_restored():
    assert os.environ["CLOUDFLARE_API_KEY"] == "a key of the machine"
    assert "CLOUDFLARE_API_TOKEN" not in os.environ
"""

LEAVING_FAULTS = """
import http.client
import threading

def test_one(pagerduty_api, pagerduty_client):
    gate = pagerduty_api.on().hold()
    pagerduty_api.on().respond(500)
    threading.Thread(target=ask, args=(pagerduty_api,)).start()
    gate.wait_arrived()

def ask(api):
    connection = http.client.HTTPConnection(api.origin.removeprefix("http://"), timeout=20)
    try:
        connection.request("GET", "/client/v4")
        connection.getresponse()
    except OSError:
        pass
    finally:
        connection.close()

def test_two(pagerduty_api, pagerduty_client):
    assert pagerduty_api.orders == []
    assert pagerduty_client.list_services() == []
"""

OWN_SERVER = """
import pytest
from pagerduty_alerting.emulator import Emulator, IdStyle

@pytest.fixture(scope="session")
def pagerduty_server():
    with Emulator(id_style=IdStyle.DASHED) as api:
        yield api

def test_options_can_be_set_by_overriding_the_server(pagerduty_client):
    assert "-" in pagerduty_client.create_integration_token().id
"""

ASYNCHRONOUS = """
async def test_the_client_uses_the_emulator(pagerduty_async_client, pagerduty_api):
    token = await pagerduty_async_client.create_integration_token()
    pagerduty_api.authorize(token, services=["Database"])
    await pagerduty_async_client.connect(token)
    assert [service.name for service in await pagerduty_async_client.list_services()] == ["Database"]

class TestInAClass:
    async def test_each_test_starts_with_a_reset_emulator(self, pagerduty_async_client, pagerduty_api):
        pagerduty_api.requests.assert_not_called()
        assert await pagerduty_async_client.list_services() == []
"""

FAILING = """
async def test_it(pagerduty_async_client):
    assert await pagerduty_async_client.list_services() == ["no"]
"""

UNDER_ASYNCIO = "import pytest\npytestmark = pytest.mark.asyncio\n"
UNDER_ANYIO = """
import pytest
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs a test suite in a separate process, with warnings as errors."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run(*options, ini=LOOP_SCOPE, without=("anyio",), **files):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        pytester.makepyfile(**{f"test_{name}": source for name, source in files.items()})
        plugins = [] if INSTALLED else ["-p", MODULE]
        # Plugins that the suite does not need take longer to import than the suite takes.
        for unneeded in ("cacheprovider", "hypothesispytest", *without):
            plugins += ["-p", f"no:{unneeded}"]
        return pytester.runpytest_subprocess(*plugins, *options, timeout=240)

    return run


def test_every_synchronous_test_starts_with_a_reset_emulator_also_in_parallel(run, monkeypatch):
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDFLARE_API_KEY", "a key of the machine")
    suites = {"synchronous": SYNCHRONOUS, "driving": DRIVING_A_LOOP, "own_client": OWN_CLIENT, "faults": LEAVING_FAULTS}
    suites |= {"own_server": OWN_SERVER, "example": source_of("test_with_emulator"), "readme": README_TESTS}
    ran = run("-n", "2", "--dist", "loadfile", ini="", without=("anyio", "asyncio"), **suites)
    ran.assert_outcomes(passed=14 + README_TESTS.count("def test_"))


def test_asynchronous_tests_work_under_pytest_asyncio_in_strict_mode(run):
    example = source_of("test_with_emulator_asyncio")
    ran = run(without=(), marked=UNDER_ASYNCIO + ASYNCHRONOUS, example=example)
    ran.assert_outcomes(passed=4)


def test_asynchronous_tests_work_under_pytest_asyncio_in_auto_mode_and_leave_nothing_open_when_they_fail(run):
    example = source_of("test_with_emulator_asyncio_auto")
    ran = run(ini=f"{LOOP_SCOPE}\nasyncio_mode = auto", plain=ASYNCHRONOUS, failing=FAILING, example=example)
    ran.assert_outcomes(passed=4, failed=1)
    assert "Unclosed" not in ran.stdout.str() + ran.stderr.str()


def test_asynchronous_tests_work_under_anyio(run):
    example = source_of("test_with_emulator_anyio")
    ran = run(ini="", without=("asyncio",), marked=UNDER_ANYIO + ASYNCHRONOUS, example=example)
    ran.assert_outcomes(passed=4)


def test_the_readme_has_tests() -> None:
    assert "def test_" in README_TESTS


def test_the_fixtures_are_described():
    from pagerduty_alerting.emulator import pytest_plugin

    names = {"pagerduty_server", "pagerduty_api", "pagerduty_environ", "pagerduty_client", "pagerduty_async_client"}
    assert {name for name in vars(pytest_plugin) if name.startswith("pagerduty_")} == names
    assert all(getattr(pytest_plugin, name).__doc__ for name in names)


def test_the_plugin_imports_nothing_before_a_fixture_is_used():
    code = f"import {MODULE}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"aiohttp", "attrs", "attr", "cattrs", "orjson"}
    imported = {name for name in loaded if name.startswith("pagerduty_alerting")}
    assert imported == {"pagerduty_alerting", "pagerduty_alerting.emulator", MODULE}
