"""The life of one call, from its arguments to its response: deadline, quota, attempts, retries."""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import field, frozen
from multidict import CIMultiDict

from pagerduty_alerting._arguments import check_seconds
from pagerduty_alerting._codec import decode
from pagerduty_alerting._deadlines import Deadlines
from pagerduty_alerting._endpoints import Endpoint, Request, build_request
from pagerduty_alerting._http import RawResponse
from pagerduty_alerting._pacer import Pacer
from pagerduty_alerting._rate_limit import parse_rate_limits, parse_retry_after
from pagerduty_alerting._retry import next_delay
from pagerduty_alerting._transport import CONNECTING, Progress, Transport
from pagerduty_alerting.config import RetryEvent, Settings
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    RateLimitError,
)
from pagerduty_alerting.models import IntegrationToken, RateLimits, Response

T = TypeVar("T")

logger = logging.getLogger("pagerduty_alerting")

_TOO_MANY_REQUESTS = 429


@frozen(eq=False)
class Core:
    """Settings, and the connections and the quota that clients with the same connections share."""

    settings: Settings
    transport: Transport
    pacer: Pacer
    deadlines: Deadlines
    _headers: Mapping[str, str] = field(init=False, repr=False)

    @_headers.default
    def _make_headers(self) -> Mapping[str, str]:
        return CIMultiDict(self.settings.headers())

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        """Returns a core with the same connections; None leaves a setting as it is."""
        return type(self)(self.settings.changed(changes), self.transport, self.pacer, self.deadlines)

    async def aclose(self) -> None:
        """Ends the calls that are under way, with `ClientClosedError`, and closes the connections. Idempotent."""
        self.pacer.close()
        await self.transport.aclose()

    async def call(
        self,
        endpoint: Endpoint[T],
        account_id: str | None,
        timeout: float | None,
        token: IntegrationToken | None = None,
    ) -> Response[T]:
        """Carries one call out, with as many attempts as the policy allows before the deadline."""
        settings = self.settings
        request = self._build(endpoint, account_id, token)
        seconds = settings.timeout if timeout is None else check_seconds("timeout", timeout)
        clock = asyncio.get_running_loop().time
        started = clock()
        deadline = started + seconds
        attempt = 0
        earlier: list[str] = []
        while True:
            if settings.respect_rate_limits and not self.pacer.admits(clock()):
                await self._await_quota(request, deadline, seconds, attempt)
            attempt += 1
            try:
                answer, rate_limits = await self._attempt(request, deadline, seconds, attempt)
                envelope = decode(request, answer)
            except (APIConnectionError, APIResponseValidationError, APIStatusError) as error:
                error.attempts = attempt
                delay = next_delay(
                    settings.retry,
                    error,
                    replay_safe=endpoint.replay_safe,
                    attempt=attempt,
                    time_left=deadline - clock(),
                    jitter=random.random(),  # noqa: S311  # spreads retries, protects nothing
                )
                if delay is None:
                    for note in earlier:
                        error.add_note(note)
                    raise
                earlier.append(f"attempt {attempt} failed too, {clock() - started:.3f} s into the call: {error}")
                self._announce(RetryEvent(endpoint.operation, attempt, error, delay))
            else:
                return Response(
                    envelope=envelope,
                    status=answer.status,
                    headers=answer.headers,
                    ray_id=answer.ray_id,
                    rate_limits=rate_limits,
                    attempts=attempt,
                    elapsed=clock() - started,
                )
            await self.pacer.pause(delay)

    def _build(self, endpoint: Endpoint[T], account_id: str | None, token: IntegrationToken | None) -> Request[T]:
        account = account_id if account_id is not None else self.settings.account_id
        if account is None:
            raise ConfigurationError("no account: pass account_id=…, or set CLOUDFLARE_ACCOUNT_ID")
        return build_request(
            endpoint, self.settings.base_url, account, token, secrets=self.settings.credentials.secrets()
        )

    async def _await_quota(self, request: Request[object], deadline: float, seconds: float, attempts: int) -> None:
        """Waits until the quota has room for one more request; fails at once when it will have none in time."""
        too_long = await self.pacer.admit(deadline)
        if too_long:
            raise RateLimitError(
                f"{request.endpoint.operation}: not sent, because the API's rate limit is used up for another"
                f" {too_long:.0f} s, longer than the timeout of {seconds:g} s allows. Wait, or call with a longer"
                f" timeout. ({request})",
                method=request.method,
                path=request.path,
                status=429,
                retry_after=too_long,
                attempts=attempts,
            )

    async def _attempt(
        self, request: Request[object], deadline: float, seconds: float, attempt: int
    ) -> tuple[RawResponse, RateLimits]:
        """Sends the request once and reads the answer."""
        settings = self.settings
        clock = asyncio.get_running_loop().time
        started = clock()
        attempt_timeout = settings.retry.attempt_timeout
        end = deadline if attempt_timeout is None else min(deadline, started + attempt_timeout)
        progress = Progress(CONNECTING)
        rate_limits = blocked_for = None
        try:
            with self.deadlines.limit(end):
                answer = await self.transport.send(
                    request,
                    self._headers,
                    connect_timeout=settings.connect_timeout,
                    max_bytes=settings.max_response_bytes,
                    progress=progress,
                )
            rate_limits = parse_rate_limits(answer.headers)
            if answer.status == _TOO_MANY_REQUESTS:
                blocked_for = parse_retry_after(answer.headers.get("Retry-After"), time.time())
        except TimeoutError:
            raise _timed_out(request, progress, attempt, seconds if end == deadline else end - started) from None
        finally:
            if settings.respect_rate_limits:
                self.pacer.settle(rate_limits, blocked_for)
        if logger.isEnabledFor(logging.DEBUG):
            milliseconds = (clock() - started) * 1000
            logger.debug("%s: %d in %.1f ms, ray %s", request, answer.status, milliseconds, answer.ray_id)
        return answer, rate_limits

    def _announce(self, event: RetryEvent) -> None:
        """Says that a retry is coming, to the log and to the caller's hook."""
        logger.info(
            "%s: attempt %d failed, the next follows in %.2f s: %s",
            event.operation,
            event.attempt,
            event.delay,
            event.error,
        )
        if self.settings.retry.on_retry is not None:
            try:
                self.settings.retry.on_retry(event)
            except Exception:
                logger.exception("on_retry raised; the call goes on")


def _timed_out(request: Request[object], progress: Progress, attempt: int, seconds: float) -> APITimeoutError:
    """Returns the exception for an attempt that the time ran out for."""
    may_have_acted = progress.phase != CONNECTING
    acted = (
        " The operation may have been carried out all the same."
        if may_have_acted and not request.endpoint.replay_safe
        else ""
    )
    return APITimeoutError(
        f"{request.endpoint.operation}: no result within {seconds:g} s; attempt {attempt} was {progress.phase}."
        f"{acted} ({request})",
        method=request.method,
        path=request.path,
        phase=progress.phase,
        timeout=seconds,
        attempts=attempt,
        may_have_acted=may_have_acted,
    )
