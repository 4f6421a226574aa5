"""The exceptions: their parents and attributes, and that they survive pickling."""

import copy
import pickle
from typing import Any

import pytest

from pagerduty_alerting import RateLimit, RateLimits, ResponseInfo, errors
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ClientUsageError,
    ConfigurationError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PagerDutyAlertingError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)

PARENTS = {
    PagerDutyAlertingError: (Exception,),
    ConfigurationError: (PagerDutyAlertingError,),
    ClientUsageError: (PagerDutyAlertingError, RuntimeError),
    ClientClosedError: (PagerDutyAlertingError,),
    APIConnectionError: (PagerDutyAlertingError,),
    APITimeoutError: (APIConnectionError,),
    APIResponseValidationError: (PagerDutyAlertingError,),
    APIStatusError: (PagerDutyAlertingError,),
    BadRequestError: (APIStatusError,),
    AuthenticationError: (APIStatusError,),
    PermissionDeniedError: (APIStatusError,),
    NotFoundError: (APIStatusError,),
    ConflictError: (APIStatusError,),
    UnprocessableEntityError: (APIStatusError,),
    RateLimitError: (APIStatusError,),
    InternalServerError: (APIStatusError,),
}

REQUEST = {"method": "GET", "path": "/accounts/1"}
RESPONSE: dict[str, Any] = {
    "headers": {"CF-Ray": "ray"},
    "body": "text",
    "ray_id": "ray",
    "rate_limits": RateLimits((RateLimit("default", 5),)),
}


def attributes_of(error_type: type[PagerDutyAlertingError]) -> dict[str, Any]:
    """Returns every argument of a class, each with a value other than its default."""
    if issubclass(error_type, APITimeoutError):
        return {**REQUEST, "attempts": 2, "may_have_acted": False, "phase": "connecting", "timeout": 1.5}
    if issubclass(error_type, APIConnectionError):
        return {**REQUEST, "attempts": 2, "may_have_acted": False, "transient": False}
    if issubclass(error_type, APIResponseValidationError):
        return {**REQUEST, **RESPONSE, "status": 200, "problems": ("it is missing @ $.result",), "attempts": 2}
    if issubclass(error_type, APIStatusError):
        texts = {"errors": (ResponseInfo("a", 10000), ResponseInfo("b")), "messages": (ResponseInfo("c", 1),)}
        return {**REQUEST, **RESPONSE, "status": 403, **texts, "retry_after": 2.5, "attempts": 2}
    return {}


def make(error_type: type[PagerDutyAlertingError]) -> PagerDutyAlertingError:
    return error_type("what went wrong", **attributes_of(error_type))


every_class = pytest.mark.parametrize("error_type", PARENTS, ids=lambda error_type: error_type.__name__)


def test_every_exception_is_tested() -> None:
    assert {error_type.__name__ for error_type in PARENTS} == set(errors.__all__)


@every_class
def test_an_exception_has_the_documented_parents(error_type: type[PagerDutyAlertingError]) -> None:
    assert error_type.__bases__ == PARENTS[error_type]


@every_class
def test_an_exception_has_its_message_and_attributes(error_type: type[PagerDutyAlertingError]) -> None:
    error = make(error_type)
    assert str(error) == "what went wrong"
    defaults: dict[type, dict[str, object]] = {
        APITimeoutError: {"transient": True},
        ClientClosedError: {"may_have_acted": False},
    }
    assert vars(error) == attributes_of(error_type) | defaults.get(error_type, {})


@every_class
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_exception_survives_pickling_with_its_notes(error_type: type[PagerDutyAlertingError], protocol: int) -> None:
    error = make(error_type)
    error.add_note("attempt 1 failed too")
    restored = pickle.loads(pickle.dumps(error, protocol))
    assert type(restored) is error_type
    assert restored.args == error.args
    assert str(restored) == str(error)
    assert vars(restored) == vars(error)
    assert restored.__notes__ == ["attempt 1 failed too"]


@every_class
def test_an_exception_can_be_copied(error_type: type[PagerDutyAlertingError]) -> None:
    error = make(error_type)
    for copied in (copy.copy(error), copy.deepcopy(error)):
        assert (type(copied), copied.args, vars(copied)) == (error_type, error.args, vars(error))


def test_an_unpickled_exception_can_be_raised_and_take_notes() -> None:
    restored = pickle.loads(pickle.dumps(make(NotFoundError)))
    restored.add_note("a note")
    with pytest.raises(NotFoundError) as caught:
        raise restored
    assert caught.value.__notes__ == ["a note"]


def test_a_callers_subclass_survives_pickling() -> None:
    restored = pickle.loads(pickle.dumps(OwnError("text", "detail", **REQUEST)))
    assert (type(restored), restored.detail, restored.method) == (OwnError, "detail", "GET")


class OwnError(APIConnectionError):
    """A caller's subclass with another signature and one more attribute."""

    def __init__(self, message: str, detail: str, **options: Any) -> None:
        super().__init__(message, **options)
        self.detail = detail


@pytest.mark.parametrize("error_type", [APIStatusError, APIResponseValidationError])
def test_an_error_without_a_response_has_empty_attributes(error_type: type[Any]) -> None:
    error = error_type("text", **REQUEST, status=404)
    assert (error.headers, error.body, error.ray_id, error.rate_limits) == ({}, None, None, RateLimits())


def test_codes_are_those_of_the_errors_in_order() -> None:
    infos = (ResponseInfo("a", 7003), ResponseInfo("b"), ResponseInfo("c", 10000))
    assert APIStatusError("text", **REQUEST, status=404, errors=infos).codes == (7003, 10000)
    assert APIStatusError("text", **REQUEST, status=404).codes == ()


def test_by_default_a_connection_error_says_that_the_api_may_have_acted() -> None:
    error = APIConnectionError("text", **REQUEST)
    assert (error.attempts, error.may_have_acted, error.transient) == (1, True, True)
