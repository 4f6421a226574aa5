"""Cloudflare's rate limits, as pure functions of time."""

import math
from typing import Self

from attrs import field, frozen, validators

from pagerduty_alerting.emulator.errors import at_least
from pagerduty_alerting.emulator.rules.answers import Refusal
from pagerduty_alerting.emulator.rules.contract import Headers


@frozen
class RateLimits:
    """The limits above which the API returns 429.

    Attributes:
        requests: The requests of one API token or user in one window.
        window: The length of the window, in seconds.
        block: Seconds for which *all* requests of a token or user above its limit are refused.
        per_second: The requests of one IP address in one second; None for no such limit.
    """

    requests: int = field(default=1200, validator=at_least(1))
    window: float = field(default=300.0, validator=validators.gt(0))
    block: float = field(default=300.0, validator=at_least(0))
    per_second: int | None = field(default=200, validator=at_least(1))

    @classmethod
    def unlimited(cls) -> Self:
        """Returns limits that no test reaches; responses still have the headers."""
        return cls(requests=1_000_000_000, per_second=None)

    @property
    def policy(self) -> str:
        """The value of the `Ratelimit-Policy` header."""
        return f'"default";q={self.requests};w={math.ceil(self.window)}'

    @property
    def burst_policy(self) -> str:
        """The value of the `Ratelimit-Policy` header of a response above the limit of an IP address."""
        return f'"burst";q={self.per_second};w=1'


@frozen
class Window:
    """The requests of one caller in the current window; times are those of the emulator's clock."""

    start: float
    count: int = 0
    blocked_until: float = -math.inf  # -inf if no block is in force


@frozen
class Verdict:
    """The state of a limit after one request."""

    remaining: int
    reset: float  # seconds until the quota resets
    allowed: bool


def count_request(limits: RateLimits, window: Window | None, now: float) -> tuple[Window, Verdict]:
    """Counts one request of a token or user in its window; None without earlier requests."""
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
    """Counts one request of an IP address, which may send `quota` requests in a second."""
    if window is None or now >= window.start + 1.0:
        window = Window(now)
    count = window.count + 1
    return Window(window.start, count), Verdict(max(0, quota - count), window.start + 1.0 - now, count <= quota)


def limit_headers(policy: str, verdict: Verdict) -> Headers:
    """Returns the headers that report a limit; its name is the first part of its policy."""
    name, _, _ = policy.partition(";")
    return (("Ratelimit", f"{name};r={verdict.remaining};t={math.ceil(verdict.reset)}"), ("Ratelimit-Policy", policy))


def rate_limited(retry_after: float) -> Refusal:
    """Returns the refusal of a request above a limit; `Retry-After` is rounded up to at least 1 second."""
    seconds = max(1, math.ceil(retry_after))
    message = "Please wait and consider throttling your request speed"
    return Refusal(429, None, message, headers=(("Retry-After", str(seconds)),))
