"""The table of endpoints, and building requests from arguments, which cannot change the path."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting import IntegrationToken
from pagerduty_alerting._protocol.endpoints import (
    CONNECT,
    CREATE_INTEGRATION_TOKEN,
    DELETE_SERVICES,
    LIST_SERVICES,
    Endpoint,
    build_request,
)
from tests.support.operations import ACCOUNT_ID, OPERATIONS, TOKEN_ID, Documented
from tests.support.requests_and_answers import ENDPOINTS
from tests.support.strategies import CHARACTERS

BASE = "https://api.cloudflare.com/client/v4"

BY_NAME = dict(
    zip(
        ["list_services", "delete_services", "create_integration_token", "connect"],
        [LIST_SERVICES, DELETE_SERVICES, CREATE_INTEGRATION_TOKEN, CONNECT],
        strict=True,
    )
)

HOSTILE = [
    ("../../user/tokens", "..%2F..%2Fuser%2Ftokens"),
    ("a/../b", "a%2F..%2Fb"),
    ("%2e%2e", "%252e%252e"),
    ("x?account=other", "x%3Faccount%3Dother"),
    ("x#fragment", "x%23fragment"),
    ("x@evil.example", "x%40evil.example"),
    ("x:80", "x%3A80"),
    ("\\\\evil", "%5C%5Cevil"),
    ("x;y=z", "x%3By%3Dz"),
    ("\u202f\u00e9"[1:], "%C3%A9"),
    ("...", "..."),
]

INVALID: list[tuple[Any, type[Exception]]] = [
    ("", ValueError),
    (".", ValueError),
    ("..", ValueError),
    (" ", ValueError),
    ("a b", ValueError),
    ("a\r\nX: y", ValueError),
    ("a\x00", ValueError),
    ("a" * 257, ValueError),
    (b"bytes", TypeError),
    (True, TypeError),
    (7, TypeError),
    (None, TypeError),
    ({"id": "a"}, TypeError),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_each_operation_is_sent_as_documented(operation: Documented) -> None:
    endpoint = BY_NAME[operation.name]
    token = IntegrationToken(TOKEN_ID) if operation.name == "connect" else None
    request = build_request(endpoint, BASE, ACCOUNT_ID, token)
    assert (request.method, str(request.url)) == (operation.method, BASE + operation.path)
    assert (endpoint.success, endpoint.permissions) == (operation.status, operation.permissions)


def test_only_list_and_delete_are_safe_to_replay() -> None:
    assert [endpoint.replay_safe for endpoint in ENDPOINTS] == [True, True, False, False]


def test_only_the_responses_of_create_and_connect_may_hold_a_secret() -> None:
    assert [endpoint.answers_secret for endpoint in ENDPOINTS] == [False, False, True, True]


@pytest.mark.parametrize(("hostile", "segment"), HOSTILE)
def test_a_hostile_account_id_stays_one_segment(hostile: str, segment: str) -> None:
    request = build_request(LIST_SERVICES, BASE, hostile)
    assert str(request.url) == f"{BASE}/accounts/{segment}/alerting/v3/destinations/pagerduty"


@pytest.mark.parametrize(("hostile", "segment"), HOSTILE)
def test_a_hostile_token_stays_one_segment(hostile: str, segment: str) -> None:
    request = build_request(CONNECT, BASE, ACCOUNT_ID, IntegrationToken(hostile))
    assert str(request.url) == f"{BASE}/accounts/{ACCOUNT_ID}/alerting/v3/destinations/pagerduty/connect/{segment}"


@given(st.text(CHARACTERS, max_size=260), st.text(CHARACTERS, max_size=260))
def test_any_pair_of_ids_is_refused_or_can_be_read_back_from_the_path(account_id: str, token_id: str) -> None:
    try:
        request = build_request(CONNECT, BASE, account_id, IntegrationToken(token_id))
    except ValueError:
        return
    segments = [unquote(segment) for segment in str(request.url).removeprefix(f"{BASE}/").split("/")]
    fixed = ["alerting", "v3", "destinations", "pagerduty", "connect"]
    assert segments == ["accounts", account_id, *fixed, token_id]


@pytest.mark.parametrize(("value", "error_type"), INVALID, ids=lambda value: repr(value)[:20])
def test_an_invalid_account_id_is_refused(value: Any, error_type: type[Exception]) -> None:
    with pytest.raises(error_type, match="^account_id must "):
        build_request(LIST_SERVICES, BASE, value)


@pytest.mark.parametrize(("value", "error_type"), INVALID, ids=lambda value: repr(value)[:20])
def test_an_invalid_token_is_refused(value: Any, error_type: type[Exception]) -> None:
    with pytest.raises(error_type, match="^token must "):
        build_request(CONNECT, BASE, ACCOUNT_ID, IntegrationToken(value))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_neither_the_repr_nor_the_text_of_a_request_shows_a_secret(endpoint: Endpoint[Any]) -> None:
    token = IntegrationToken("open/sesame") if endpoint is CONNECT else None
    request = build_request(endpoint, BASE, ACCOUNT_ID, token, secrets=("credential-sesame",))
    assert "sesame" not in f"{request} {request!r} {request.path}"
    assert str(request) == f"{endpoint.method} {request.path}"


def test_only_connect_has_an_argument_in_its_path() -> None:
    assert [endpoint.argument for endpoint in ENDPOINTS] == [None, None, None, "token"]


def test_an_argument_of_type_str_is_an_id_that_may_be_shown() -> None:
    request = build_request(CONNECT, BASE, ACCOUNT_ID, "a/b", secrets=("credential",))
    assert request.path == f"/accounts/{ACCOUNT_ID}/alerting/v3/destinations/pagerduty/connect/a%2Fb"
    assert (str(request.url), request.secrets) == (BASE + request.path, ("credential",))


def test_a_missing_argument_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^token must be a str, not NoneType$"):
        build_request(CONNECT, BASE, ACCOUNT_ID)


def test_the_path_to_show_masks_the_token() -> None:
    request = build_request(CONNECT, BASE, ACCOUNT_ID, IntegrationToken(TOKEN_ID))
    assert request.path == f"/accounts/{ACCOUNT_ID}/alerting/v3/destinations/pagerduty/connect/<hidden>"


def test_the_token_is_a_secret_in_both_spellings() -> None:
    request = build_request(CONNECT, BASE, ACCOUNT_ID, IntegrationToken("a/b"), secrets=("credential",))
    assert request.secrets == ("credential", "a/b", "a%2Fb")
