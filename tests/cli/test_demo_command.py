"""`demo`: that it shows the whole job, and that its status is correct."""

import pytest

from pagerduty_alerting import AuthenticationError, ConnectedDestination, Envelope, IntegrationToken, Service
from pagerduty_alerting.cli.commands import demo
from pagerduty_alerting.emulator import Operation
from tests.support.command_line import on_terminal, run


def test_both_clients_walk_the_whole_job():
    ran = run("demo", settings={})
    assert (ran.status, ran.err) == (0, "")
    calls = [line.removeprefix("  ✓ ").rpartition(" (")[0] for line in ran.out.splitlines() if line.startswith("  ✓")]
    walk = [
        "list_services()",
        "create_integration_token()",
        "(a person chooses services in PagerDuty)",
        "connect(token)",
        "list_services()",
        "list_services() with a wrong API token",
        "delete_services()",
        "list_services()",
    ]
    assert calls == walk * 2


def test_it_needs_no_settings_and_takes_no_notice_of_wrong_ones():
    settings = {
        "CLOUDFLARE_BASE_URL": "nonsense",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    assert run("demo", settings=settings).status == 0


def test_a_terminal_gets_colours_and_wrapped_lines():
    with on_terminal("demo", settings={}, columns=60) as terminal:
        assert terminal.status() == 0
    assert "\x1b[32m" in terminal.shown
    assert max(len(line) for line in terminal.text.splitlines() if "/accounts/" not in line) <= 60


async def test_no_step_shows_a_secret(api, capsys):
    assert await demo.run_async(api, demo.Terminal.of_process().out)
    assert demo.run_sync(api, demo.Terminal.of_process().out)
    shown = capsys.readouterr().out
    assert shown
    assert not any(secret in shown for secret in (api.api_token, *(token.id for token in api.tokens())))


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("walk", ["async", "sync"])
async def test_a_step_that_goes_wrong_ends_the_walk_and_says_so(api, capsys, walk, operation):
    api.on(operation).respond(418)
    out = demo.Terminal.of_process().out
    complete = demo.run_sync(api, out) if walk == "sync" else await demo.run_async(api, out)
    assert not complete
    assert "expected" in capsys.readouterr().out.splitlines()[-1]


REFUSAL = "an AuthenticationError with code 10000"


@pytest.mark.parametrize(
    ("expected", "outcome"),
    [
        ("no services", None),
        ("no services", [Service("1", "Database")]),
        (demo.CHOSEN_SERVICES, []),
        (demo.CHOSEN_SERVICES, [Service("1", name) for name in demo.CHOSEN]),
        (demo.CHOSEN_SERVICES, [Service(name, name) for name in (*demo.CHOSEN, "More")]),
        ("an integration token", IntegrationToken("")),
        ("an authorized token", "pending"),
        ("a connected destination", IntegrationToken("1")),
        ("a connected destination", ConnectedDestination("")),
        (REFUSAL, AuthenticationError("no", method="GET", path="/", status=401)),
        (REFUSAL, AuthenticationError("no", method="GET", path="/", status=401, ray_id="1-AMS")),
        ("the envelope of a success", None),
        ("the envelope of a success", Envelope(False, None)),
    ],
)
def test_a_wrong_outcome_is_not_taken_for_a_right_one(expected, outcome):
    assert demo.expected_outcome(expected, outcome) is None
