"""`emulator`: the standalone server behind the command; what the server does is tested elsewhere."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.support.command_line import Started, on_terminal, run, started


@contextmanager
def served(*options: str) -> Iterator[tuple[Started, dict[str, str]]]:
    """Serves on a free port; yields the command and the variables that it printed."""
    with started("emulator", "--port=0", *options, settings={}) as command:
        settings = {}
        while "CLOUDFLARE_BASE_URL" not in settings:
            line = command.stdout.readline()
            assert line, command.stderr.read()
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                (settings[name],) = shlex.split(value)
        yield command, settings


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_serves_until_it_is_stopped_and_exits_cleanly(stop):
    with served() as (command, settings):
        ran = run("services", "list", "--json", settings=settings)
        assert (ran.status, ran.out) == (0, "[]\n")
        request = command.stdout.readline()
        assert " GET /client/v4/accounts/" in request
        assert " 200 " in request
        command.process.send_signal(stop)
        assert command.wait() == 0
        assert command.stderr.read() == ""


def test_it_continues_to_serve_after_its_output_is_closed():
    with served() as (command, settings):
        command.stdout.close()
        assert [run("services", "list", settings=settings).status for _ in range(2)] == [0, 0]
        command.process.send_signal(signal.SIGTERM)
        assert command.wait() == 0
        assert command.stderr.read() == ""


def test_it_starts_with_the_state_of_a_seed_file(tmp_path):
    seed = tmp_path / "state.json"
    seed.write_text(json.dumps({"accounts": [{"services": ["Database"]}]}))
    with served("--seed", str(seed), "--latency", "1ms", "--fail-rate", "0") as (_, settings):
        assert run("services", "list", settings=settings).out.endswith("\tDatabase\n")


def test_it_responds_in_the_given_dialect():
    with served("--dialect=null-lists", "--dialect", "no-list-result-info") as (_, settings):
        assert run("services", "list", "--json", settings=settings).out == "[]\n"
        url = f"{settings['CLOUDFLARE_BASE_URL']}/accounts/{settings['CLOUDFLARE_ACCOUNT_ID']}"
        headers = {"Authorization": f"Bearer {settings['CLOUDFLARE_API_TOKEN']}"}
        with urlopen(Request(f"{url}/alerting/v3/destinations/pagerduty", headers=headers), timeout=30) as answer:
            assert json.load(answer) == {"result": None, "success": True, "errors": [], "messages": []}


def test_the_link_that_connect_shows_leads_to_the_form_that_authorizes():
    with (
        served() as (_, settings),
        on_terminal("connect", "--poll-interval=100ms", settings=settings, columns=160) as terminal,
    ):
        page = settings["PAGERDUTY_ALERTING_AUTHORIZE_URL"].removesuffix("{token}")
        terminal.wait_for(page)
        terminal.wait_for("left")
        token = re.search(rf"{re.escape(page)}([0-9a-f]+)", terminal.words)[1]
        with urlopen(page.rstrip("#"), timeout=30) as answer:
            assert f'id="{token}"'.encode() in answer.read()  # the browser scrolls to it
        form = urlencode({"token": token, "services": "Database"}).encode()
        urlopen(page.replace("#", "authorize"), form, timeout=30).close()
        terminal.wait_for("PagerDuty is connected.")
        assert terminal.status() == 0


def test_a_broken_seed_file_is_a_usage_error(tmp_path):
    seed = tmp_path / "state.json"
    seed.write_text('{"accounts": 7}')
    ran = run("emulator", "--seed", str(seed), settings={})
    assert (ran.status, ran.out) == (2, "")
    assert str(seed) in ran.err


def test_a_port_in_use_is_a_usage_error(api):
    port = api.origin.rpartition(":")[2]
    ran = run("emulator", "--port", port, settings={})
    assert (ran.status, ran.out) == (2, "")
    assert f"cannot listen on 127.0.0.1, port {port}" in ran.err


@pytest.mark.parametrize(
    "option",
    ["--port=70000", "--latency=soon", "--latency=-1s", "--fail-rate=2", "--seed=/nowhere/at/all", "--dialect=klingon"],
)
def test_invalid_options_are_usage_errors(option):
    ran = run("emulator", option, settings={})
    assert (ran.status, ran.out) == (2, "")
