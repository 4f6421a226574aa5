"""`audit` as a process against the emulator, and its progress by itself."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting.cli.commands.audit import Findings, RunProgress
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.command_line import on_terminal, run, started

UNKNOWN = "0" * 32


@pytest.fixture
def accounts(api: Emulator) -> list[str]:
    """Eight accounts; every other one has a service."""
    return [api.add_account(services=["Database"] * (number % 2)) for number in range(8)]


@pytest.fixture
def listed(tmp_path: Path, accounts: list[str]) -> Path:
    file = tmp_path / "accounts.txt"
    file.write_text("# our accounts\n\n" + "".join(f"  {account}\n" for account in accounts))
    return file


def results(text: str) -> dict[str, Any]:
    return {result["account_id"]: result for result in map(json.loads, text.splitlines())}


def test_accounts_with_nothing_connected_are_lines_when_piped(api, accounts, listed):
    ran = run("audit", "--accounts", str(listed), settings=api.environ)
    assert sorted(ran.out.splitlines()) == sorted(accounts[::2])
    assert (ran.status, ran.err) == (0, "8 accounts: 4 connected, 4 with nothing connected.\n")


def test_accounts_are_read_from_standard_input(api, accounts):
    ran = run("audit", "--accounts", "-", settings=api.environ, stdin="\n".join(accounts))
    assert (ran.status, sorted(ran.out.splitlines())) == (0, sorted(accounts[::2]))


def test_accounts_with_nothing_connected_are_a_table_on_a_terminal(api, accounts, listed):
    with on_terminal("audit", "--accounts", str(listed), settings=api.environ) as terminal:
        assert terminal.status() == 0
    assert "Accounts with nothing connected" in terminal.text
    assert all((account in terminal.text) == (account in accounts[::2]) for account in accounts)


def test_an_account_listed_twice_is_requested_once(api, accounts, listed):
    ran = run("audit", "--accounts", "-", settings=api.environ, stdin="\n".join(accounts * 2))
    assert ran.err.startswith("8 accounts")
    assert len(api.requests) == 8


def test_progress_shows_accounts_done_and_time_left(api, accounts, listed):
    gate = api.on(Operation.LIST).skip(3).hold()
    with on_terminal("audit", "--accounts", str(listed), settings=api.environ, pipe_stdout=True) as terminal:
        terminal.wait_for("3 of 8")
        terminal.wait_for("left")
        gate.release()
        assert terminal.status() == 0
    assert re.search(r"3 of 8 +\d+\.\d/s +\d+:\d\d left", terminal.words)


def test_progress_shows_delays_by_the_quota(api, accounts, listed):
    gone = {"Ratelimit": '"default";r=0;t=200', "Ratelimit-Policy": '"default";q=1200;w=300'}
    body = {"success": True, "errors": [], "messages": [], "result": []}
    api.on(Operation.LIST).respond(200, json=body, headers=gone)
    with on_terminal("audit", "--accounts", str(listed), settings=api.environ) as terminal:
        terminal.wait_for("held back for 3:")
        terminal.press_ctrl_c()
        assert terminal.status() == 130


def test_json_lines_are_written_one_by_one(api, accounts, listed):
    gate = api.on(Operation.LIST).skip(1).hold()
    with started("audit", "--accounts", str(listed), "--json", "--concurrency", "1", settings=api.environ) as command:
        first = command.stdout.readline()
        assert json.loads(first)["account_id"] == accounts[0]
        gate.release()
        rest = command.stdout.read()
        assert command.wait() == 0
    assert list(results(first + rest)) == accounts


def test_json_has_services_and_errors(api, accounts):
    (service,) = api.services(accounts[1])
    wanted = [accounts[0], accounts[1], UNKNOWN]
    ran = run("audit", "--accounts", "-", "--json", settings=api.environ, stdin="\n".join(wanted))
    found = results(ran.out)
    assert found[accounts[0]] == {"account_id": accounts[0], "services": [], "error": None}
    assert found[accounts[1]]["services"] == [{"id": service.id, "name": "Database"}]
    assert found[UNKNOWN]["services"] is None
    assert (found[UNKNOWN]["error"]["type"], found[UNKNOWN]["error"]["status"]) == ("NotFoundError", 404)


def test_control_characters_in_names_are_escaped(api):
    account = api.add_account(services=["a\x1b[31m\x9b5m\u202eb\nc\x7f"])
    ran = run("audit", "--accounts", "-", "--json", settings=api.environ, stdin=account)
    assert not set(ran.out) & set("\x1b\x9b\u202e\x7f")
    assert results(ran.out)[account]["services"][0]["name"] == "a\x1b[31m\x9b5m\u202eb\nc\x7f"


def test_a_failed_account_sets_the_status_and_does_not_hide_the_others(api, accounts):
    wanted = "\n".join([*accounts, UNKNOWN])
    ran = run("audit", "--accounts", "-", settings=api.environ, stdin=wanted)
    assert (ran.status, sorted(ran.out.splitlines())) == (1, sorted(accounts[::2]))
    assert f"{UNKNOWN}: List PagerDuty services failed with 404" in ran.err
    assert ran.err.endswith("9 accounts: 4 connected, 4 with nothing connected, 1 failed.\n")


def test_the_first_ten_of_many_failed_accounts_are_shown(api):
    wanted = "\n".join(f"{number:032x}" for number in range(25))
    ran = run("audit", "--accounts", "-", settings=api.environ, stdin=wanted)
    assert ran.err.count("failed with 404") == 10
    assert "15 more failed.\n" in ran.err


def test_the_exit_status_is_that_of_the_first_account_that_failed(api, accounts):
    api.on(Operation.LIST).when(lambda request: request.account_id == accounts[0]).reset_before_acting()
    command = ("audit", "--accounts=-", "--concurrency=1", "--timeout=1s")
    first_refused = run(*command, settings=api.environ, stdin=f"{UNKNOWN}\n{accounts[0]}\n")
    first_unreached = run(*command, settings=api.environ, stdin=f"{accounts[0]}\n{UNKNOWN}\n")
    assert (first_refused.status, first_unreached.status) == (1, 3)


def test_an_account_without_a_response_is_status_3(api, accounts, listed):
    api.on().hang()
    ran = run("audit", "--accounts", str(listed), "--timeout", "1", settings=api.environ)
    assert ran.status == 3


@pytest.mark.parametrize(("wanted", "status"), [(slice(None), 1), (slice(1, None, 2), 0)])
def test_fail_empty_fails_when_an_account_has_nothing_connected(api, accounts, wanted, status):
    ran = run("audit", "--accounts", "-", "--fail-empty", settings=api.environ, stdin="\n".join(accounts[wanted]))
    assert ran.status == status


def test_invalid_credentials_end_the_audit(api, accounts, listed):
    ran = run("audit", "--accounts", str(listed), settings={**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"})
    assert (ran.status, ran.out) == (1, "")
    assert "Error: List PagerDuty services failed with 401" in ran.err
    assert re.search(r"[1-6] not asked", ran.err)  # two or more were requested before the first response
    assert len(api.requests) < 8


def test_ctrl_c_shows_the_results_so_far_and_how_to_resume(api, accounts, listed):
    gate = api.on(Operation.LIST).skip(1).hold()
    with on_terminal("audit", "--accounts", str(listed), "--concurrency=1", settings=api.environ) as terminal:
        gate.wait_arrived(1)
        terminal.wait_for("1 of 8")
        terminal.press_ctrl_c()
        assert terminal.status() == 130
    assert accounts[0] in terminal.text
    assert "8 accounts: 0 connected, 1 with nothing connected, 7 not asked." in terminal.words
    assert "--resume" in terminal.words


def test_resume_requests_only_accounts_without_a_result(api, accounts, listed, tmp_path):
    earlier = run("audit", "--accounts", "-", "--json", settings=api.environ, stdin="\n".join(accounts[:3]))
    failed = json.dumps({"account_id": accounts[3], "services": None, "error": {"type": "APITimeoutError"}})
    file = tmp_path / "results.jsonl"
    file.write_text(f'{earlier.out}{failed}\n{{"account_id": "{accounts[4]}", "serv')
    before = len(api.requests)
    ran = run("audit", "--accounts", str(listed), "--json", "--resume", str(file), settings=api.environ)
    assert sorted(results(ran.out)) == sorted(accounts[3:])
    assert len(api.requests) - before == 5
    assert ran.err == (
        json.dumps({"warning": f"skipped 1 line of {file} that cannot be read as a result."})
        + "\n"
        + json.dumps({"summary": {"accounts": 8, "connected": 4, "empty": 4, "failed": 0, "not_asked": 0}})
        + "\n"
    )


def test_results_of_the_earlier_run_count(api, accounts, tmp_path):
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps({"account_id": accounts[0], "services": [], "error": None}))
    wanted = f"{accounts[0]}\n{accounts[1]}"
    ran = run("audit", "--accounts", "-", "--resume", str(file), "--fail-empty", settings=api.environ, stdin=wanted)
    assert (ran.status, ran.out) == (1, f"{accounts[0]}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accounts", "/nowhere/at/all"], "The file /nowhere/at/all of --accounts cannot be read: No such file"),
        (["--accounts", "-"], "There is no account in standard input: write one id per line."),
        (["--accounts", "-", "--api-token-file", "-"], "cannot hold both the accounts and the API token"),
        (["--accounts", "-", "--resume", "-"], "cannot hold both the accounts and the results"),
        ([], "Missing option '--accounts'"),
        (["--accounts", "-", "--concurrency", "0"], "'--concurrency'"),
    ],
)
def test_wrong_arguments_are_an_error_before_anything_is_sent(api, arguments, said):
    ran = run("audit", *arguments, settings=api.environ)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    api.requests.assert_not_called()


def test_a_byte_order_mark_is_not_a_part_of_an_account_or_of_a_result(api, accounts, tmp_path):
    listed, earlier = tmp_path / "accounts.txt", tmp_path / "earlier"
    listed.write_text("\r\n".join(accounts), encoding="utf-8-sig")
    first = run("audit", "--accounts", str(listed), "--json", settings=api.environ)
    earlier.write_text(first.out, encoding="utf-8-sig")
    again = run("audit", "--accounts", str(listed), "--json", "--resume", str(earlier), settings=api.environ)
    assert (first.status, len(first.out.splitlines())) == (0, len(accounts))
    assert (again.status, again.out) == (0, "")


def test_a_result_that_was_cut_within_a_character_is_requested_again(api, tmp_path):
    account, listed, earlier = api.add_account(services=["Überwachung"]), tmp_path / "accounts", tmp_path / "earlier"
    listed.write_text(account)
    whole = run("audit", "--accounts", str(listed), "--json", settings=api.environ).out.encode()
    earlier.write_bytes(whole[: whole.index("Ü".encode()) + 1])
    again = run("audit", "--accounts", str(listed), "--json", "--resume", str(earlier), settings=api.environ)
    assert (again.status, again.out.encode()) == (0, whole)
    assert f"skipped 1 line of {earlier}" in again.err


def test_a_missing_file_to_resume_is_an_error(api, listed):
    ran = run("audit", "--accounts", str(listed), "--resume", "/nowhere", settings=api.environ)
    assert ran.status == 2
    assert "of --resume cannot be read" in ran.err


def test_a_closed_pipe_ends_the_audit_without_a_message(api, accounts, listed):
    gate = api.on(Operation.LIST).skip(1).hold()
    with started("audit", "--accounts", str(listed), "--json", "--concurrency", "1", settings=api.environ) as command:
        command.stdout.readline()
        command.stdout.close()
        gate.release()
        assert command.stderr.read() == ""
        assert command.wait() == 141


# Progress.


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def response(remaining: int, reset_after: int, *, status: int = 200, retry_after: str | None = None) -> RawResponse:
    headers = {
        "Ratelimit": f'"default";r={remaining};t={reset_after}',
        "Ratelimit-Policy": '"default";q=1200;w=300',
    }
    return RawResponse(status, CIMultiDict(headers if retry_after is None else {"Retry-After": retry_after}), b"")


@pytest.mark.parametrize(
    ("remaining", "reset_after", "requests", "left"),
    [
        (600, 200, 300, "1:41"),  # the second half of a quota is spread over the time to the reset
        (600, 200, 600 + 1200 + 300, "8:21"),
        (0, 100, 10_000, "41:41"),
    ],
)
def test_the_time_left_depends_on_the_quota(remaining, reset_after, requests, left):
    progress = RunProgress(Findings(requests), Clock())
    progress.observe_response(response(remaining, reset_after))
    assert progress.words().split("  ")[2] == f"{left} left"


def test_progress_shows_the_wait_after_a_429():
    clock = Clock()
    progress = RunProgress(Findings(100), clock)
    progress.observe_response(response(1000, 200))
    progress.observe_response(response(0, 0, status=429, retry_after="250"))
    clock.now = 100.0
    assert "2:30 left  held back for 2:30" in progress.words()
    clock.now = 251.0
    assert "held back" not in progress.words()


def test_progress_shows_no_wait_after_a_429_without_retry_after():
    progress = RunProgress(Findings(100), Clock())
    progress.observe_response(RawResponse(429, CIMultiDict(), b""))
    assert "held back" not in progress.words()


def test_without_a_quota_the_time_left_depends_on_the_rate():
    clock = Clock()
    progress = RunProgress(Findings(100), clock)
    for _ in range(20):
        progress.findings.add("a", None, is_empty=False)
    clock.now = 10.0
    assert progress.words() == "20 of 100  2.0/s  0:40 left"


def test_accounts_of_an_earlier_run_do_not_count_for_the_rate():
    clock, findings = Clock(), Findings(100)
    for _ in range(50):
        findings.add("earlier", None, is_empty=False)
    progress = RunProgress(findings, clock)
    for _ in range(10):
        findings.add("now", None, is_empty=False)
    clock.now = 5.0
    assert progress.words() == "60 of 100  2.0/s  0:20 left"


def test_the_rate_is_that_of_the_last_seconds():
    clock, findings = Clock(), Findings(1000)
    progress = RunProgress(findings, clock)
    for seconds in range(1, 61):
        clock.now = float(seconds)
        for _ in range(10 if seconds <= 30 else 1):
            findings.add("a", None, is_empty=False)
        words = progress.words()
    assert "1.0/s" in words
