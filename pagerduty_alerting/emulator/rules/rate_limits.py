"""Cloudflare's rate limits as pure functions of time; it must not read a clock or send anything."""

from __future__ import annotations

import math

import attrs

from pagerduty_alerting.emulator.rules.answers import Refusal


def _at_least_one_if_any(_: object, attribute: attrs.Attribute[int], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, or None for no such limit, not {value}")


@attrs.frozen
class RateLimits:
    """How many requests are answered before the API says 429.

    Attributes:
        requests: Requests in one window for each API token or user.
        window: Length of the window in seconds.
        block: Seconds for which *all* calls of that token or user are refused once it has asked too often.
        per_second: Requests in one second from each IP address; None for no such limit.
    """

    requests: int = attrs.field(default=1200, validator=attrs.validators.ge(1))
    window: float = attrs.field(default=300.0, validator=attrs.validators.gt(0))
    block: float = attrs.field(default=300.0, validator=attrs.validators.ge(0))
    per_second: int | None = attrs.field(default=200, validator=_at_least_one_if_any)

    @classmethod
    def unlimited(cls) -> RateLimits:
        """Limits that no test reaches; the headers are sent all the same."""
        return cls(requests=1_000_000_000, per_second=None)

    @property
    def policy(self) -> str:
        """The value of the ``Ratelimit-Policy`` header."""
        return f'"default";q={self.requests};w={math.ceil(self.window)}'


@attrs.frozen
class Window:
    """The requests of one caller so far.

    Attributes:
        start: When the window opened, in seconds of the emulator's clock.
        count: How many requests came since.
        blocked_until: When a block ends; 0 where there is none.
    """

    start: float
    count: int = 0
    blocked_until: float = -math.inf


@attrs.frozen
class Verdict:
    """What a limit says about one request.

    Attributes:
        remaining: Requests left in the window.
        reset: Seconds until the quota is full again.
        allowed: Whether the request may go on.
    """

    remaining: int
    reset: float
    allowed: bool


def count_request(limits: RateLimits, window: Window | None, now: float) -> tuple[Window, Verdict]:
    """Count one request of a token or user.

    Args:
        limits: The limits in force.
        window: The caller's requests so far; None for a caller never seen.
        now: Seconds of the emulator's clock.

    Returns:
        The caller's requests with this one, and what follows for it.
    """
    if window is not None and now < window.blocked_until:
        return window, Verdict(0, window.blocked_until - now, allowed=False)
    if window is None or now >= window.start + limits.window or window.count > limits.requests:
        window = Window(now)
    count = window.count + 1
    if count > limits.requests:
        blocked = Window(window.start, count, now + limits.block)
        return blocked, Verdict(0, limits.block, allowed=False)
    return Window(window.start, count), Verdict(limits.requests - count, window.start + limits.window - now, True)


def count_burst(quota: int, window: Window | None, now: float) -> tuple[Window, Verdict]:
    """Count one request of an IP address in the current second.

    Args:
        quota: Requests in one second.
        window: The address's requests so far; None for an address never seen.
        now: Seconds of the emulator's clock.

    Returns:
        The address's requests with this one, and what follows for it.
    """
    if window is None or now >= window.start + 1.0:
        window = Window(now)
    count = window.count + 1
    return Window(window.start, count), Verdict(max(0, quota - count), window.start + 1.0 - now, count <= quota)


def quota_headers(limits: RateLimits, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The headers that every answer carries."""
    return (
        ("Ratelimit", f'"default";r={verdict.remaining};t={math.ceil(verdict.reset)}'),
        ("Ratelimit-Policy", limits.policy),
    )


def burst_headers(quota: int, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that the limit of an IP address refused."""
    return (
        ("Ratelimit", f'"burst";r={verdict.remaining};t={math.ceil(verdict.reset)}'),
        ("Ratelimit-Policy", f'"burst";q={quota};w=1'),
    )


def rate_limited(retry_after: float) -> Refusal:
    """The refusal of a request above a limit, with the seconds to wait, rounded up and at least 1."""
    seconds = max(1, math.ceil(retry_after))
    return Refusal(
        429,
        None,
        "Please wait and consider throttling your request speed",
        headers=(("Retry-After", str(seconds)),),
    )
