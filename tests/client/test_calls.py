"""What a call sends, which arguments, settings and variables it uses, and what it returns."""

import re
from typing import Any

import pytest

import pagerduty_alerting
from pagerduty_alerting import (
    APIConnectionError,
    ConfigurationError,
    Envelope,
    IntegrationToken,
    PermissionDeniedError,
    RateLimit,
    RateLimitPolicy,
    RateLimits,
    Response,
    ResponseInfo,
    ResultInfo,
    RetryPolicy,
    Service,
)
from tests.support.callers import MakeCaller
from tests.support.mocked_api import BASE_URL, MockedApi
from tests.support.operations import (
    ACCOUNT_ID,
    API_TOKEN,
    CONNECT,
    CREATE,
    DELETE,
    LIST,
    OPERATIONS,
    TOKEN_ID,
    Documented,
)

OTHER_ACCOUNT = "f" * 32

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def answer_all(api: MockedApi) -> None:
    for operation in OPERATIONS:
        api.answer(operation.method, operation.path, operation.status, operation.answer, repeat=True)


# What is sent.


@every_operation
def test_one_request_is_sent_to_the_documented_method_and_url(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    answer_all(mocked_api)
    make_caller().call(operation.name, *operation.arguments)
    (request,) = mocked_api.requests
    assert (request.method, request.url) == (operation.method, BASE_URL + operation.path)


@every_operation
def test_no_request_has_a_body_a_query_or_cookies(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    answer_all(mocked_api)
    make_caller().call(operation.name, *operation.arguments)
    (request,) = mocked_api.requests
    assert not {"json", "params", "cookies", "auth"} & set(request.options)
    assert request.options.get("data") is None


@every_operation
def test_a_token_is_sent_as_bearer_with_accept_and_user_agent(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    answer_all(mocked_api)
    make_caller().call(operation.name, *operation.arguments)
    (request,) = mocked_api.requests
    assert request.headers["Authorization"] == f"Bearer {API_TOKEN}"
    assert request.headers["Accept"] == "application/json"
    assert re.fullmatch(r"pagerduty-alerting/\d+\.\d+\.\d+\S* Python/3\.\d+\.\d+\S*", request.headers["User-Agent"])
    assert f"/{pagerduty_alerting.__version__} " in request.headers["User-Agent"]
    assert not {"X-Auth-Key", "X-Auth-Email", "Content-Type"} & set(request.headers)


def test_a_key_is_sent_with_its_email_and_without_bearer(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    caller = make_caller(bare=True, api_key="key", api_email="me@example.com", account_id=ACCOUNT_ID)
    caller.call("list_services")
    (request,) = mocked_api.requests
    assert (request.headers["X-Auth-Key"], request.headers["X-Auth-Email"]) == ("key", "me@example.com")
    assert "Authorization" not in request.headers


def test_the_user_agent_can_be_replaced(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    make_caller(user_agent="mine/1.0").call("list_services")
    assert mocked_api.requests[0].headers["User-Agent"] == "mine/1.0"


def test_requests_are_sent_below_the_given_base_url(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.answer(LIST.method, LIST.path, 200, LIST.answer, base_url="https://gateway.example/cf")
    assert make_caller(base_url="https://gateway.example/cf/").call("list_services") == LIST.result


def test_a_hostile_id_reaches_aiohttp_as_one_segment(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    path = LIST.path.replace(ACCOUNT_ID, "..%2F..%2Fuser%3Fx")
    mocked_api.answer("GET", path, 200, LIST.answer)
    make_caller().call("list_services", account_id="../../user?x")
    assert mocked_api.requests[0].url == BASE_URL + path


def test_connect_takes_the_token_or_its_id(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    caller = make_caller()
    assert caller.call("connect", TOKEN_ID) == CONNECT.result
    assert caller.call("connect", IntegrationToken(TOKEN_ID)) == CONNECT.result
    assert caller.respond("connect", token=IntegrationToken(TOKEN_ID)).result == CONNECT.result
    assert {request.url for request in mocked_api.requests} == {BASE_URL + CONNECT.path}


# Arguments of a call.


@every_operation
def test_the_account_of_a_call_overrides_that_of_the_client(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    path = operation.path.replace(ACCOUNT_ID, OTHER_ACCOUNT)
    mocked_api.answer(operation.method, path, operation.status, operation.answer, repeat=True)
    caller = make_caller()
    caller.call(operation.name, *operation.arguments, account_id=OTHER_ACCOUNT)
    caller.respond(operation.name, *operation.arguments, account_id=OTHER_ACCOUNT)
    assert [request.url for request in mocked_api.requests] == [BASE_URL + path] * 2


@every_operation
def test_without_an_account_id_nothing_is_sent(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    caller = make_caller(bare=True, api_token=API_TOKEN)
    with pytest.raises(ConfigurationError, match=r"^no account: pass account_id=…, or set CLOUDFLARE_ACCOUNT_ID$"):
        caller.call(operation.name, *operation.arguments)
    assert mocked_api.requests == []


@every_operation
@pytest.mark.parametrize(
    ("options", "error_type"),
    [
        ({"account_id": ""}, ValueError),
        ({"account_id": ".."}, ValueError),
        ({"account_id": "a b"}, ValueError),
        ({"account_id": 7}, TypeError),
        ({"account_id": True}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1.0}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"timeout": True}, TypeError),
    ],
    ids=str,
)
def test_an_invalid_argument_is_refused_before_anything_is_sent(
    make_caller: MakeCaller,
    mocked_api: MockedApi,
    operation: Documented,
    options: dict[str, Any],
    error_type: type[Exception],
) -> None:
    with pytest.raises(error_type, match=f"^{next(iter(options))} must "):
        make_caller().call(operation.name, *operation.arguments, **options)
    assert mocked_api.requests == []


@pytest.mark.parametrize("token", ["", ".", "..", "a b", b"bytes", None, True, {"id": "x"}, IntegrationToken("")])
def test_an_invalid_token_is_refused_before_anything_is_sent(
    make_caller: MakeCaller, mocked_api: MockedApi, token: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match="^token must "):
        make_caller().call("connect", token)
    assert mocked_api.requests == []


@pytest.mark.parametrize("arguments", [("account",), ("token", "account")])
def test_options_are_keyword_only(make_caller: MakeCaller, arguments: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        make_caller().call("connect" if len(arguments) == 2 else "list_services", *arguments)


# The environment.


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLOUDFLARE_API_TOKEN": "from-env"}, {"Authorization": "Bearer from-env"}),
        (
            {"CLOUDFLARE_API_KEY": "key", "CLOUDFLARE_EMAIL": "me@example.com"},
            {"X-Auth-Key": "key", "X-Auth-Email": "me@example.com"},
        ),
    ],
    ids=["token", "key and email"],
)
def test_a_client_without_arguments_reads_the_environment(
    make_caller: MakeCaller,
    mocked_api: MockedApi,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    expected: dict[str, str],
) -> None:
    mocked_api.answer(LIST.method, LIST.path, 200, LIST.answer, base_url="https://env.example/v4")
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", "https://env.example/v4")
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", ACCOUNT_ID)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert make_caller(bare=True).call("list_services") == LIST.result
    (request,) = mocked_api.requests
    assert {name: request.headers[name] for name in expected} == expected


def test_arguments_override_the_environment(
    make_caller: MakeCaller, mocked_api: MockedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_all(mocked_api)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", "https://env.example/v4")
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", OTHER_ACCOUNT)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "from-env")
    caller = make_caller(bare=True, base_url=BASE_URL, account_id=ACCOUNT_ID, api_token=API_TOKEN)
    caller.call("list_services")
    (request,) = mocked_api.requests
    assert request.url == BASE_URL + LIST.path
    assert request.headers["Authorization"] == f"Bearer {API_TOKEN}"


def test_a_client_without_credentials_cannot_be_created(make_caller: MakeCaller) -> None:
    with pytest.raises(ConfigurationError, match=r"^no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN"):
        make_caller(bare=True)


@pytest.mark.parametrize(
    ("settings", "error_type"),
    [
        ({"api_token": ""}, ValueError),
        ({"api_token": "a\n"}, ValueError),
        ({"api_token": 7}, TypeError),
        ({"api_key": "key"}, ConfigurationError),
        ({"account_id": ".."}, ValueError),
        ({"base_url": "http://example.com"}, ValueError),
        ({"base_url": "example.com"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"connect_timeout": "5"}, TypeError),
        ({"retry": 3}, TypeError),
        ({"respect_rate_limits": "yes"}, TypeError),
        ({"max_response_bytes": 0}, ValueError),
        ({"user_agent": "a\r\nb"}, ValueError),
        ({"allow_insecure_http": 1}, TypeError),
    ],
    ids=str,
)
def test_an_invalid_setting_is_refused_when_the_client_is_created(
    make_caller: MakeCaller, settings: dict[str, Any], error_type: type[Exception]
) -> None:
    with pytest.raises(error_type):
        make_caller(**settings)


# with_response.


def test_a_response_has_the_status_headers_envelope_and_rate_limits(
    make_caller: MakeCaller, mocked_api: MockedApi
) -> None:
    headers = {
        "CF-Ray": "8f2a-FRA",
        "Ratelimit": '"default";r=50;t=30',
        "Ratelimit-Policy": '"burst";q=100;w=60',
        "X-Other": "kept",
    }
    body = {**LIST.answer, "messages": [{"code": 1000, "message": "hint"}]}
    mocked_api.answer("GET", LIST.path, 203, body, headers=headers)
    response = make_caller().respond("list_services")
    assert type(response) is Response
    assert response.result == LIST.result
    assert response.envelope == Envelope(True, LIST.result, (), (ResponseInfo("hint", 1000),), ResultInfo(1, 1, 20, 1))
    assert (response.status, response.ray_id, response.attempts) == (203, "8f2a-FRA", 1)
    assert response.headers["x-other"] == "kept"
    limits = RateLimits((RateLimit("default", 50, 30.0),), (RateLimitPolicy("burst", 100, 60.0),))
    assert response.rate_limits == limits
    assert response.elapsed >= 0.0


@every_operation
def test_every_operation_can_return_its_whole_response(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    answer_all(mocked_api)
    response = make_caller().respond(operation.name, *operation.arguments)
    assert (response.status, response.result) == (operation.status, operation.result)
    assert (response.ray_id, response.rate_limits) == (None, RateLimits())


def test_a_response_counts_the_attempts(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.answer("GET", LIST.path, 503)
    mocked_api.answer("GET", LIST.path, 200, LIST.answer)
    response = make_caller(retry=RetryPolicy(initial_delay=0)).respond("list_services")
    assert response.attempts == 2


# Additional headers.

GATEWAY_SECRET = "s3cret-of-the-gateway"


def test_additional_headers_are_sent_but_do_not_replace_those_of_the_client(
    make_caller: MakeCaller, mocked_api: MockedApi
) -> None:
    answer_all(mocked_api)
    headers = {"X-Gateway": "one", "authorization": "Basic x", "X-AUTH-KEY": "k", "user-agent": "x", "accept": "text/*"}
    make_caller(headers=headers).call("list_services")
    (request,) = mocked_api.requests
    own = {"Authorization": f"Bearer {API_TOKEN}", "Accept": "application/json", "X-Gateway": "one"}
    assert {name: request.headers[name] for name in own} == own
    assert request.headers["User-Agent"].startswith("pagerduty-alerting/")
    assert "X-Auth-Key" not in request.headers


def test_the_values_of_additional_headers_are_hidden(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    body = {"success": False, "errors": [{"message": f"bad {GATEWAY_SECRET.upper()} at gateway-host"}]}
    mocked_api.answer("GET", LIST.path, 403, body, headers={"X-Echo": GATEWAY_SECRET})
    caller = make_caller(headers={"X-Gateway": f"Bearer {GATEWAY_SECRET}", "X-Host": "gateway"})
    with pytest.raises(PermissionDeniedError, match="bad <hidden> at gateway-host") as caught:
        caller.call("list_services")
    shown = f"{caught.value!r} {caught.value.errors} {caught.value.body} {dict(caught.value.headers)}"
    shown += f"{caller.client!r} {caller.client.with_response!r}"
    assert GATEWAY_SECRET not in shown.lower()


@pytest.mark.parametrize(
    ("headers", "error_type"),
    [
        ("X: y", TypeError),
        ([("X", "y")], TypeError),
        ({7: "y"}, TypeError),
        ({"X": 7}, TypeError),
        ({"X": None}, TypeError),
        ({"X": ""}, ValueError),
        ({"": "y"}, ValueError),
        ({"X Y": "y"}, ValueError),
        ({"X:": "y"}, ValueError),
        ({"X\r\nY": "y"}, ValueError),
        ({"X": "y\r\nZ: 1"}, ValueError),
        ({"X": "\u00e9"}, ValueError),
        ({"HOST": "elsewhere"}, ValueError),
        ({"Content-Length": "5"}, ValueError),
        ({"transfer-encoding": "chunked"}, ValueError),
        ({"Proxy-Authorization": "Basic x"}, ValueError),
    ],
    ids=repr,
)
def test_invalid_headers_are_refused(make_caller: MakeCaller, headers: Any, error_type: type[Exception]) -> None:
    with pytest.raises(error_type, match="^headers"):
        make_caller(headers=headers)
    with pytest.raises(error_type, match="^headers"):
        make_caller().with_options(headers=headers)


# Attributes of a client.


def test_a_client_shows_its_account_id_and_base_url(make_caller: MakeCaller) -> None:
    caller = make_caller(base_url="https://gateway.example/v4/")
    changed = caller.with_options(account_id=OTHER_ACCOUNT)
    assert (caller.client.account_id, caller.client.base_url) == (ACCOUNT_ID, "https://gateway.example/v4")
    assert (changed.client.account_id, changed.client.base_url) == (OTHER_ACCOUNT, "https://gateway.example/v4")


# with_options.


class CountingLimiter:
    """Counts how often it is entered."""

    def __init__(self) -> None:
        self.entered = 0

    async def __aenter__(self) -> None:
        self.entered += 1

    async def __aexit__(self, *_: object) -> None:
        pass


def test_a_changed_limiter_replaces_the_first(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    first, second = CountingLimiter(), CountingLimiter()
    caller = make_caller(limiter=first)
    caller.with_options(limiter=second).call("list_services")
    assert (first.entered, second.entered) == (0, 1)
    caller.with_options(timeout=5.0).call("list_services")
    assert (first.entered, second.entered) == (1, 1)


def test_changed_options_apply_only_to_the_new_client(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    mocked_api.answer("GET", LIST.path.replace(ACCOUNT_ID, OTHER_ACCOUNT), 200, LIST.answer, repeat=True)
    caller = make_caller(user_agent="first/1")
    changed = caller.with_options(account_id=OTHER_ACCOUNT)
    changed.call("list_services")
    caller.call("list_services")
    sent = [(OTHER_ACCOUNT in request.url, request.headers["User-Agent"]) for request in mocked_api.requests]
    assert sent == [(True, "first/1"), (False, "first/1")]


def test_changed_options_keep_the_credentials(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    make_caller().with_options(user_agent="second/2").call("list_services")
    (request,) = mocked_api.requests
    assert (request.headers["User-Agent"], request.headers["Authorization"]) == ("second/2", f"Bearer {API_TOKEN}")


def test_with_options_returns_a_client_of_the_same_class(make_caller: MakeCaller) -> None:
    caller = make_caller()
    assert type(caller.with_options(timeout=1.0).client) is type(caller.client)


@pytest.mark.parametrize(
    ("changes", "error_type"),
    [
        ({"account_id": ""}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"connect_timeout": "1"}, TypeError),
        ({"retry": 3}, TypeError),
        ({"respect_rate_limits": 0}, TypeError),
        ({"max_response_bytes": -1}, ValueError),
        ({"user_agent": ""}, ValueError),
        ({"api_token": "other"}, TypeError),
    ],
    ids=str,
)
def test_an_invalid_option_is_refused(
    make_caller: MakeCaller, changes: dict[str, Any], error_type: type[Exception]
) -> None:
    with pytest.raises(error_type):
        make_caller().with_options(**changes)


def test_the_limit_on_the_length_of_a_response_can_be_changed(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    caller = make_caller()
    with pytest.raises(pagerduty_alerting.APIResponseValidationError, match="longer than the limit of 10 bytes"):
        caller.with_options(max_response_bytes=10).call("list_services")
    assert caller.call("list_services") == LIST.result


# Results.


def test_delete_returns_the_envelope(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.answer(DELETE.method, DELETE.path, 200, {**DELETE.answer, "result_info": {"count": 0}})
    assert make_caller().call("delete_services") == Envelope(True, None, (), (), ResultInfo(count=0))


def test_list_returns_services_in_the_order_of_the_response(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    rows = [{"id": str(n), "name": f"service {n}"} for n in (3, 1, 2)]
    mocked_api.answer("GET", LIST.path, 200, {"success": True, "result": rows})
    services = make_caller().call("list_services")
    assert services == [Service("3", "service 3"), Service("1", "service 1"), Service("2", "service 2")]


def test_a_created_token_is_not_in_the_repr_of_its_response(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    answer_all(mocked_api)
    response = make_caller().respond(CREATE.name)
    assert response.result.id == TOKEN_ID
    assert TOKEN_ID not in f"{response} {response.envelope} {response.result}"


def test_unexpected_exceptions_become_exceptions_of_the_package(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.fail("GET", LIST.path, ArithmeticError("unforeseen"))
    with pytest.raises(APIConnectionError, match="List PagerDuty services: unexpected ArithmeticError") as caught:
        make_caller().call("list_services")
    assert isinstance(caught.value.__cause__, ArithmeticError)
    assert caught.value.transient is False
