"""`services list` and `services delete` as processes against the emulator."""

import json
import re

import pytest

from pagerduty_alerting.emulator import Emulator, Operation, Permission
from tests.support.command_line import on_terminal, run


def lines(api: Emulator) -> str:
    return "".join(f"{service.id}\t{service.name}\n" for service in api.services())


def test_services_are_listed_as_lines_of_id_and_name_when_piped(api):
    api.add_service("Database")
    api.add_service("Primary on-call")
    ran = run("services", "list", settings=api.environ)
    assert (ran.status, ran.out, ran.err) == (0, lines(api), "")


def test_services_are_listed_as_a_table_on_a_terminal(api):
    service = api.add_service("Database")
    with on_terminal("services", "list", settings=api.environ) as terminal:
        assert terminal.status() == 0
    assert "Name" in terminal.text
    assert any(service.id in line and "Database" in line for line in terminal.text.splitlines())


@pytest.mark.parametrize("columns", [30, 60, 100])
@pytest.mark.parametrize("accounts", [1, 2])
def test_ids_are_not_broken_and_names_are_complete_on_a_narrow_terminal(api, columns, accounts):
    service = {"id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "name": "Primary on-call of the payments department"}
    api.on(Operation.LIST).respond(200, json={"success": True, "errors": [], "messages": [], "result": [service]})
    ids = [api.account_id, api.add_account()][:accounts]
    options = [f"--account-id={account}" for account in ids]
    with on_terminal("services", "list", *options, settings=api.environ, columns=columns) as terminal:
        assert terminal.status() == 0
    assert service["id"] in terminal.text
    assert accounts == 1 or all(account in terminal.text for account in ids)
    without_ids = re.sub("|".join([service["id"], *ids]), "", terminal.text)
    assert service["name"].replace(" ", "") in re.sub(r"[│\s]", "", without_ids)


def test_json_contains_every_service_with_its_account(api):
    service = api.add_service("Bücher & Söhne")
    ran = run("services", "list", "--json", settings=api.environ)
    assert json.loads(ran.out) == [{"account_id": api.account_id, "id": service.id, "name": service.name}]
    assert service.name in ran.out


def test_no_services_are_an_empty_json_array(api):
    ran = run("services", "list", "--json", settings=api.environ)
    assert (ran.status, json.loads(ran.out)) == (0, [])


def test_without_services_stdout_is_empty_and_stderr_says_so(api):
    ran = run("services", "list", settings=api.environ)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == (
        f"PagerDuty is not connected with the account {api.account_id}. `pagerduty-alerting connect` connects it.\n"
    )


def test_several_accounts_are_listed_with_their_ids(api):
    other = api.add_account(services=["Website"])
    api.add_service("Database")
    ran = run("services", "list", "--account-id", other, "--account-id", api.account_id, settings=api.environ)
    (website,), (database,) = api.services(other), api.services()
    assert ran.out == f"{other}\t{website.id}\tWebsite\n{api.account_id}\t{database.id}\tDatabase\n"


def test_an_unknown_account_sets_the_status_and_does_not_hide_the_others(api):
    api.add_service("Database")
    ran = run("services", "list", "--account-id", "0" * 32, "--account-id", api.account_id, settings=api.environ)
    assert ran.status == 1
    assert ran.out == f"{api.account_id}\t{lines(api)}"
    assert ran.err.startswith("Error: List PagerDuty services failed with 404")


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["lines", "json"])
def test_control_characters_in_names_are_escaped(api, flags):
    api.add_service("a\x1b[31m\x9b5m\u202eb\tc\nd")
    ran = run("services", "list", *flags, settings=api.environ)
    assert ran.status == 0
    assert not set(ran.out) & set("\x1b\x9b\u202e")


def test_a_tab_in_a_name_does_not_add_a_field(api):
    api.add_service("Data\tbase")
    ran = run("services", "list", settings=api.environ)
    assert ran.out.rstrip("\n").split("\t") == [api.services()[0].id, "Data\\tbase"]


def test_delete_without_a_terminal_and_without_yes_is_refused_before_anything_is_sent(api):
    api.add_service("Database")
    ran = run("services", "delete", settings=api.environ, stdin="y\n")
    assert ran.status == 2
    assert "--yes" in ran.err
    api.requests.assert_not_called()


def test_delete_with_yes_deletes_without_asking(api):
    api.add_service("Database")
    ran = run("services", "delete", "--yes", settings=api.environ)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"Deleted the only PagerDuty service of the account {api.account_id}.\n"
    assert api.services() == []


def test_a_dry_run_of_delete_shows_what_would_be_deleted_and_deletes_nothing(api):
    api.add_service("Database")
    ran = run("services", "delete", "--dry-run", settings=api.environ)
    assert (ran.status, ran.out) == (0, lines(api))
    assert "no destination" in ran.err
    api.requests.assert_operations(Operation.LIST)


def test_delete_of_nothing_sends_no_delete(api):
    ran = run("services", "delete", "--yes", settings=api.environ)
    assert ran.status == 0
    assert "nothing to delete" in ran.err
    api.requests.assert_not_called(Operation.DELETE)


def test_delete_on_a_terminal_shows_the_services_and_the_consequence_before_it_asks(api):
    api.add_service("Database")
    api.add_service("Website")
    with on_terminal("services", "delete", settings=api.environ) as terminal:
        terminal.wait_for("Database")
        terminal.wait_for("Website")
        terminal.wait_for("no destination")
        terminal.wait_for("Delete? [y/N]")
        assert len(api.services()) == 2
        terminal.type("y\n")
        terminal.wait_for("Deleted both PagerDuty services")
        assert terminal.status() == 0
    assert api.services() == []


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "yess\n"], ids=["no", "enter", "end of file", "unclear"])
def test_anything_but_a_yes_deletes_nothing(api, answer):
    api.add_service("Database")
    with on_terminal("services", "delete", settings=api.environ) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type(answer)
        terminal.wait_for("Nothing was deleted.")
        assert terminal.status() == 130
    api.requests.assert_not_called(Operation.DELETE)


def test_ctrl_c_at_the_question_deletes_nothing(api):
    api.add_service("Database")
    with on_terminal("services", "delete", settings=api.environ) as terminal:
        terminal.wait_for("[y/N]")
        terminal.press_ctrl_c()
        terminal.wait_for("Nothing was deleted.")
        assert terminal.status() == 130
    api.requests.assert_not_called(Operation.DELETE)


def test_a_read_only_token_cannot_delete_and_the_error_names_the_permission(api):
    api.add_service("Database")
    token = api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    ran = run("services", "delete", "--yes", settings={**api.environ, "CLOUDFLARE_API_TOKEN": token})
    assert ran.status == 1
    assert "Notifications Write" in ran.err
    assert len(api.services()) == 1
