"""Carries out one call, from its arguments to its response: deadline, quota, attempts, retries.

`Core.carry_out` sets the deadline, `_try_until_done` makes attempts until one succeeds or none is left, and `_attempt`
sends the request once.
"""

import asyncio
import contextlib
import functools
import logging
import math
import random
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from attrs import field, frozen

from pagerduty_alerting._arguments import check_seconds
from pagerduty_alerting._http.progress import BACKING_OFF, CONNECTING, HELD_BACK, LIMITED, QUEUED
from pagerduty_alerting._http.transport import Transport
from pagerduty_alerting._loop.deadlines import Deadlines, Expired
from pagerduty_alerting._outcome import Call, Failure, Success, closed, final, quota_used_up, timed_out, unreadable
from pagerduty_alerting._pacer import Pacer, Ticket
from pagerduty_alerting._protocol.answer import RawResponse, SecretHeaders
from pagerduty_alerting._protocol.endpoints import ENDPOINTS, Endpoint, Request, build_request
from pagerduty_alerting._protocol.rate_limit import LONGEST_HOLD
from pagerduty_alerting._protocol.redaction import hide_requests
from pagerduty_alerting._protocol.retry import next_delay
from pagerduty_alerting.config import RetryEvent, Settings
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    ClientClosedError,
    ConfigurationError,
    RateLimitError,
)
from pagerduty_alerting.models import Envelope, IntegrationToken

T = TypeVar("T")

logger = logging.getLogger("pagerduty_alerting")


@frozen(eq=False, repr=False)
class Core:
    """Settings of a client, and the connections, quota and deadlines that it shares with others."""

    settings: Settings
    transport: Transport
    pacer: Pacer
    deadlines: Deadlines
    limiter: AbstractAsyncContextManager[object] | None = None
    _headers: Mapping[str, str] = field(init=False, repr=False)
    _requests: Mapping[Endpoint[Any], Request[Any]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_headers", SecretHeaders(self.settings.headers()))
        # Most calls are for the client's own account: their requests are built once.
        own = self.settings.account_id
        plain = [endpoint for endpoint in ENDPOINTS if endpoint.argument is None]
        requests = {} if own is None else {endpoint: self._build(endpoint, own) for endpoint in plain}
        object.__setattr__(self, "_requests", requests)

    def with_settings(
        self, changes: Mapping[str, Any], limiter: AbstractAsyncContextManager[object] | None = None
    ) -> Self:
        """Returns a core with the same connections; None leaves a setting, and the limiter, as it is."""
        settings = self.settings.changed(changes)
        return type(self)(
            settings, self.transport, self.pacer, self.deadlines, self.limiter if limiter is None else limiter
        )

    async def aclose(self) -> None:
        """Ends the calls in progress with `ClientClosedError` and closes the connections. Idempotent."""
        self.transport.is_closed = True
        # First, because aiohttp cancels what calls wait for when it closes.
        self.deadlines.end_all()
        await self.transport.aclose()

    def call(
        self,
        endpoint: Endpoint[T],
        account_id: str | None,
        timeout: float | None,
        argument: IntegrationToken | str | None = None,
    ) -> Coroutine[Any, Any, Success[T]]:
        """Prepares a call and returns the coroutine that carries it out."""
        return self.carry_out(self.prepare(endpoint, account_id, timeout, argument))

    def prepare(
        self,
        endpoint: Endpoint[T],
        account_id: str | None,
        timeout: float | None,
        argument: IntegrationToken | str | None = None,
        *,
        is_patient: bool = False,
    ) -> Call[T]:
        """Returns a call that is ready to be carried out; its time begins now.

        Waiting for the quota, a connection and the limiter does not count against the time of a patient call.
        """
        request = self._request(endpoint, account_id, argument)
        seconds = self.settings.timeout if timeout is None else check_seconds("timeout", timeout)
        # Looked up once for the whole call: on Python 3.11 every look-up is a system call.
        loop = self.transport.check_usable()
        started = loop.time()
        call = Call(request, seconds, loop, started, is_patient)
        call.limit = self.deadlines.limit(started + seconds, call)
        return call

    async def carry_out(self, call: Call[T]) -> Success[T]:
        """Makes attempts, as many as the policy allows before the deadline.

        An exception is raised again without the frames that hold requests, as the same object: error trackers show the
        local variables of a traceback's frames.
        """
        outer, failure = sys.exception(), None
        try:
            with call.limit:
                return await self._try_until_done(call)
        except GeneratorExit:
            raise
        except Expired:
            pass  # not chained: its context is only a cancellation
        except BaseException as error:
            failure = error
        # Outside the handlers, so that the exception gets no context except the caller's.
        if failure is None:
            failure = closed(call) if self.transport.is_closed else final(timed_out(call, call.seconds), call)
        if isinstance(failure, ClientClosedError):
            failure.may_have_acted |= call.may_have_acted or call.was_sent
        hide_requests(failure, outer)
        try:
            raise failure
        finally:
            del failure, outer  # breaks the reference cycle of the exception and this frame

    def _request(
        self, endpoint: Endpoint[T], account_id: str | None, argument: IntegrationToken | str | None
    ) -> Request[T]:
        if account_id is None:
            if argument is None and endpoint in self._requests:
                return self._requests[endpoint]
            account_id = self.settings.account_id
            if account_id is None:
                raise ConfigurationError("no account: pass account_id=…, or set CLOUDFLARE_ACCOUNT_ID")
        return self._build(endpoint, account_id, argument)

    def _build(
        self, endpoint: Endpoint[T], account_id: str, argument: IntegrationToken | str | None = None
    ) -> Request[T]:
        secrets = self.settings.secrets()
        return build_request(endpoint, self.settings.base_url, account_id, argument, secrets=secrets)

    async def _try_until_done(self, call: Call[T]) -> Success[T]:
        """Makes attempts until one succeeds or no retry follows, and raises the last failure."""
        clock, now = call.loop.time, call.started
        while True:
            ticket = self.pacer.admit(call.loop, now, regardless=not self.settings.respect_rate_limits)
            call.ticket = ticket or await self._await_quota(call)
            call.attempts += 1
            outcome = await self._attempt(call)
            if isinstance(outcome, Success):
                return outcome
            is_for_quota = call.is_patient and isinstance(outcome, RateLimitError)
            delay = next_delay(
                self.settings.retry,
                outcome,
                replay_safe=call.request.endpoint.replay_safe,
                attempt=call.attempts,
                time_left=math.inf if is_for_quota else call.limit.when - clock(),
                jitter=random.random(),  # noqa: S311  # spreads retries, protects nothing
            )
            if delay is None:
                raise final(outcome, call)
            if is_for_quota:
                delay = min(delay, LONGEST_HOLD)
            self._announce(outcome, call, delay, clock() - call.started)
            call.phase = BACKING_OFF
            with call.uncounted() if is_for_quota else contextlib.nullcontext():
                await asyncio.sleep(delay)
            now = clock()

    async def _await_quota(self, call: Call[Any]) -> Ticket:
        """Waits until the quota has room for one more request; fails at once if the deadline comes first."""
        call.phase = HELD_BACK
        with call.uncounted():
            ticket, too_long = await self.pacer.wait_for_admission(math.inf if call.is_patient else call.limit.when)
        if too_long:
            raise final(quota_used_up(call, too_long), call)
        return ticket

    async def _attempt(self, call: Call[T]) -> Success[T] | Failure:
        """Sends the request once and returns the outcome; updates the quota and the log."""
        clock, is_logged = call.loop.time, logger.isEnabledFor(logging.DEBUG)
        started = clock() if is_logged else 0.0
        answer, decode = None, _decoder()
        call.phase = CONNECTING
        slots, slot_is_held = self.transport.slots(call.loop, in_fleet=call.is_patient), False
        try:
            if slots is not None and not slots.take():
                call.phase = QUEUED
                with call.uncounted():
                    await slots.wait()
                call.phase = CONNECTING
            slot_is_held = True
            if self.limiter is None and self.settings.retry.attempt_timeout is None:
                answer = await self._send(call)
            else:
                answer = await self._send_within_limits(call)
            self.pacer.learn(call.ticket, answer, clock())
            return Success(decode(call.request, answer), answer, call)
        except (APIConnectionError, APIResponseValidationError, APIStatusError) as error:
            return error
        except Exception as error:
            if answer is None:  # raised by the limiter or a hook
                raise
            return unreadable(call, answer, error)
        finally:
            if slots is not None and slot_is_held:
                slots.give_back()
            self.pacer.settle(call.ticket, is_unanswered=answer is None and call.was_sent)
            if is_logged:
                _log_attempt(call, answer, (clock() - started) * 1000)

    async def _send_within_limits(self, call: Call[Any]) -> RawResponse:
        """Sends the request within the caller's limiter, and in the time that the policy gives an attempt."""
        async with contextlib.AsyncExitStack() as entered:
            if self.limiter is not None:
                call.phase = LIMITED
                with call.uncounted():
                    await entered.enter_async_context(self.limiter)
                call.phase = CONNECTING
            seconds = self.settings.retry.attempt_timeout
            if seconds is None:
                return await self._send(call)
            try:
                with self.deadlines.limit(call.loop.time() + seconds, call):
                    return await self._send(call)
            except Expired:
                pass
            raise timed_out(call, seconds)

    def _send(self, call: Call[Any]) -> Coroutine[Any, Any, RawResponse]:
        return self.transport.send(
            call.request,
            self._headers,
            call.loop,
            connect_timeout=self.settings.connect_timeout,
            max_bytes=self.settings.max_response_bytes,
            progress=call,
        )

    def _announce(self, error: Failure, call: Call[Any], delay: float, elapsed: float) -> None:
        """Records a failed attempt, logs the retry, calls `on_retry`."""
        hide_requests(error, sys.exception())
        call.add_failure(error, elapsed)
        operation = call.request.endpoint.operation
        logger.info("%s: attempt %d failed, the next follows in %.2f s: %s", operation, call.attempts, delay, error)
        on_retry = self.settings.retry.on_retry
        if on_retry is not None:
            try:
                on_retry(RetryEvent(operation, call.attempts, error, delay))
            except Exception as hooks_error:
                hide_requests(hooks_error, sys.exception())
                logger.exception("on_retry raised; the call goes on")


@functools.cache
def _decoder() -> Callable[[Request[Any], RawResponse], Envelope[Any]]:
    # Loaded with the first call: the converters are a tenth of what importing the client would cost.
    from pagerduty_alerting._protocol.codec import decode

    return decode


def _log_attempt(call: Call[Any], answer: RawResponse | None, milliseconds: float) -> None:
    if answer is None:
        logger.debug("%s: no response in %.1f ms, it ended while %s", call.request, milliseconds, call.phase)
    else:
        logger.debug("%s: %d in %.1f ms, ray %s", call.request, answer.status, milliseconds, answer.ray_id)
