"""`doctor` as a process against the emulator."""

import asyncio
import email.utils
import ssl

import pytest
import trustme

from pagerduty_alerting.cli.commands import doctor
from pagerduty_alerting.cli.commands.doctor import check_clock, check_connection, check_quota
from pagerduty_alerting.emulator import Emulator, Operation, Permission, RateLimits
from pagerduty_alerting.models import RateLimit, RateLimitPolicy
from pagerduty_alerting.models import RateLimits as Limits
from tests.support.command_line import run

NOT_VALID = "✗ Authentication: the credentials are not valid, or lack the permission for this account"


def test_every_passed_check_has_a_tick(api):
    ran = run("doctor", settings=api.environ)
    assert (ran.status, ran.err) == (0, "")
    names = [line.removeprefix("✓ ").partition(":")[0] for line in ran.out.splitlines()]
    assert names == [
        "Base URL", "Account", "Timeout", "Credentials",
        "DNS", "Connection", "Authentication", "Permission", "Rate limit", "Clock",
    ]  # fmt: skip


def test_doctor_changes_nothing(api):
    assert run("doctor", settings=api.environ).status == 0
    api.requests.assert_operations(Operation.LIST)


def test_settings_are_shown_with_their_source_and_without_secrets(api):
    ran = run("doctor", "--timeout", "7", settings=api.environ)
    assert f"Account: {api.account_id} (from CLOUDFLARE_ACCOUNT_ID)" in ran.out
    assert "Timeout: 7 s (from --timeout)" in ran.out
    assert "Credentials: API token <hidden>, 40 characters (from CLOUDFLARE_API_TOKEN)" in ran.out
    assert api.api_token not in ran.out


def test_all_missing_settings_are_listed_at_once(api):
    ran = run("doctor", settings={})
    assert ran.status == 2
    assert [line[:1] for line in ran.out.splitlines() if not line.startswith(" ")] == ["✓", "✗", "✓", "✗"]
    api.requests.assert_not_called()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"CLOUDFLARE_API_TOKEN": "wrong"},
            NOT_VALID,
        ),
        ({"CLOUDFLARE_ACCOUNT_ID": "0" * 32}, "✗ Account: the account id is malformed, or the base URL is wrong"),
    ],
    ids=["token", "account"],
)
def test_wrong_settings_are_distinguished_by_the_error_of_the_api(api, change, line):
    ran = run("doctor", settings={**api.environ, **change})
    assert ran.status == 1
    assert line in ran.out.splitlines()
    assert ran.out.splitlines()[-1].startswith("  → ")


def test_a_token_of_another_account_is_shown(api):
    other = api.add_account()
    token = api.add_api_token(permissions=list(Permission), accounts=[other])
    ran = run("doctor", settings={**api.environ, "CLOUDFLARE_API_TOKEN": token})
    assert ran.status == 1
    assert "✗ Account: the credentials are not for this account" in ran.out.splitlines()


def test_a_missing_permission_is_shown(api):
    token = api.add_api_token(permissions=[])
    ran = run("doctor", settings={**api.environ, "CLOUDFLARE_API_TOKEN": token})
    assert ran.status == 1
    assert NOT_VALID in ran.out.splitlines()


def test_a_plan_without_pagerduty_is_shown():
    from pagerduty_alerting.emulator import InitialAccount, InitialState

    with Emulator(initial_state=InitialState(accounts=(InitialAccount(entitled=False),))) as api:
        ran = run("doctor", settings=api.environ)
    assert ran.status == 1
    assert "✗ Plan: " in ran.out


def test_a_used_up_rate_limit_is_shown():
    with Emulator(rate_limits=RateLimits(requests=1)) as api:
        assert run("services", "list", settings=api.environ).status == 0
        ran = run("doctor", settings=api.environ)
    assert ran.status == 1
    assert "✗ Rate limit: used up" in ran.out


def test_a_failing_server_is_shown_with_its_status(api):
    api.on(Operation.LIST).respond(503)
    ran = run("doctor", settings=api.environ)
    assert ran.status == 1
    assert "✗ API: it failed" in ran.out


def test_a_refused_connection_is_shown_and_ends_the_checks(api):
    with api.refusing_connections():
        ran = run("doctor", settings=api.environ)
    assert ran.status == 3
    assert "✗ Connection: 127.0.0.1, port " in ran.out
    assert "Authentication" not in ran.out


def test_a_name_that_does_not_exist_is_shown(api):
    ran = run("doctor", "--base-url", "https://api.invalid", settings=api.environ)
    assert ran.status == 3
    assert "✗ DNS: api.invalid: " in ran.out


def test_a_server_without_tls_is_shown(api):
    ran = run("doctor", "--base-url", api.url.replace("http://127.0.0.1", "https://localhost"), settings=api.environ)
    assert ran.status == 3
    assert "✗ TLS: localhost, port " in ran.out


def test_a_clock_that_is_far_off_is_shown():
    now = 1_800_000_000.0
    finding = check_clock(email.utils.formatdate(now - 3600, usegmt=True), now)
    assert (finding.status, finding.detail) == (2, "3600 s ahead of the API's")


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_response_without_a_valid_date_does_not_fail_the_check_of_the_clock(date):
    assert check_clock(date, 0.0).status == 0


@pytest.mark.parametrize(
    ("limits", "detail"),
    [
        ([RateLimit("default", 1150, 30.0)], "1150 of 1200 requests left, reset in 30 s"),
        ([RateLimit("other", 7, None)], "7 requests left"),
        (
            [RateLimit("a", 5, 2.0), RateLimit("b", 3, 4.0)],
            "5 requests left, reset in 2 s; 3 requests left, reset in 4 s",
        ),
        ([], "not in the response"),
    ],
)
def test_the_quota_is_shown_as_reported(limits, detail):
    finding = check_quota(Limits(tuple(limits), (RateLimitPolicy("default", 1200, 300.0),)))
    assert (finding.status, finding.detail) == (0, detail)


@pytest.mark.parametrize(
    ("status", "errors", "line"),
    [
        (
            400,
            [{"code": 6003, "message": "Invalid request headers", "error_chain": [{"code": 6103, "message": "x"}]}],
            "✗ Authentication: the API key or its e-mail address is malformed, or an API token was sent as a key",
        ),
        (
            400,
            [{"code": 6003, "message": "Invalid request headers", "error_chain": [{"code": 6111, "message": "x"}]}],
            "✗ Authentication: the API token is malformed, or a Global API Key was sent as a token",
        ),
        (403, [{"code": 9109, "message": "no"}], "✗ Account: the credentials are not for this account"),
        (404, [{"code": "7003", "message": "no"}], "✗ Account: the account id is malformed, or the base URL is wrong"),
        (403, [{"code": 17200, "message": "no"}], "✗ Plan: the account's plan does not include PagerDuty"),
    ],
    ids=["6103", "6111", "9109", "7003", "17200"],
)
def test_an_error_code_is_shown_with_its_meaning(api, status, errors, line):
    body = {"success": False, "errors": errors, "messages": [], "result": None}
    api.on(Operation.LIST).respond(status, json=body)
    ran = run("doctor", settings=api.environ)
    assert ran.status == 1
    assert line in ran.out.splitlines()
    assert ran.out.splitlines()[-1].startswith("  → ")


async def test_a_name_lookup_that_takes_too_long_is_shown(monkeypatch):
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(doctor, "CONNECT_TIMEOUT", 0.01)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    finding = await doctor.check_dns("api.example", 443)
    assert (finding.name, finding.status, finding.detail) == ("DNS", 3, "api.example: no answer within 0.01 s")


@pytest.mark.parametrize("others", [(), (RateLimit("burst", 5, 1.0),)])
def test_an_empty_quota_is_a_failed_check(others):
    assert check_quota(Limits((*others, RateLimit("default", 0, 30.0)))).status == 1


def test_the_exit_status_is_that_of_the_first_check_that_failed(api):
    body = {"success": True, "errors": [], "messages": [], "result": []}
    used_up_and_a_wrong_clock = {"Ratelimit": '"default";r=0;t=30', "Date": "Sat, 01 Jan 2000 00:00:00 GMT"}
    api.on(Operation.LIST).respond(200, json=body, headers=used_up_and_a_wrong_clock)
    ran = run("doctor", settings=api.environ)
    failed = [line.partition(":")[0] for line in ran.out.splitlines() if line.startswith("✗")]
    assert (ran.status, failed) == (1, ["✗ Rate limit", "✗ Clock"])


def test_a_proxy_is_shown_and_the_call_goes_through_it(api, closed_port):
    proxy = f"http://user:secret@127.0.0.1:{closed_port}"
    ran = run("doctor", settings={**api.environ, "CLOUDFLARE_BASE_URL": "https://api.example/v4", "https_proxy": proxy})
    assert ran.status == 3
    assert f"✓ Proxy: http://127.0.0.1:{closed_port} (from the environment)" in ran.out
    assert "✗ API: " in ran.out
    assert "secret" not in ran.out


def test_a_proxy_of_an_unusable_kind_is_shown(api):
    proxy = "socks5://127.0.0.1:1080"
    ran = run("doctor", settings={**api.environ, "CLOUDFLARE_BASE_URL": "https://api.example/v4", "https_proxy": proxy})
    assert ran.status == 2
    assert "✗ Proxy: " in ran.out


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not trusted"])
async def test_tls_is_checked_with_the_settings_of_the_client(tmp_path, monkeypatch, trusted):
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async with await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        finding = await check_connection("localhost", port, with_tls=True)

    if trusted:
        assert (finding.status, finding.detail) == (0, f"localhost, port {port}: TLSv1.3")
    else:
        assert (finding.status, "SSL_CERT_FILE" in finding.advice) == (3, True)
