"""Where the commands read their settings, and that they show no secrets."""

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.command_line import on_terminal, run


def without(settings: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in names}


def tokenless(api: Emulator) -> dict[str, str]:
    return without(api.environ, "CLOUDFLARE_API_TOKEN")


def test_the_api_token_may_come_from_a_file(api, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{api.api_token}\n")
    file.chmod(0o600)
    ran = run(
        "services",
        "list",
        "--json",
        "--api-token-file",
        str(file),
        settings=tokenless(api),
    )
    assert (ran.status, ran.out, ran.err) == (0, "[]\n", "")


def test_the_token_file_overrides_the_environment(api, tmp_path):
    file = tmp_path / "token"
    file.write_text(api.api_token)
    file.chmod(0o600)
    settings = {**api.environ, "CLOUDFLARE_API_TOKEN": "wrong"}
    assert run("services", "list", "--api-token-file", str(file), settings=settings).status == 0


def test_a_token_file_may_begin_with_a_byte_order_mark_as_on_windows(api, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{api.api_token}\r\n", encoding="utf-8-sig")
    file.chmod(0o600)
    assert run("services", "list", "--api-token-file", str(file), settings=tokenless(api)).status == 0


def test_a_token_file_that_others_can_read_causes_a_warning(api, tmp_path):
    file = tmp_path / "token"
    file.write_text(api.api_token)
    file.chmod(0o644)
    api.add_service("Database")
    ran = run("services", "list", "--api-token-file", str(file), settings=api.environ)
    assert ran.status == 0
    assert ran.err == f"Warning: everybody on this machine can read {file}. `chmod 600 {file}` changes that.\n"


def test_the_api_token_may_come_from_standard_input(api):
    ran = run(
        "services",
        "list",
        "--api-token-file",
        "-",
        settings=tokenless(api),
        stdin=api.api_token,
    )
    assert ran.status == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"x" * 70_000, "too long"), (b"\xff\xfe", "something other"), (b"two words", "spaces")],
    ids=["empty", "huge", "binary", "two words"],
)
def test_a_file_without_a_token_is_refused_without_showing_its_content(api, tmp_path, content, message):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    ran = run("services", "list", "--api-token-file", str(file), settings=api.environ)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err
    assert "two words" not in ran.err
    api.requests.assert_not_called()


def test_a_missing_token_file_is_refused(api, tmp_path):
    ran = run("services", "list", "--api-token-file", str(tmp_path / "none"), settings=api.environ)
    assert ran.status == 2
    assert "No such file" in ran.err


def test_on_a_terminal_a_prompt_reads_the_token_without_echo(api):
    api.add_service("Database")
    settings = without(api.environ, "CLOUDFLARE_API_TOKEN")
    with on_terminal("services", "list", settings=settings) as terminal:
        terminal.wait_for("Cloudflare API token (it is not shown):")
        terminal.type(f"{api.api_token}\n")
        terminal.wait_for("Database")
        assert terminal.status() == 0
    assert api.api_token not in terminal.text


def test_ctrl_c_at_the_prompt_stops(api):
    with on_terminal("services", "list", settings=tokenless(api)) as terminal:
        terminal.wait_for("(it is not shown):")
        terminal.press_ctrl_c()
        terminal.wait_for("Stopped.")
        assert terminal.status() == 130


def test_end_of_input_at_the_prompt_is_a_missing_token(api):
    with on_terminal("services", "list", settings=tokenless(api)) as terminal:
        terminal.wait_for("(it is not shown):")
        terminal.type("\x04")
        terminal.wait_for("There are no credentials")
        assert terminal.status() == 2


@pytest.mark.parametrize(
    ("missing", "advice"),
    [("CLOUDFLARE_API_TOKEN", "set CLOUDFLARE_API_TOKEN"), ("CLOUDFLARE_ACCOUNT_ID", "pass --account-id")],
)
def test_a_missing_setting_is_a_usage_error_that_says_what_to_do(api, missing, advice):
    ran = run("services", "list", settings=without(api.environ, missing))
    assert (ran.status, ran.out) == (2, "")
    assert advice in ran.err


def test_an_api_key_with_its_email_works_too(api):
    key = api.add_api_key("someone@example.org")
    settings = {
        **without(api.environ, "CLOUDFLARE_API_TOKEN"),
        "CLOUDFLARE_API_KEY": key,
        "CLOUDFLARE_EMAIL": "someone@example.org",
    }
    assert run("services", "list", settings=settings).status == 0


def test_half_of_the_credentials_are_a_usage_error(api):
    settings = {**without(api.environ, "CLOUDFLARE_API_TOKEN"), "CLOUDFLARE_EMAIL": "someone@example.org"}
    ran = run("services", "list", settings=settings)
    assert ran.status == 2
    assert ran.err == (
        "Error: CLOUDFLARE_EMAIL is set without CLOUDFLARE_API_KEY: set both, or CLOUDFLARE_API_TOKEN alone.\n"
    )


@pytest.mark.parametrize("place", ["before", "after"])
def test_shared_options_may_stand_before_or_after_the_command(api, place):
    options = ["--base-url", api.url, "--timeout", "20", "--verbose"]
    settings = without(api.environ, "CLOUDFLARE_BASE_URL")
    command = ["services", "list"]
    ran = run(*(options + command if place == "before" else command + options), settings=settings)
    assert ran.status == 0
    assert "debug: GET /accounts/" in ran.err


def test_an_insecure_base_url_is_refused(api):
    ran = run("services", "list", "--base-url", "http://example.org", settings=api.environ)
    assert ran.status == 2
    assert "use https://" in ran.err
    assert "allow_insecure_http" not in ran.err


def test_all_missing_settings_are_listed_at_once_with_their_sources():
    ran = run("services", "list", "--timeout=0s", "--base-url=nowhere", settings={})
    assert ran.status == 2
    for said in (
        "--base-url must",
        "--timeout must",
        "There is no account",
        "overview page",
        "There are no credentials",
    ):
        assert said in ran.err
    assert "=…" not in ran.err


def test_there_is_no_prompt_for_the_token_if_another_setting_is_missing(api):
    settings = without(api.environ, "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")
    with on_terminal("services", "list", settings=settings) as terminal:
        terminal.wait_for("There is no account")
        assert terminal.status() == 2
    assert "it is not shown" not in terminal.text


@pytest.mark.parametrize("value", ["20", "20s", "20000ms"])
def test_a_timeout_is_a_duration(api, value):
    ran = run("doctor", "--timeout", value, settings=api.environ)
    assert "✓ Timeout: 20 s (from --timeout)" in ran.out.splitlines()


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon", "0ms"])
def test_an_invalid_timeout_is_a_usage_error(api, value):
    ran = run("services", "list", f"--timeout={value}", settings=api.environ)
    assert ran.status == 2
    assert "--timeout" in ran.err


@pytest.mark.parametrize("command", [("services", "list"), ("doctor",), ("connect", "--dry-run")], ids=" ".join)
def test_no_command_shows_refused_credentials_even_when_verbose(api, command):
    wrong = "this-is-not-the-token-of-anybody"
    ran = run(*command, "--verbose", settings={**api.environ, "CLOUDFLARE_API_TOKEN": wrong})
    assert ran.status == 1
    assert wrong not in ran.out + ran.err


def test_credentials_cannot_be_passed_as_options(api):
    ran = run("services", "list", "--api-token", api.api_token, settings=api.environ)
    assert ran.status == 2
    assert "No such option" in ran.err
