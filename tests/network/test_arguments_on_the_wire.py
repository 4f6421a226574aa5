"""Invalid arguments are refused before anything is sent, and valid ones never change the path."""

import asyncio
import math
from itertools import product
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client, ConfigurationError, IntegrationToken
from tests.support.operations import ACCOUNT_ID, API_TOKEN
from tests.support.raw_calls import CALLS, settings
from tests.support.raw_server import CREATED, LISTED, RawServer, answering, http, raw_server, raw_server_in_thread
from tests.support.size import sample

ANSWERS = {
    "list_services": http(200, LISTED),
    "delete_services": http(200, b'{"success":true}'),
    "create_integration_token": http(201, CREATED),
    "connect": http(200, CREATED),
}


def server_after(
    flavour: str, operation: str, *arguments: Any, error: type[Exception] | None = None, **options: Any
) -> RawServer:
    """Makes one call and returns the server, which has recorded the requests."""
    script = answering(ANSWERS[operation])

    async def asynchronous() -> RawServer:
        async with raw_server(script) as server, AsyncClient(**settings(server.url)) as client:
            if error is None:
                await getattr(client, operation)(*arguments, **options)
            else:
                with pytest.raises(error):
                    await getattr(client, operation)(*arguments, **options)
            return server

    if flavour == "async":
        return asyncio.run(asynchronous())
    with raw_server_in_thread(script) as server, Client(**settings(server.url)) as client:
        if error is None:
            getattr(client, operation)(*arguments, **options)
        else:
            with pytest.raises(error):
                getattr(client, operation)(*arguments, **options)
    return server


INVALID_IDS = ["", ".", "..", "a b", "a\nb", "a\r\nX-Evil: 1", "a\0b", "\x7f", "a\u2028b", "\u202e", "x" * 257]
IDS_OF_THE_WRONG_TYPE = [b"id", 1, 1.5, True, ["id"], {"id": "x"}]


@pytest.mark.parametrize(
    ("flavour", "operation", "account_id"), sample(product(["async", "sync"], CALLS, INVALID_IDS), every=3)
)
def test_an_invalid_account_id_is_not_sent(flavour: str, operation: str, account_id: str) -> None:
    server = server_after(flavour, operation, *CALLS[operation], account_id=account_id, error=ValueError)
    assert server.requests == []


@pytest.mark.parametrize("account_id", IDS_OF_THE_WRONG_TYPE)
def test_an_account_id_of_the_wrong_type_is_not_sent(account_id: Any) -> None:
    assert server_after("async", "list_services", account_id=account_id, error=TypeError).requests == []


@pytest.mark.parametrize("flavour", ["async", "sync"])
@pytest.mark.parametrize("token", INVALID_IDS)
def test_an_invalid_token_is_not_sent(flavour: str, token: str) -> None:
    assert server_after(flavour, "connect", token, error=ValueError).requests == []
    assert server_after(flavour, "connect", IntegrationToken(token), error=ValueError).requests == []


@pytest.mark.parametrize("token", [None, *IDS_OF_THE_WRONG_TYPE])
def test_a_token_of_the_wrong_type_is_not_sent(token: Any) -> None:
    assert server_after("async", "connect", token, error=TypeError).requests == []


@pytest.mark.parametrize("flavour", ["async", "sync"])
@pytest.mark.parametrize(
    ("token", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../../../zones", "..%2F..%2F..%2Fzones"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("%2e%2e", "%252e%252e"),
        ("%2F", "%252F"),
        ("a%00b", "a%2500b"),
        ("a\\b", "a%5Cb"),
        ("a;b=c", "a%3Bb%3Dc"),
        ("@evil.example", "%40evil.example"),
        ("é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80"),
        ("...", "..."),
        ("x" * 256, "x" * 256),
    ],
)
def test_an_unusual_id_is_one_segment_of_the_path(flavour: str, token: str, segment: str) -> None:
    (request,) = server_after(flavour, "connect", token, account_id=token).requests
    path = f"/v4/accounts/{segment}/alerting/v3/destinations/pagerduty/connect/{segment}"
    assert request.startswith(f"GET {path} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("operation", "timeout"),
    sample(product(CALLS, [0, -1, -0.0, math.nan, math.inf, -math.inf, 10**400]), every=3),
)
def test_an_invalid_timeout_is_refused_before_anything_is_sent(operation: str, timeout: float) -> None:
    assert server_after("async", operation, *CALLS[operation], timeout=timeout, error=ValueError).requests == []


@pytest.mark.parametrize("timeout", [True, "5", b"x", [5], 5j])
def test_a_timeout_of_the_wrong_type_is_refused_before_anything_is_sent(timeout: Any) -> None:
    assert server_after("async", "list_services", timeout=timeout, error=TypeError).requests == []


@pytest.mark.parametrize("timeout", [1e300, 10**30, 86400 * 365 * 1000])
def test_a_timeout_has_no_upper_bound(timeout: float) -> None:
    assert len(server_after("async", "list_services", timeout=timeout).requests) == 1


@pytest.mark.parametrize("make", [AsyncClient, Client])
@pytest.mark.parametrize(
    "token", ["a\r\nX-Evil: 1", "a\n", "\ra", "ses ame", "tökén", "a\0b", " sesame", "sesame ", "", "\x7f", "\u200b"]
)
@pytest.mark.parametrize("name", ["api_token", "api_key"])
def test_a_token_that_is_not_a_valid_header_value_is_refused_and_not_shown(make: Any, name: str, token: str) -> None:
    email = {"api_email": "a@example.com"} if name == "api_key" else {}
    with pytest.raises(ValueError, match=name) as caught:
        make(account_id=ACCOUNT_ID, **{name: token}, **email)
    assert len(token) < 4 or token.strip() not in str(caught.value)


@pytest.mark.parametrize("make", [AsyncClient, Client])
@pytest.mark.parametrize("token", [b"token", 5, True, ["token"]])
def test_a_token_of_the_wrong_type_is_refused(make: Any, token: Any) -> None:
    with pytest.raises(TypeError, match="api_token"):
        make(api_token=token, account_id=ACCOUNT_ID)


@pytest.mark.parametrize("make", [AsyncClient, Client])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example",
        "//api.example",
        "ftp://api.example",
        "file:///etc/passwd",
        "https://",
        "https://user:password@api.example",
        "https://user@api.example",
        "https://@api.example",
        "https://api.example?x=1",
        "https://api.example?",
        "https://api.example/v4#top",
        "https://api.example#",
        "https://api.example:port",
        "https://api.example:99999",
        "https://[::1",
        "https://api.example/v 4",
        "https://api.example/\r\nX-Evil: 1",
        "https://äpi.example",
        "http://api.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://169.254.169.254",
        "http://0.0.0.0",
    ],
)
def test_an_invalid_or_insecure_base_url_is_refused(make: Any, url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        make(api_token=API_TOKEN, base_url=url)


@pytest.mark.parametrize("url", [b"https://api.example", 5, True, ["https://api.example"]])
def test_a_base_url_of_the_wrong_type_is_refused(url: Any) -> None:
    with pytest.raises(TypeError, match="base_url"):
        AsyncClient(api_token=API_TOKEN, base_url=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/v4", "http://127.8.9.1", "http://[::1]:8080", "https://api.example/"]
)
def test_plain_http_to_this_machine_is_allowed(url: str) -> None:
    assert AsyncClient(api_token=API_TOKEN, base_url=url)


def test_plain_http_to_another_machine_needs_allow_insecure_http() -> None:
    assert AsyncClient(api_token=API_TOKEN, base_url="http://api.example", allow_insecure_http=True)
    with pytest.raises(TypeError, match="allow_insecure_http"):
        AsyncClient(api_token=API_TOKEN, base_url="http://api.example", allow_insecure_http=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("flavour", ["async", "sync"])
def test_a_call_without_an_account_is_not_sent(flavour: str) -> None:
    server = server_after("async", "list_services", account_id=None)
    assert len(server.requests) == 1
    make: Any = AsyncClient if flavour == "async" else Client
    client = make(api_token=API_TOKEN, base_url="http://127.0.0.1:9")
    finish: Any = asyncio.run if flavour == "async" else list
    with pytest.raises(ConfigurationError, match="no account"):
        finish(client.list_services())


@pytest.mark.parametrize("user_agent", ["a\r\nX-Evil: 1", "", "ü", " a"])
def test_a_user_agent_that_is_not_a_valid_header_value_is_refused(user_agent: str) -> None:
    with pytest.raises(ValueError, match="user_agent"):
        AsyncClient(api_token=API_TOKEN, user_agent=user_agent)
