"""The life of one call, from its arguments to its response: deadline, quota, attempts, retries."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Self, TypeVar

from attrs import define, field, frozen

from pagerduty_alerting._arguments import check_seconds
from pagerduty_alerting._deadlines import Deadlines, Limit
from pagerduty_alerting._endpoints import Endpoint, Request, build_request
from pagerduty_alerting._http import RawResponse, SecretHeaders
from pagerduty_alerting._pacer import Pacer
from pagerduty_alerting._rate_limit import LONGEST_HOLD, parse_rate_limits, parse_retry_after
from pagerduty_alerting._retry import may_have_acted, next_delay
from pagerduty_alerting._transport import CONNECTING, Progress, Transport
from pagerduty_alerting.config import RetryEvent, Settings
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    RateLimitError,
)
from pagerduty_alerting.models import Envelope, IntegrationToken, RateLimits, Response

T = TypeVar("T")

Failure = APIConnectionError | APIResponseValidationError | APIStatusError

logger = logging.getLogger("pagerduty_alerting")

_TOO_MANY_REQUESTS = 429

# What a call is doing besides the phases of an attempt, which the transport tells.
HELD_BACK = "waiting for the rate limit"
LIMITED = "waiting for the limiter"
BACKING_OFF = "waiting to try again"


@define(eq=False)
class _Call(Progress, Generic[T]):
    """One call: what it asks for, how long it may take, and how it went so far."""

    request: Request[T]
    seconds: float
    started: float
    limit: Limit
    is_patient: bool = False
    attempts: int = 0
    may_have_acted: bool = False
    earlier: list[str] = field(factory=list[str])

    @property
    def deadline(self) -> float:
        return self.limit.when


@frozen(eq=False)
class Core:
    """Settings, and the connections, the quota and the deadlines of clients with the same connections."""

    settings: Settings
    transport: Transport
    pacer: Pacer
    deadlines: Deadlines
    limiter: AbstractAsyncContextManager[object] | None = None
    _headers: Mapping[str, str] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_headers", SecretHeaders(self.settings.headers()))

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        """Returns a core with the same connections; None leaves a setting as it is."""
        return type(self)(self.settings.changed(changes), self.transport, self.pacer, self.deadlines, self.limiter)

    async def aclose(self) -> None:
        """Ends the calls that are under way, with `ClientClosedError`, and closes the connections. Idempotent."""
        self.transport.is_closed = True
        # First, so that calls end by us and not by aiohttp, which cancels what they wait for when it closes.
        self.deadlines.end_all()
        await self.transport.aclose()

    async def call(
        self,
        endpoint: Endpoint[T],
        account_id: str | None,
        timeout: float | None,
        token: IntegrationToken | None = None,
        *,
        is_patient: bool = False,
    ) -> Response[T]:
        """Carries one call out, with as many attempts as the policy allows before the deadline.

        A patient call waits for the quota and the limiter as long as it takes: that does not count against its time.
        """
        request = self._build(endpoint, account_id, token)
        seconds = self.settings.timeout if timeout is None else check_seconds("timeout", timeout)
        self.transport.check_usable()
        started = asyncio.get_running_loop().time()
        call = _Call(CONNECTING, request, seconds, started, self.deadlines.limit(started + seconds), is_patient)
        try:
            with call.limit:
                return await self._try_until_done(call)
        except TimeoutError:
            pass  # raised below, so that the error does not hold on to what was cancelled
        if self.transport.is_closed:
            raise ClientClosedError("the client was closed while the call was under way")
        raise _final(_timed_out(call, call.seconds), call)

    def _build(self, endpoint: Endpoint[T], account_id: str | None, token: IntegrationToken | None) -> Request[T]:
        account = account_id if account_id is not None else self.settings.account_id
        if account is None:
            raise ConfigurationError("no account: pass account_id=…, or set CLOUDFLARE_ACCOUNT_ID")
        return build_request(
            endpoint, self.settings.base_url, account, token, secrets=self.settings.credentials.secrets()
        )

    async def _try_until_done(self, call: _Call[T]) -> Response[T]:
        """Makes attempts until one succeeds or there is no point in another."""
        clock = asyncio.get_running_loop().time
        while True:
            if not self.pacer.admit(clock(), regardless=not self.settings.respect_rate_limits):
                await self._await_quota(call)
            call.attempts += 1
            try:
                answer, rate_limits = await self._attempt(call)
                envelope = _decode(call.request, answer)
            except (APIConnectionError, APIResponseValidationError, APIStatusError) as error:
                is_for_quota = call.is_patient and isinstance(error, RateLimitError)
                delay = next_delay(
                    self.settings.retry,
                    error,
                    replay_safe=call.request.endpoint.replay_safe,
                    attempt=call.attempts,
                    time_left=math.inf if is_for_quota else call.deadline - clock(),
                    jitter=random.random(),  # noqa: S311  # spreads retries, protects nothing
                )
                if delay is None:
                    _final(error, call)
                    raise
                if is_for_quota:
                    delay = min(delay, LONGEST_HOLD)
                self._announce(error, call, delay, clock() - call.started)
            else:
                return Response(
                    envelope=envelope,
                    status=answer.status,
                    headers=answer.headers,
                    ray_id=answer.ray_id,
                    rate_limits=rate_limits,
                    attempts=call.attempts,
                    elapsed=clock() - call.started,
                )
            call.phase = BACKING_OFF
            with self._uncounted(call) if is_for_quota else contextlib.nullcontext():
                await asyncio.sleep(delay)

    async def _await_quota(self, call: _Call[Any]) -> None:
        """Waits until the quota has room for one more request; fails at once when it will have none in time."""
        call.phase = HELD_BACK
        with self._uncounted(call):
            too_long = await self.pacer.wait_for_admission(math.inf if call.is_patient else call.deadline)
        if too_long:
            error = RateLimitError(
                f"{call.request.endpoint.operation}: not sent, because the API's rate limit is used up for another"
                f" {too_long:.0f} s, longer than the timeout of {call.seconds:g} s allows. Wait, or call with a longer"
                f" timeout. ({call.request})",
                method=call.request.method,
                path=call.request.path,
                status=_TOO_MANY_REQUESTS,
                retry_after=too_long,
            )
            raise _final(error, call)

    async def _attempt(self, call: _Call[Any]) -> tuple[RawResponse, RateLimits]:
        """Sends the request once and reads the answer, with its part in the quota and in the log."""
        clock = asyncio.get_running_loop().time
        started = clock()
        answer = rate_limits = blocked_for = None
        try:
            answer = await (self._send(call) if self.limiter is None else self._send_limited(call, self.limiter))
            rate_limits = parse_rate_limits(answer.headers)
            if answer.status == _TOO_MANY_REQUESTS:
                blocked_for = parse_retry_after(answer.headers.get("Retry-After"), time.time())
            return answer, rate_limits
        finally:
            self.pacer.settle(rate_limits, blocked_for, was_sent=call.was_sent)
            if logger.isEnabledFor(logging.DEBUG):
                _log_attempt(call, answer, (clock() - started) * 1000)

    async def _send_limited(self, call: _Call[Any], limiter: AbstractAsyncContextManager[object]) -> RawResponse:
        """Sends the request within the caller's limiter."""
        call.phase = LIMITED
        async with contextlib.AsyncExitStack() as entered:
            with self._uncounted(call):
                await entered.enter_async_context(limiter)
            return await self._send(call)

    async def _send(self, call: _Call[Any]) -> RawResponse:
        """Sends the request and reads the answer, in the time that the policy gives an attempt."""
        call.phase = CONNECTING
        limit = self.settings.retry.attempt_timeout
        if limit is None:
            return await self._exchange(call)
        try:
            with self.deadlines.limit(asyncio.get_running_loop().time() + limit):
                return await self._exchange(call)
        except TimeoutError:
            pass
        raise _timed_out(call, limit)

    async def _exchange(self, call: _Call[Any]) -> RawResponse:
        return await self.transport.send(
            call.request,
            self._headers,
            connect_timeout=self.settings.connect_timeout,
            max_bytes=self.settings.max_response_bytes,
            progress=call,
        )

    @contextlib.contextmanager
    def _uncounted(self, call: _Call[Any]) -> Generator[None]:
        """Stops the clock of a patient call; for any other call time goes on."""
        if not call.is_patient:
            yield
            return
        clock = asyncio.get_running_loop().time
        left = call.deadline - clock()
        self.deadlines.move(call.limit, math.inf)
        try:
            yield
        finally:
            self.deadlines.move(call.limit, clock() + left)

    def _announce(self, error: Failure, call: _Call[Any], delay: float, elapsed: float) -> None:
        """Keeps a failed attempt in mind, and says that a retry is coming: to the log and to the caller's hook."""
        error.attempts = call.attempts
        call.may_have_acted |= may_have_acted(error)
        call.earlier.append(f"attempt {call.attempts} failed too, {elapsed:.3f} s into the call: {error}")
        operation = call.request.endpoint.operation
        logger.info("%s: attempt %d failed, the next follows in %.2f s: %s", operation, call.attempts, delay, error)
        on_retry = self.settings.retry.on_retry
        if on_retry is not None:
            try:
                on_retry(RetryEvent(operation, call.attempts, error, delay))
            except Exception:
                logger.exception("on_retry raised; the call goes on")


def _decode(request: Request[T], answer: RawResponse) -> Envelope[T]:
    # Loaded with the first answer: the converters are a tenth of what importing the client would cost.
    from pagerduty_alerting._codec import decode

    return decode(request, answer)


def _log_attempt(call: _Call[Any], answer: RawResponse | None, milliseconds: float) -> None:
    if answer is None:
        logger.debug("%s: no answer in %.1f ms, it ended while %s", call.request, milliseconds, call.phase)
    else:
        logger.debug("%s: %d in %.1f ms, ray %s", call.request, answer.status, milliseconds, answer.ray_id)


def _final(error: Failure, call: _Call[Any]) -> Failure:
    """Returns the error that ends a call, with what the attempts before it have to say."""
    error.attempts = call.attempts
    if isinstance(error, APIConnectionError):
        error.may_have_acted |= call.may_have_acted
    for note in call.earlier:
        error.add_note(note)
    return error


def _timed_out(call: _Call[Any], seconds: float) -> APITimeoutError:
    """Returns the exception for a call, or one attempt of it, that the time ran out for."""
    request = call.request
    doubt = call.was_sent and not request.endpoint.replay_safe
    if call.phase in {HELD_BACK, BACKING_OFF}:
        attempts = f"after {call.attempts} attempt{'' if call.attempts == 1 else 's'}"
    else:
        attempts = f"in attempt {call.attempts}"
    return APITimeoutError(
        f"{request.endpoint.operation}: no result within {seconds:g} s: the time ran out {attempts}, while"
        f" {call.phase}.{' The operation may have been carried out all the same.' if doubt else ''} ({request})",
        method=request.method,
        path=request.path,
        phase=call.phase,
        timeout=seconds,
        attempts=call.attempts,
        may_have_acted=call.was_sent,
    )
