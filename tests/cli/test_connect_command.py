"""`connect` as a process against the emulator; the tests authorize tokens like a person in PagerDuty."""

import pytest

from pagerduty_alerting import Client
from pagerduty_alerting.emulator import Emulator, Operation, Permission, TokenState
from tests.support.command_line import on_terminal, run

SHORT_POLLS = ("--poll-interval", "100ms")
NOT_YET = {"success": False, "errors": [{"code": 17302, "message": "not yet"}]}


def unused_token(api: Emulator) -> str:
    """Returns the id of the one token that was created."""
    (token,) = api.tokens()
    return token.id


def new_token(api: Emulator) -> str:
    """Creates a token, as an earlier run of the command would have."""
    with Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id) as client:
        return client.create_integration_token().id


def test_connect_waits_for_the_authorization_then_links_and_lists(api):
    gate = api.on(Operation.CONNECT).skip(2).once().hold()
    with on_terminal("connect", *SHORT_POLLS, settings=api.environ) as terminal:
        gate.wait_arrived()
        token = unused_token(api)
        api.authorize(token, services=["Database", "Website"])
        gate.release()
        terminal.wait_for("PagerDuty is connected.")
        terminal.wait_for("Database")
        terminal.wait_for("Website")
        assert terminal.status() == 0
    assert api.token_state(token) is TokenState.USED
    assert token in terminal.text


def test_waiting_shows_the_time_left_and_what_the_api_says(api):
    with on_terminal("connect", "--wait-timeout", "1h", *SHORT_POLLS, settings=api.environ) as terminal:
        terminal.wait_for("59:5")
        terminal.wait_for("left")
        terminal.wait_for("not authorized in PagerDuty yet")


def test_only_the_services_go_to_stdout(api):
    api.on(Operation.CONNECT).once().respond(429, headers={"Retry-After": "0"})
    gate = api.on(Operation.CONNECT).once().hold()
    with on_terminal("connect", *SHORT_POLLS, settings=api.environ, pipe_stdout=True) as terminal:
        gate.wait_arrived()
        api.authorize(unused_token(api), services=["Database"])
        gate.release()
        assert terminal.status() == 0
        out = terminal.stdout.read()
    (service,) = api.services()
    assert out == f"{service.id}\tDatabase\n"


def test_no_wait_prints_the_token_alone_to_stdout_and_the_next_step_to_stderr(api):
    ran = run("connect", "--no-wait", settings=api.environ)
    assert (ran.status, ran.out) == (0, f"{unused_token(api)}\n")
    assert ran.err.endswith("\n  pagerduty-alerting connect -\n")
    api.requests.assert_not_called(Operation.CONNECT)


def test_an_earlier_token_is_connected(api):
    token = new_token(api)
    api.authorize(token, services=["Database"])
    ran = run("connect", token, settings=api.environ)
    (service,) = api.services()
    assert (ran.status, ran.out) == (0, f"{service.id}\tDatabase\n")


def test_an_earlier_token_is_tried_once_without_wait(api):
    token = new_token(api)
    ran = run("connect", token, settings=api.environ)
    assert (ran.status, ran.out) == (1, "")
    assert "not authorized in PagerDuty yet" in ran.err
    assert ran.err.endswith("\n  pagerduty-alerting connect -\n")
    api.requests.assert_called(Operation.CONNECT, times=1)


def test_an_earlier_token_is_waited_for_with_wait(api):
    token = new_token(api)
    gate = api.on(Operation.CONNECT).skip(1).once().hold()
    with on_terminal("connect", token, "--wait", *SHORT_POLLS, settings=api.environ) as terminal:
        gate.wait_arrived()
        api.authorize(token, services=["Database"])
        gate.release()
        assert terminal.status() == 0


def test_an_unknown_token_is_not_waited_for(api):
    ran = run("connect", "0" * 32, "--wait", *SHORT_POLLS, settings=api.environ)
    assert ran.status == 1
    assert "404" in ran.err
    api.requests.assert_called(Operation.CONNECT, times=1)


def test_a_token_read_from_stdin_is_not_shown(api):
    token = new_token(api)
    ran = run("connect", "-", settings=api.environ, stdin=f"{token}\n")
    assert ran.status == 1
    assert token not in ran.out + ran.err
    assert ran.err.endswith("\n  pagerduty-alerting connect -\n")


def test_a_token_typed_at_the_prompt_is_not_echoed(api):
    token = new_token(api)
    api.authorize(token, services=["Database"])
    with on_terminal("connect", "-", settings=api.environ) as terminal:
        terminal.wait_for("Integration token (it is not shown):")
        terminal.type(f"{token}\n")
        assert terminal.status() == 0
    assert token not in terminal.text
    assert [service.name for service in api.services()] == ["Database"]


def test_the_wait_ends_at_its_timeout_and_shows_the_command_to_continue(api):
    ran = run("connect", "--wait-timeout", "0s", *SHORT_POLLS, settings=api.environ)
    assert ran.status == 3
    assert "not authorized in PagerDuty in time" in ran.err
    assert ran.err.endswith("\n  pagerduty-alerting connect -\n")


def test_ctrl_c_shows_the_command_to_continue(api):
    gate = api.on(Operation.CONNECT).skip(1).hold()
    options = ("--account-id", api.account_id)
    with on_terminal("connect", *options, "--poll-interval", "1h", settings=api.environ) as terminal:
        terminal.wait_for("not authorized in PagerDuty yet")
        terminal.press_ctrl_c()
        terminal.wait_for("Stopped.")
        assert terminal.status() == 130
    assert terminal.text.splitlines()[-1] == f"  pagerduty-alerting connect - --account-id={api.account_id}"
    assert gate.arrivals == 0


def test_ctrl_c_during_connect_says_that_it_may_have_been_carried_out(api):
    gate = api.on(Operation.CONNECT).hold()
    with on_terminal("connect", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        assert terminal.status() == 130
    assert "services list" in terminal.words
    assert unused_token(api) in terminal.text


def test_ctrl_c_before_anything_was_created_says_that_nothing_changed(api):
    gate = api.on(Operation.LIST).hold()
    with on_terminal("connect", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        terminal.wait_for("Nothing was changed.")
        assert terminal.status() == 130


def test_a_success_without_a_response_is_recognized_by_the_new_services(api):
    gate = api.on(Operation.CONNECT).once().hold()
    api.on(Operation.CONNECT).once().reset_after_acting()
    with on_terminal("connect", *SHORT_POLLS, settings=api.environ, pipe_stdout=True) as terminal:
        gate.wait_arrived()
        api.authorize(unused_token(api), services=["Database"])
        gate.release()
        terminal.wait_for("But there are new services")
        assert terminal.status() == 0
    api.requests.assert_called(Operation.CONNECT, times=1)


@pytest.mark.parametrize("fault", ["reset", "server error", "undocumented answer"])
def test_connect_is_not_repeated_while_it_may_have_been_carried_out(api, fault):
    order = api.on(Operation.CONNECT).once()
    if fault == "reset":
        order.reset_before_acting()
    elif fault == "server error":
        order.respond(502)
    else:
        order.wrong_shape()
    ran = run("connect", *SHORT_POLLS, settings=api.environ)
    assert ran.status == (3 if fault == "reset" else 1)
    assert "There is no new service so far." in ran.err
    assert ran.err.endswith("\n  pagerduty-alerting connect -\n")
    api.requests.assert_called(Operation.CONNECT, times=1)


def test_a_token_that_expires_during_the_wait_ends_it(api):
    gate = api.on(Operation.CONNECT).skip(1).once().hold()
    with on_terminal("connect", *SHORT_POLLS, settings=api.environ) as terminal:
        gate.wait_arrived()
        api.expire(unused_token(api))
        gate.release()
        terminal.wait_for("expired")
        assert terminal.status() == 1
    api.requests.assert_called(Operation.CONNECT, times=2)


def test_a_dry_run_creates_nothing(api):
    ran = run("connect", "--dry-run", settings=api.environ)
    assert ran.status == 0
    assert ran.out.startswith("Would create an integration token, wait up to 10 minutes")
    api.requests.assert_operations(Operation.LIST)


def test_the_link_follows_the_template(api):
    template = "https://example.org/authorize?token={token}&from=cloudflare"
    ran = run("connect", "--no-wait", "--authorize-url", template, settings=api.environ)
    assert f"https://example.org/authorize?token={ran.out.strip()}&from=cloudflare\n" in ran.err


def test_the_template_may_come_from_the_environment(api):
    settings = {**api.environ, "PAGERDUTY_ALERTING_AUTHORIZE_URL": "https://example.org/{token}"}
    ran = run("connect", "--no-wait", settings=settings)
    assert f"https://example.org/{ran.out.strip()}\n" in ran.err


def test_the_link_may_lead_to_the_page_of_the_emulator(api):
    settings = {**api.environ, "PAGERDUTY_ALERTING_AUTHORIZE_URL": api.authorize_url}
    ran = run("connect", "--no-wait", settings=settings)
    (link,) = [line for line in ran.err.splitlines() if "://" in line]
    assert link.startswith(f"{api.origin}/_emulator/")
    assert link.endswith(ran.out.strip())


def test_without_a_template_no_link_is_shown(api):
    ran = run("connect", "--no-wait", settings=api.environ)
    assert "://" not in ran.err


@pytest.mark.parametrize("template", ["https://example.org/", "javascript:{token}", "no url {token}"])
def test_an_invalid_template_is_refused_before_anything_is_sent(api, template):
    ran = run("connect", "--authorize-url", template, settings=api.environ)
    assert ran.status == 2
    assert "--authorize-url must" in ran.err
    api.requests.assert_not_called()


def test_credentials_without_the_permission_create_no_token(api):
    token = api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    ran = run("connect", settings={**api.environ, "CLOUDFLARE_API_TOKEN": token})
    assert ran.status == 1
    assert "Notifications Write" in ran.err
    assert api.tokens() == []


def test_a_create_of_unknown_outcome_is_not_repeated(api):
    api.on(Operation.CREATE).reset_after_acting()
    ran = run("connect", settings=api.environ)
    assert ran.status == 3
    assert "A token may have been created but not received." in ran.err
    assert len(api.tokens()) == 1


def test_a_failed_list_at_the_end_does_not_hide_the_success(api):
    token = new_token(api)
    api.authorize(token, services=["Database"])
    api.on(Operation.LIST).skip(1).respond(403)
    ran = run("connect", token, settings=api.environ)
    assert ran.status == 0
    assert "PagerDuty is connected." in ran.err
    assert "Warning: PagerDuty is connected, but the services cannot be listed." in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--poll-interval", "1ms"), "--poll-interval must be at least 100ms"),
        (("-", "--api-token-file", "-"), "Only one of TOKEN_ID and --api-token-file"),
        (("two words",), "TOKEN_ID must not contain white space"),
        (("--authorize-url", "https://[/{token}"), "--authorize-url must be"),
        (("--account-id", ".."), "--account-id must not be a dot segment"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_invalid_arguments_are_refused_before_anything_is_sent(api, arguments, message):
    ran = run("connect", *arguments, settings=api.environ)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err
    api.requests.assert_not_called()


def test_ctrl_c_during_create_says_that_there_may_be_a_token(api):
    gate = api.on(Operation.CREATE).hold()
    with on_terminal("connect", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        terminal.wait_for("A token may have been created but not received.")
        assert terminal.status() == 130


def test_an_unknown_outcome_that_cannot_be_checked_is_an_error(api):
    api.on(Operation.CONNECT).respond(502)
    api.on(Operation.LIST).skip(1).respond(403)
    ran = run("connect", settings=api.environ)
    assert ran.status == 1
    assert "Connect PagerDuty failed with 502" in ran.err
    assert "Run `pagerduty-alerting services list` later" in ran.err


def test_a_revoked_permission_ends_the_wait(api):
    api.on(Operation.CONNECT).skip(1).respond(403)
    ran = run("connect", *SHORT_POLLS, settings=api.environ)
    assert ran.status == 1
    assert "Notifications Write" in ran.err
    api.requests.assert_called(Operation.CONNECT, times=2)


@pytest.mark.parametrize("arguments", [("--no-wait",), ("a313ba7d3e464c0ea40808fafbc3816a",)], ids=["new", "before"])
def test_a_dry_run_describes_what_would_be_done(api, arguments):
    api.add_service("Database")
    ran = run("connect", "--dry-run", *arguments, settings=api.environ)
    would = "Would create and print an integration token for" if arguments == ("--no-wait",) else "Would connect"
    assert ran.out.startswith(would)
    assert "It has 1 PagerDuty service now." in ran.out


def test_the_wait_continues_after_a_network_outage(api):
    api.on(Operation.CONNECT).once().respond(400, json=NOT_YET)
    gate = api.on(Operation.CONNECT).once().hold()
    with on_terminal("connect", "--timeout=5", *SHORT_POLLS, settings=api.environ) as terminal:
        gate.wait_arrived()
        api.authorize(unused_token(api), services=["Database"])
        with api.refusing_connections():
            gate.release()
            terminal.wait_for("cannot connect to 127.0.0.1")
        terminal.wait_for("PagerDuty is connected.")
        assert terminal.status() == 0
