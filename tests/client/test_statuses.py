"""Every status that the API documents or that its edge returns, with both clients.

In the full size with every operation, otherwise with one or two.
"""

from itertools import product
from typing import Any

import pytest

from pagerduty_alerting import (
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Envelope,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from tests.support.callers import MakeCaller
from tests.support.mocked_api import MockedApi
from tests.support.operations import CONNECT, CREATE, LIST, OPERATIONS, TOKEN_ID, Documented
from tests.support.size import sample

FAILURE = {"success": False, "errors": [{"code": 1234, "message": "it went wrong"}]}

ERRORS = {
    300: APIStatusError,
    301: APIStatusError,
    304: APIStatusError,
    307: APIStatusError,
    308: APIStatusError,
    400: BadRequestError,
    401: AuthenticationError,
    402: APIStatusError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIStatusError,
    408: APIStatusError,
    409: ConflictError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    451: APIStatusError,
    499: APIStatusError,
    500: InternalServerError,
    502: InternalServerError,
    503: InternalServerError,
    504: InternalServerError,
    520: InternalServerError,
    599: InternalServerError,
    600: APIStatusError,
    999: APIStatusError,
}

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


@pytest.mark.parametrize(("status", "operation"), sample(product([200, 201, 202, 299], OPERATIONS), every=3), ids=str)
def test_any_2xx_with_success_returns_the_result(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented, status: int
) -> None:
    mocked_api.answer(operation.method, operation.path, status, operation.answer)
    result = make_caller().call(operation.name, *operation.arguments)
    if operation.name == "delete_services":
        assert result == Envelope(True, None)
    else:
        assert result == operation.result


@pytest.mark.parametrize(("status", "operation"), sample(product(ERRORS, OPERATIONS), every=3), ids=str)
def test_each_error_status_has_its_class(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented, status: int
) -> None:
    mocked_api.answer(operation.method, operation.path, status, FAILURE, headers={"CF-Ray": "8f2a-FRA"})
    with pytest.raises(APIStatusError) as caught:
        make_caller().call(operation.name, *operation.arguments)
    error = caught.value
    assert type(error) is ERRORS[status]
    assert (error.status, error.codes, error.ray_id, error.attempts) == (status, (1234,), "8f2a-FRA", 1)
    assert error.method == operation.method
    assert error.path == operation.path.replace(TOKEN_ID, "<hidden>")
    assert "it went wrong" in str(error)


@every_operation
def test_success_false_is_an_error_even_with_the_documented_status(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented
) -> None:
    mocked_api.answer(operation.method, operation.path, operation.status, FAILURE)
    with pytest.raises(APIStatusError, match="it went wrong") as caught:
        make_caller().call(operation.name, *operation.arguments)
    assert type(caught.value) is APIStatusError


@every_operation
@pytest.mark.parametrize("status", [401, 403])
def test_code_10000_names_the_permissions_that_the_operation_needs(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented, status: int
) -> None:
    body = {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}
    mocked_api.answer(operation.method, operation.path, status, body)
    with pytest.raises(APIStatusError, match="Authentication error") as caught:
        make_caller().call(operation.name, *operation.arguments)
    assert f"one of the permissions {', '.join(operation.permissions)}." in str(caught.value)


@pytest.mark.parametrize(
    ("body", "operation"),
    sample(product([b"", b"<html>hello</html>", b"[]", b"{}", b'{"success": null}'], OPERATIONS), every=3),
    ids=str,
)
def test_a_success_status_without_an_envelope_is_a_validation_error(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented, body: bytes
) -> None:
    mocked_api.answer(operation.method, operation.path, operation.status, body)
    with pytest.raises(APIResponseValidationError) as caught:
        make_caller().call(operation.name, *operation.arguments)
    error = caught.value
    assert (error.status, error.method, error.attempts) == (operation.status, operation.method, 1)


@pytest.mark.parametrize(
    ("operation", "result"),
    [(CREATE, result) for result in (None, {}, {"id": None}, {"id": ""}, {"id": 7}, [], "x")]
    + [(CONNECT, result) for result in ({"id": 7}, [], "x")],
    ids=str,
)
def test_a_success_without_the_documented_id_is_a_validation_error(
    make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented, result: Any
) -> None:
    mocked_api.answer(operation.method, operation.path, operation.status, {"success": True, "result": result})
    with pytest.raises(APIResponseValidationError, match=r"@ \$\.result"):
        make_caller().call(operation.name, *operation.arguments)


@every_operation
def test_a_redirect_is_not_followed(make_caller: MakeCaller, mocked_api: MockedApi, operation: Documented) -> None:
    mocked_api.answer(operation.method, operation.path, 302, headers={"Location": "https://elsewhere.example/secret"})
    with pytest.raises(APIStatusError, match=r"a redirect to elsewhere\.example, which is not followed"):
        make_caller().call(operation.name, *operation.arguments)
    assert len(mocked_api.requests) == 1
    assert mocked_api.requests[0].options["allow_redirects"] is False


def test_a_list_with_a_null_result_is_an_empty_list(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.answer(LIST.method, LIST.path, 200, {"success": True, "errors": None, "messages": None, "result": None})
    assert make_caller().call("list_services") == []


def test_retry_after_is_reported_in_seconds(make_caller: MakeCaller, mocked_api: MockedApi) -> None:
    mocked_api.answer(LIST.method, LIST.path, 429, headers={"Retry-After": "17"})
    with pytest.raises(RateLimitError, match="Wait 17 s") as caught:
        make_caller().call("list_services")
    assert caught.value.retry_after == 17.0
