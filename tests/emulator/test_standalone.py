"""The emulator as a process of its own."""

import contextlib
import http.client
import json
import signal
import subprocess

import pytest
from attrs import define, evolve

from pagerduty_alerting.emulator import Emulator, Operation
from pagerduty_alerting.emulator.control.api import is_loopback
from pagerduty_alerting.emulator.standalone import request_line, serve, welcome
from tests.support.scripts import Script, script

SERVE = """
    import asyncio
    from pagerduty_alerting.emulator import Emulator, InitialState
    from pagerduty_alerting.emulator.standalone import serve
    asyncio.run(serve(Emulator({}), say))
"""


@define
class Served:
    """A server process and the variables that it printed."""

    process: Script
    environ: dict[str, str]

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        base = self.environ["CLOUDFLARE_BASE_URL"]
        connection = http.client.HTTPConnection(base.split("/")[2], timeout=20)
        headers = {"Authorization": f"Bearer {self.environ['CLOUDFLARE_API_TOKEN']}"}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    @property
    def services_path(self) -> str:
        return f"/client/v4/accounts/{self.environ['CLOUDFLARE_ACCOUNT_ID']}/alerting/v3/destinations/pagerduty"


@pytest.fixture
def start():
    """Starts server processes, and ends them with the test."""
    with contextlib.ExitStack() as processes:

        def start(*interpreter, **options):
            arguments = ", ".join(f"{name}={value}" for name, value in options.items())
            process = processes.enter_context(script(SERVE.format(arguments), {}, "-Werror", *interpreter))
            environ = {}
            while len(environ) < 4:
                line = process.read_line()
                assert line, process.end()
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").partition("=")
                    environ[name] = value
            return Served(process, environ)

        yield start


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_exits_cleanly(start, stop):
    served = start("-Xdev")
    assert served.ask("GET", served.services_path)[0] == 200
    token_id = json.loads(served.ask("POST", f"{served.services_path}/connect")[1])["result"]["id"]
    assert served.ask("GET", f"{served.services_path}/connect/{token_id}")[0] == 400
    served.process.interrupt(stop)
    status, output, errors = served.process.end()
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    assert [line.split()[1] for line in lines] == ["GET", "POST", "GET"]
    assert [line.split()[3] for line in lines] == ["200", "201", "400"]
    assert token_id not in output
    assert served.environ["CLOUDFLARE_API_TOKEN"] not in output


def test_its_initial_state_is_served(start):
    state = {"accounts": [{"services": ["Database"]}], "api_tokens": [{"token": "mine"}]}
    served = start(initial_state=f"InitialState.from_json({json.dumps(state)!r})")
    assert served.environ["CLOUDFLARE_API_TOKEN"] == "mine"
    assert b'"Database"' in served.ask("GET", served.services_path)[1]


def test_it_fails_at_the_given_rate(start):
    served = start(fail_rate=1.0, latency=0.001)
    assert served.ask("GET", served.services_path)[0] == 503
    assert "respond 503" in served.process.read_line()


async def test_signal_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    lines = []

    def stop_at_first_line(line):
        lines.append(line)
        if len(lines) == 1:
            signal.raise_signal(signal.SIGTERM)

    await serve(Emulator(), stop_at_first_line)
    assert signal.getsignal(signal.SIGTERM) is before
    assert lines[0].startswith("# Emulating")


async def test_a_request_line_has_no_secrets(api, call):
    token_id = await call.create()
    await call(Operation.CONNECT, token_id)
    api.on(Operation.LIST).hang()
    line = request_line(api.requests[-1])
    assert token_id not in line
    assert "/connect/*** 400 " in line
    pending = evolve(api.requests[-1], status=None, elapsed=None, fault="hang")
    assert request_line(pending).endswith(" --- 0.0 ms (hang)")
    slow = evolve(pending, elapsed=1.25)
    assert request_line(slow).endswith(" --- 1250.0 ms (hang)")


async def test_a_request_line_has_the_duration_in_milliseconds(api, call):
    await call(Operation.LIST)
    request = evolve(api.requests[-1], elapsed=0.01234)
    assert request_line(request).endswith(" 200 12.3 ms")


def test_the_printed_variables_make_connect_link_to_the_page():
    with Emulator() as api:
        pasted = "\n".join([*welcome(api), "env"])
        done = subprocess.run(["sh", "-c", pasted], capture_output=True, text=True, check=True, env={})
        exported = done.stdout.splitlines()
        assert f"PAGERDUTY_ALERTING_AUTHORIZE_URL={api.origin}/_emulator/#{{token}}" in exported
        assert {f"{name}={value}" for name, value in api.environ.items()} <= set(exported)


def test_serving_beyond_this_machine_prints_a_warning():
    with Emulator() as api:
        assert not any("Anyone" in line for line in welcome(api))
    with Emulator(host="0.0.0.0") as api:
        assert any("Anyone" in line for line in welcome(api))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "localhost", "api.localhost", "::1"])
def test_loopback_addresses_are_recognized(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "emulator.example", "2001:db8::1", ""])
def test_other_addresses_are_not_loopback_addresses(host):
    assert not is_loopback(host)
