"""`--json`: the documented shapes of results, warnings and errors."""

import json
from typing import Any

import pytest

from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.command_line import Ran, on_terminal, run

ERROR_FIELDS = {"account_id", "type", "message", "status", "codes", "ray_id", "attempts", "next_command"}


def error_in(ran: Ran) -> dict[str, Any]:
    """Returns the one error that is a line on stderr."""
    (error,) = [said["error"] for said in map(json.loads, ran.err.splitlines()) if "error" in said]
    return error


def a_service(api: Emulator) -> dict[str, str]:
    service = api.add_service("Database")
    return {"id": service.id, "name": service.name}


def test_services_of_several_accounts_are_one_array_and_each_failure_one_line(api):
    service, unknown = a_service(api), "0" * 32
    options = [f"--account-id={account}" for account in (unknown, api.account_id)]
    ran = run("services", "list", "--json", *options, settings=api.environ)
    assert (ran.status, json.loads(ran.out)) == (1, [{"account_id": api.account_id, **service}])
    error = error_in(ran)
    assert set(error) == ERROR_FIELDS
    assert (error["account_id"], error["type"], error["status"], error["codes"]) == (
        unknown,
        "NotFoundError",
        404,
        [7003],
    )
    assert error["ray_id"]


@pytest.mark.parametrize(("flag", "deleted"), [("--yes", True), ("--dry-run", False)])
def test_delete_shows_which_services_and_whether_they_are_deleted(api, flag, deleted):
    service = a_service(api)
    ran = run("services", "delete", flag, "--json", settings=api.environ)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == {"account_id": api.account_id, "deleted": deleted, "services": [service]}
    assert (api.services() == []) is deleted


def test_delete_of_nothing_deletes_nothing(api):
    ran = run("services", "delete", "--yes", "--json", settings=api.environ)
    assert json.loads(ran.out) == {"account_id": api.account_id, "deleted": False, "services": []}


def test_connect_without_waiting_prints_the_token_and_the_next_command(api):
    template = "https://pages.example/{token}"
    ran = run("connect", "--no-wait", "--json", f"--authorize-url={template}", settings=api.environ)
    (token,) = api.tokens()
    assert ran.status == 0
    assert json.loads(ran.out) == {
        "account_id": api.account_id,
        "connected": False,
        "token": token.id,
        "authorize_url": f"https://pages.example/{token.id}",
        "next_command": "pagerduty-alerting connect -",
    }


def test_connect_shows_what_is_connected(api):
    created = run("connect", "--no-wait", settings=api.environ)
    api.authorize(created.out.strip(), services=["Database"])
    ran = run("connect", "-", "--json", settings=api.environ, stdin=created.out)
    (service,) = api.services()
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "account_id": api.account_id,
        "connected": True,
        "services": [{"id": service.id, "name": "Database"}],
    }


def test_connect_succeeds_although_the_services_cannot_be_listed(api):
    created = run("connect", "--no-wait", settings=api.environ)
    api.authorize(created.out.strip(), services=["Database"])
    api.on(Operation.LIST).skip(1).respond(403)
    ran = run("connect", "-", "--json", settings=api.environ, stdin=created.out)
    assert ran.status == 0
    assert json.loads(ran.out) == {"account_id": api.account_id, "connected": True, "services": None}
    assert list(json.loads(ran.err)) == ["warning"]


def test_a_failed_connect_shows_the_command_to_continue(api):
    created = run("connect", "--no-wait", settings=api.environ)
    ran = run("connect", "-", "--json", settings=api.environ, stdin=created.out)
    assert (ran.status, ran.out) == (1, "")
    error = error_in(ran)
    assert (error["type"], error["status"]) == ("BadRequestError", 400)
    assert error["next_command"] == "pagerduty-alerting connect -"


def test_a_dry_run_of_connect_lists_the_steps(api):
    service = a_service(api)
    shown = json.loads(run("connect", "--dry-run", "--json", settings=api.environ).out)
    assert (shown["connected"], shown["services"]) == (False, [service])
    assert [step.split()[0] for step in shown["would"]] == ["create", "wait", "connect"]


def test_doctor_lists_every_check(api):
    shown = json.loads(run("doctor", "--json", settings=api.environ).out)
    assert shown["ok"] is True
    assert shown["checks"][0] == {
        "name": "Base URL",
        "ok": True,
        "detail": f"{api.url} (from CLOUDFLARE_BASE_URL)",
        "advice": None,
    }
    assert all(set(check) == {"name", "ok", "detail", "advice"} for check in shown["checks"])


def test_doctor_shows_what_is_wrong_and_what_to_do(api):
    ran = run("doctor", "--json", settings={**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"})
    shown = json.loads(ran.out)
    (wrong,) = [check for check in shown["checks"] if not check["ok"]]
    assert (ran.status, shown["ok"], wrong["name"]) == (1, False, "Authentication")
    assert wrong["advice"]


@pytest.mark.parametrize(
    "command",
    [
        ("services", "list"),
        ("services", "delete", "--yes"),
        ("connect",),
        ("audit", "--accounts", "-"),
        ("doctor", "--report"),
    ],
    ids=" ".join,
)
def test_missing_settings_are_an_error_of_the_same_shape(command):
    json_flag = () if "--report" in command else ("--json",)
    ran = run(*command, *json_flag, settings={}, stdin="a\n")
    assert (ran.status, ran.out) == (2, "")
    error = error_in(ran)
    assert set(error) == ERROR_FIELDS - {"account_id"}
    assert (error["type"], error["status"], error["attempts"]) == ("UsageError", None, None)
    assert "There are no credentials" in error["message"]


def test_an_audit_that_ends_early_shows_the_summary_and_the_error(api):
    settings = {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}
    ran = run("audit", "--accounts=-", "--json", "--concurrency=1", settings=settings, stdin="a\nb\n")
    said = [json.loads(line) for line in ran.err.splitlines()]
    assert [list(line) for line in said] == [["summary"], ["error"]]
    assert said[0]["summary"]["accounts"] == 2
    assert (ran.status, said[1]["error"]["type"]) == (1, "AuthenticationError")


def test_ctrl_c_is_an_error_of_the_same_shape(api):
    gate = api.on(Operation.LIST).hold()
    with on_terminal("services", "list", "--json", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        assert terminal.status() == 130
    assert json.loads(terminal.text.splitlines()[-1])["error"]["type"] == "Stopped"
