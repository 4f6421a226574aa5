"""A call, and what it ends with: its `Success`, or the exception for its failure; no I/O."""

import asyncio
import contextlib
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from attrs import define

from pagerduty_alerting._http.progress import BACKING_OFF, HELD_BACK, Progress
from pagerduty_alerting._loop.deadlines import Limit
from pagerduty_alerting._pacer import Ticket
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.rate_limit import parse_rate_limits
from pagerduty_alerting._protocol.retry import doubt, may_have_acted
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ClientClosedError,
    RateLimitError,
)
from pagerduty_alerting.models import Envelope, Response

T = TypeVar("T")

Failure = APIConnectionError | APIResponseValidationError | APIStatusError


class Call(Progress, Generic[T]):
    """One call: its request, its deadline and its state."""

    limit: Limit  # its deadline
    attempts = 0  # begun so far
    ticket: Ticket = 0  # with which the pacer admitted the latest attempt
    may_have_acted: bool = False  # the API may have carried out a request of an attempt that failed
    earlier: tuple[str, ...] = ()  # one line for each failed attempt

    def __init__(
        self, request: Request[T], seconds: float, loop: asyncio.AbstractEventLoop, started: float, is_patient: bool
    ) -> None:
        self.request = request
        self.seconds = seconds  # timeout of the whole call
        self.loop = loop  # on which it runs
        self.started = started  # on the clock of the loop
        self.is_patient = is_patient  # waiting for the quota, a connection and the limiter does not count

    def uncounted(self) -> AbstractContextManager[None]:
        """Returns a context manager that stops the clock of a patient call, and has no effect on others."""
        return self.limit.paused() if self.is_patient else contextlib.nullcontext()

    def add_failure(self, error: Failure, elapsed: float) -> None:
        """Records a failed attempt, which a retry follows."""
        error.attempts = self.attempts
        self.may_have_acted |= may_have_acted(error)
        self.earlier += (f"attempt {self.attempts} failed too, {elapsed:.3f} s into the call: {error}",)


@define(eq=False, repr=False)
class Success(Generic[T]):
    """The outcome of a call that succeeded."""

    envelope: Envelope[T]
    answer: RawResponse
    call: Call[T]

    def response(self) -> Response[T]:
        """Returns the response, whose `elapsed` ends now."""
        return Response(
            envelope=self.envelope,
            status=self.answer.status,
            headers=self.answer.headers,
            ray_id=self.answer.ray_id,
            rate_limits=parse_rate_limits(self.answer.headers),
            attempts=self.call.attempts,
            elapsed=self.call.loop.time() - self.call.started,
        )


def final(error: Failure, call: Call[Any]) -> Failure:
    """Returns the error that ends a call, with notes about the earlier attempts."""
    error.attempts = call.attempts
    if isinstance(error, APIConnectionError):
        error.may_have_acted |= call.may_have_acted
    for note in call.earlier:
        error.add_note(note)
    return error


def closed(call: Call[Any]) -> ClientClosedError:
    """Returns the exception for a call that closing the client ended."""
    acted = doubt(call.request.endpoint, was_sent=call.may_have_acted or call.was_sent)
    return ClientClosedError(f"the client was closed during the call{acted}")


def timed_out(call: Call[Any], seconds: float) -> APITimeoutError:
    """Returns the exception for a call, or one of its attempts, whose deadline passed."""
    request = call.request
    if call.phase in {HELD_BACK, BACKING_OFF}:
        attempts = f"after {call.attempts} attempt{'' if call.attempts == 1 else 's'}"
    else:
        attempts = f"in attempt {call.attempts}"
    return APITimeoutError(
        f"{request.endpoint.operation}: no result within {seconds:g} s: the time ran out {attempts}, while"
        f" {call.phase}{doubt(request.endpoint, was_sent=call.was_sent)}. ({request})",
        method=request.method,
        path=request.path,
        phase=call.phase,
        timeout=seconds,
        attempts=call.attempts,
        may_have_acted=call.was_sent,
    )


def quota_used_up(call: Call[Any], seconds: float) -> RateLimitError:
    """Returns the exception for a call that is not sent, because the quota is used up beyond its deadline."""
    request = call.request
    return RateLimitError(
        f"{request.endpoint.operation}: not sent, because the API's rate limit is used up for another {seconds:.0f} s,"
        f" longer than the timeout of {call.seconds:g} s allows. Wait, or call with a longer timeout. ({request})",
        method=request.method,
        path=request.path,
        status=429,
        retry_after=seconds,
    )


def unreadable(call: Call[Any], answer: RawResponse, error: Exception) -> APIResponseValidationError:
    """Returns the exception for a complete response that this package, or a dependency, failed to read."""
    request = call.request
    return APIResponseValidationError(
        f"{request.endpoint.operation}: the response with status {answer.status} cannot be read: unexpected"
        f" {type(error).__name__}{doubt(request.endpoint, was_sent=True)}. ({request})",
        method=request.method,
        path=request.path,
        status=answer.status,
    )
