"""The rules for a failed *connect* while the command waits, without a server."""

import pytest

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    RateLimitError,
    ResponseInfo,
)
from pagerduty_alerting.cli.commands._waiting import NextStep, client_error, next_step, next_wait

WHERE = {"method": "GET", "path": "/connect/<hidden>"}


def refused(status: int, code: int | None = 17302, *, retry_after: float | None = None) -> APIStatusError:
    kind = RateLimitError if status == 429 else APIStatusError
    return kind("no", **WHERE, status=status, errors=(ResponseInfo("no", code),), retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 400, 404, 409, 410, 422, 425])
def test_the_first_refusal_of_a_new_token_means_not_authorized_yet(status):
    assert next_step(refused(status), None, is_new=True) is NextStep.RETRY


def test_the_same_refusal_again_means_not_authorized_yet():
    first = client_error(refused(400))
    assert next_step(refused(400), first, is_new=True) is NextStep.RETRY


@pytest.mark.parametrize("changed", [refused(409, 17302), refused(400, 17304), refused(400, None)])
def test_a_different_refusal_is_final(changed):
    assert next_step(changed, client_error(refused(400)), is_new=True) is NextStep.FAIL


@pytest.mark.parametrize("status", [404, 409, 410])
def test_an_earlier_token_that_is_unknown_or_used_is_not_waited_for(status):
    assert next_step(refused(status), None, is_new=False) is NextStep.FAIL


@pytest.mark.parametrize("error", [refused(401), refused(403), refused(400, 10000)])
def test_refused_credentials_are_final(error):
    assert next_step(error, None, is_new=True) is NextStep.FAIL


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
def test_after_a_server_error_the_outcome_is_checked(status):
    assert next_step(refused(status), None, is_new=True) is NextStep.CHECK


@pytest.mark.parametrize(
    "error",
    [
        APIConnectionError("broke", **WHERE),
        APITimeoutError("late", **WHERE, phase="reading the response", timeout=1.0),
        APIResponseValidationError("odd", **WHERE, status=200),
    ],
    ids=["broken connection", "timeout", "undocumented response"],
)
def test_after_a_lost_or_invalid_response_the_outcome_is_checked(error):
    assert next_step(error, None, is_new=True) is NextStep.CHECK


def test_a_request_that_was_never_sent_may_be_sent_again():
    error = APIConnectionError("no route", **WHERE, may_have_acted=False)
    assert next_step(error, None, is_new=True) is NextStep.RETRY


def test_an_untrusted_certificate_is_final():
    error = APIConnectionError("untrusted", **WHERE, may_have_acted=False, transient=False)
    assert next_step(error, None, is_new=True) is NextStep.FAIL


def test_a_rate_limit_is_waited_for_and_does_not_mean_not_authorized_yet():
    assert next_step(refused(429), None, is_new=False) is NextStep.RETRY
    assert client_error(refused(429)) is None


@pytest.mark.parametrize("status", [302, 404])
def test_a_response_without_an_error_of_the_api_is_final(status):
    assert next_step(APIStatusError("page", **WHERE, status=status), None, is_new=True) is NextStep.FAIL


def test_the_next_attempt_waits_as_long_as_retry_after_says():
    assert next_wait(refused(429, retry_after=60.0), 5.0) == 60.0
    assert next_wait(refused(429, retry_after=1.0), 5.0) == 5.0
