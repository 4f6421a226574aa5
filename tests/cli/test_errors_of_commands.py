"""Exit statuses, error messages, and terminals and pipes of every kind."""

import os
import subprocess
from pathlib import Path

import pytest

from pagerduty_alerting import APIConnectionError
from pagerduty_alerting.cli.failures import exit_status_of, explanation
from pagerduty_alerting.cli.terminal import Terminal
from pagerduty_alerting.emulator import Operation
from tests.support.asleep import wait_until_asleep
from tests.support.command_line import COMMAND, SOURCE, on_terminal, run, started
from tests.support.scripts import PATIENCE, environment, script

ALL_KINDS = [("services", "list"), ("services", "list", "--json"), ("demo",), ("doctor",)]


def test_a_refusal_of_the_api_is_status_1_and_one_line_on_stderr_with_the_ray_id(api):
    ran = run("services", "list", settings={**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"})
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("Error: List PagerDuty services failed with 401 Unauthorized: Authentication error")
    assert ", ray " in ran.err


def test_an_undocumented_response_is_status_1(api):
    api.on(Operation.LIST).wrong_shape()
    assert run("services", "list", settings=api.environ).status == 1


def test_no_connection_is_status_3_and_the_message_names_doctor(api, closed_port):
    ran = run("services", "list", "--base-url", f"http://127.0.0.1:{closed_port}", "--timeout=5", settings=api.environ)
    assert (ran.status, ran.out) == (3, "")
    assert "`pagerduty-alerting doctor`" in ran.err


def test_a_timeout_is_status_3_and_the_message_names_the_option(api):
    api.on(Operation.LIST).hang()
    ran = run("services", "list", "--timeout", "0.5", settings=api.environ)
    assert ran.status == 3
    assert "no result within 0.5 s" in ran.err
    assert "--timeout" in ran.err


def test_the_exit_status_is_that_of_the_first_account_that_failed(api):
    other = api.add_account()
    api.on(Operation.LIST).when(lambda request: request.account_id == other).reset_before_acting()
    options = {account: f"--account-id={account}" for account in ("0" * 32, other)}
    first_refused = run("services", "list", "--timeout=1", *options.values(), settings=api.environ)
    first_unreached = run("services", "list", "--timeout=1", *reversed(options.values()), settings=api.environ)
    assert (first_refused.status, first_unreached.status) == (1, 3)


def test_the_message_has_the_number_of_attempts_and_the_reason_of_the_system(api, closed_port):
    ran = run("services", "list", "--base-url", f"http://127.0.0.1:{closed_port}", settings=api.environ)
    assert f"cannot connect to 127.0.0.1:{closed_port}: Connection refused (GET" in ran.err
    assert "Tried 5 times." in ran.err


def test_the_message_after_ctrl_c_starts_on_a_new_line(api):
    gate = api.on(Operation.LIST).hold()
    with on_terminal("services", "list", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        terminal.status()
    assert terminal.text == "^C\nStopped.\n"


def test_sigterm_ends_a_command_like_ctrl_c_and_shows_the_cursor_again(api):
    with on_terminal("connect", "--poll-interval=1h", settings=api.environ) as terminal:
        terminal.wait_for("not authorized in PagerDuty yet")
        terminal.terminate()
        assert terminal.status() == 143
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")
    assert terminal.text.splitlines()[-1] == "  pagerduty-alerting connect -"


def test_sigterm_ends_a_command_that_ignores_ctrl_c(api):
    """The shell starts commands in the background of a script that way."""
    gate = api.on(Operation.LIST).hold()
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND, "services", "list"]
    with subprocess.Popen(shell, env=environment(api.environ), stderr=subprocess.PIPE, text=True) as process:
        gate.wait_arrived()
        wait_until_asleep(process.pid)
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (143, "Stopped.\n")


def test_ctrl_c_during_a_call_is_status_130(api):
    gate = api.on(Operation.LIST).hold()
    with on_terminal("services", "list", settings=api.environ) as terminal:
        gate.wait_arrived()
        terminal.press_ctrl_c()
        terminal.wait_for("Stopped.")
        assert terminal.status() == 130
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("services", "list", "--nothing"),
        ("services",),
        (),
        ("connect", "a", "b"),
        ("emulator", "--port=x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_leaves_stdout_empty(arguments):
    ran = run(*arguments, settings={})
    assert (ran.status, ran.out) == (2, "")
    assert ran.err


def test_a_traceback_is_shown_only_when_verbose(api):
    settings = {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}
    assert "Traceback" not in run("services", "list", settings=settings).err
    assert "Traceback" in run("services", "list", "--verbose", settings=settings).err


def test_control_characters_in_error_messages_are_escaped(api):
    body = {"success": False, "errors": [{"code": 1000, "message": "a\x1b[2Jb\x9b5m\u202ec"}]}
    api.on(Operation.LIST).respond(400, json=body)
    ran = run("services", "list", "--verbose", settings=api.environ)
    assert ran.status == 1
    assert not set(ran.err) & set("\x1b\x9b\u202e")


def test_errors_are_wrapped_at_words_on_a_terminal(api):
    settings = {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}
    with on_terminal("services", "list", settings=settings, columns=60) as terminal:
        assert terminal.status() == 1
    lines = terminal.text.splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 60 or " " not in line.strip() or "/accounts/" in line for line in lines)


@pytest.mark.parametrize(
    "command", [("services", "list"), ("services", "list", "--json"), ("demo",), ("doctor",)], ids=" ".join
)
def test_a_closed_pipe_ends_the_command_without_a_message(api, command):
    api.add_service("Database")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with started(*command, settings=api.environ, stdout=writer) as closed:
            assert (closed.wait(), closed.stderr.read()) == (141, "")
    finally:
        os.close(writer)


def test_a_closed_pipe_causes_no_message_of_the_interpreter_at_exit(api):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "services", "list", "--json"],
            env=environment(api.environ),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr.decode()) == (141, "")


@pytest.mark.parametrize("command", [("services", "list"), ("demo",), ("doctor",)], ids=" ".join)
def test_piped_output_has_no_colours(api, command):
    api.add_service("Database")
    ran = run(*command, settings=api.environ)
    assert ran.status == 0
    assert "\x1b" not in ran.out + ran.err


def test_no_color_is_respected_on_a_terminal(api):
    with on_terminal("doctor", settings={**api.environ, "NO_COLOR": "1"}) as terminal:
        assert terminal.status() == 0
    assert "\x1b[3" not in terminal.shown


def test_there_are_colours_on_a_terminal_otherwise(api):
    with on_terminal("doctor", settings=api.environ) as terminal:
        assert terminal.status() == 0
    assert "\x1b[32m" in terminal.shown


def test_a_dumb_terminal_gets_no_commands_while_it_waits(api):
    gate = api.on(Operation.CONNECT).skip(1).once().hold()
    with on_terminal("connect", "--poll-interval=100ms", settings={**api.environ, "TERM": "dumb"}) as terminal:
        gate.wait_arrived()
        (token,) = api.tokens()
        api.authorize(token, services=["Database"])
        gate.release()
        assert terminal.status() == 0
    assert "\x1b" not in terminal.shown


@pytest.mark.parametrize(
    ("command", "encoding"),
    [
        (("services", "list"), "ascii"),
        (("services", "list", "--json"), "latin-1"),
        (("demo",), "ascii"),
        (("doctor",), "latin-1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_output_works_in_any_encoding(api, command, encoding):
    api.add_service("データベース")
    ran = run(*command, settings={**api.environ, "PYTHONIOENCODING": encoding}, encoding=encoding)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out


def test_tables_and_spinners_are_plain_in_an_encoding_without_line_characters(api):
    api.add_service("Database")
    with on_terminal("services", "list", settings={**api.environ, "PYTHONIOENCODING": "ascii"}) as terminal:
        assert terminal.status() == 0
    assert terminal.shown.isascii()
    assert "Database" in terminal.text


def test_a_full_disk_is_not_reported_as_a_bug(api):
    api.add_service("Database")
    with (
        Path("/dev/full").open("wb") as full,
        started("services", "list", settings=api.environ, stdout=full.fileno()) as command,
    ):
        error = command.stderr.read()
        assert (command.wait(), error) == (2, "Error: The operating system refused: No space left on device.\n")


@pytest.mark.parametrize(
    "command", [["connect"], ["doctor"], ["demo"], ["services", "delete", "--yes", "--json"]], ids=" ".join
)
def test_a_command_with_closed_stdout_fails_before_anything_is_sent(api, command):
    # As in an interpreter that starts with closed stdout, which the next test shows.
    closed = f"import os, sys; os.close(1); sys.stdout = None; sys.argv[1:] = {command}; "
    with script(closed + SOURCE, api.environ, "-Werror", preamble="") as running:
        end = running.end()
    assert (end.status, "Standard output is closed" in end.errors) == (2, True)
    api.requests.assert_not_called()


def test_a_command_that_is_started_with_closed_stdout_fails_before_anything_is_sent(api):
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "services", "list"]
    done = subprocess.run(shell, env=environment(api.environ), capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, "Standard output is closed" in done.stderr.decode()) == (2, True)
    api.requests.assert_not_called()


@pytest.mark.parametrize(
    "arguments",
    [["connect", "-"], ["audit", "--accounts", "-"], ["services", "list", "--api-token-file", "-"]],
    ids=["a token id", "accounts", "an API token"],
)
def test_reading_from_standard_input_that_is_closed_is_an_error(api, arguments):
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, *arguments]
    done = subprocess.run(shell, env=environment(api.environ), capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, "Standard input is closed" in done.stderr.decode()) == (2, True)
    api.requests.assert_not_called()


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-"], ids=["stdin and stdout", "stderr"])
def test_streams_closed_at_the_start_cause_no_error(api, closed):
    api.add_service("Database")
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "services", "delete", "--yes"]
    done = subprocess.run(shell, env=environment(api.environ), capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert api.services() == []


def test_the_log_does_not_disturb_the_spinner(api):
    gate = api.on(Operation.CONNECT).skip(2).once().hold()
    with on_terminal("connect", "--verbose", "--poll-interval=100ms", settings=api.environ) as terminal:
        gate.wait_arrived()
        (token,) = api.tokens()
        api.authorize(token, services=["Database"])
        gate.release()
        assert terminal.status() == 0
    logged = [line for line in terminal.text.splitlines() if "debug: GET" in line]
    assert logged
    assert all(line.lstrip("\r").startswith("debug: GET") for line in logged)


def test_a_bug_has_its_own_message_and_exit_status(capsys):
    def broken(_: Terminal) -> int:
        raise RuntimeError("the cause")

    assert exit_status_of(broken, verbose=False) == 70
    assert capsys.readouterr().err.startswith("Error: RuntimeError: the cause. This is a bug in pagerduty-alerting")


def test_advice_of_the_library_is_replaced_by_advice_for_the_command_line():
    error = APIConnectionError("not trusted. Behind a private CA, pass ssl_context=…", method="GET", path="/")
    assert "SSL_CERT_FILE" in explanation(error)
    assert "ssl_context" not in explanation(error)
