"""Reads the quotas that responses report, and computes how long to hold requests back; pure."""

import bisect
import datetime
import email.utils
import functools
import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, evolve

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting.models import RateLimit, RateLimitPolicy, RateLimits

# The form that Cloudflare sends, one item with two parameters, is read without the general parser.
_ONE_LIMIT = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]*)";r=([0-9]{1,15});t=([0-9]{1,15})')
_ONE_POLICY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]*)";q=([0-9]{1,15});w=([0-9]{1,15})')

# RFC 9651: an item is a string or token, each parameter a key with an optional bare item. Compiled when first used:
# compiling them takes as long as the first request.
_STRING = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
_TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*"
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,3})?"
_DISPLAY = r'%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"'
_BARE_ITEM = rf"(?:{_STRING}|{_TOKEN}|{_NUMBER}|{_DISPLAY}|:[A-Za-z0-9+/=]*:|\?[01]|@-?[0-9]{{1,15}})"
_KEY = r"[a-z*][a-z0-9_\-.*]*"
_ITEM = rf"({_STRING}|{_TOKEN})((?:;[ ]*{_KEY}(?:={_BARE_ITEM})?)*)"
_PARAMETER = rf";[ ]*({_KEY})(?:=({_BARE_ITEM}))?"
_COMMA = r"[ \t]*,[ \t]*"
_PLAIN_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,3})?"
_SECONDS = r"[0-9]+(?:\.[0-9]+)?"

# Upper bound for `Retry-After`, in seconds: one year.
_LONGEST_RETRY_AFTER = 365 * 86400.0

# In characters; longer headers are ignored.
_MAX_HEADER = 2048


def parse_rate_limits(headers: Mapping[str, str]) -> RateLimits:
    """Returns the quotas in `Ratelimit` and `Ratelimit-Policy`; malformed headers are ignored."""
    limits = itertools.starmap(RateLimit, _limits(headers.get("Ratelimit", "")))
    return RateLimits(tuple(limits), _policies(headers.get("Ratelimit-Policy", "")))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Returns the seconds that `Retry-After` asks for, as a number or as a date after `now` (seconds since 1970)."""
    if value is None:
        return None
    # A repeated header contains several numbers, of which the largest is the safe one.
    parts = [part.strip() for part in value.split(",")]
    if all(re.fullmatch(_SECONDS, part) for part in parts):
        return min(max(map(float, parts)), _LONGEST_RETRY_AFTER)
    try:
        date = email.utils.parsedate_to_datetime(value)
        # Dates of HTTP are in UTC, also in the old form without a time zone.
        seconds = date.replace(tzinfo=date.tzinfo or datetime.UTC).timestamp() - now
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError):  # which that parser may raise
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _limits(header: str) -> list[tuple[str, int, float | None]]:
    """Returns the name, the remaining requests and the seconds to the reset of each quota."""
    if match := _ONE_LIMIT.fullmatch(header):
        name, remaining, seconds = match.groups()
        return [(name, int(remaining), float(seconds))]
    return [(name, int(values["r"]), values.get("t")) for name, values in _items(header) if "r" in values]


@functools.lru_cache(maxsize=32)  # the same in every response
def _policies(header: str) -> tuple[RateLimitPolicy, ...]:
    if match := _ONE_POLICY.fullmatch(header):
        return (RateLimitPolicy(match[1], int(match[2]), float(match[3])),)
    return tuple(
        RateLimitPolicy(name, int(parameters["q"]), parameters.get("w"))
        for name, parameters in _items(header)
        if "q" in parameters
    )


def _items(header: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields each item's name and its non-negative numeric parameters; nothing for a malformed or overlong header."""
    header = header.strip(" \t")
    if len(header) > _MAX_HEADER:
        return
    items: list[tuple[str, dict[str, float]]] = []
    position, item_pattern, comma_pattern = 0, re.compile(_ITEM), re.compile(_COMMA)
    while item := item_pattern.match(header, position):
        name = item[1]
        if name.startswith('"'):
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        values = dict(re.findall(_PARAMETER, item[2]))
        items.append((name, {key: float(value) for key, value in values.items() if re.fullmatch(_PLAIN_NUMBER, value)}))
        if item.end() == len(header):
            yield from items
            return
        comma = comma_pattern.match(header, item.end())
        if comma is None:
            return
        position = comma.end()


@define  # never changed, but a frozen class takes three times as long to instantiate
class Quota:
    """The known state of one quota."""

    remaining: int  # as of the newest response, which may or may not have counted the requests in progress
    reset_at: float  # end of the window, in seconds on the clock of the event loop
    per_window: int | None = None  # requests allowed in each window, if known
    window: float | None = None  # length of the window in seconds, if known


Quotas = Mapping[str, Quota]
"""The known quotas by name."""

Unanswered = Sequence[float]
"""When each request that got no response ended, the oldest first."""

# The name under which a 429 is recorded; no quota of the API can have it.
_BLOCK = "\0block"

# Seconds to wait beyond a reset. The API reports whole seconds, perhaps rounded down, and a request that is too early
# is followed by a block of five minutes.
_ROUNDING = 1.0

# Seconds after which the API counts no request that ended without a response, such as a cancelled one.
_LONGEST_DELAY = 5.0

# Seconds between requests. Cloudflare allows 200 requests a second from one address, which no header reports; this is
# half of that rate.
_SHORTEST_SPACING = 0.01

# Bounds, so that a malformed header can neither block a client for long (in seconds) nor fill its memory.
LONGEST_HOLD = 3600.0
_MOST_QUOTAS = 8


def observe(known: Quotas, answer: RawResponse, now: float) -> Quotas:
    """Returns the quotas after a response; one without the header counts as one request.

    After a 429, no request fits for as long as its `Retry-After` asks for.
    """
    limits = _limits(answer.header("Ratelimit") or "")
    newest = dict(known) if limits else spend(known)
    for name, remaining, seconds in limits if len(limits) <= _MOST_QUOTAS else limits[:_MOST_QUOTAS]:
        if seconds is not None:
            newest[name] = _newest(known.get(name), name, remaining, seconds, answer, now)
    if limits and len(newest) > _MOST_QUOTAS:
        newest = dict(list(newest.items())[-_MOST_QUOTAS:])
    blocked_for = parse_retry_after(answer.header("Retry-After"), time.time()) if answer.status == 429 else None
    return newest if blocked_for is None else block(newest, blocked_for, now)


def block(known: Quotas, retry_after: float, now: float) -> Quotas:
    """Returns the quotas after a 429: no request fits for `retry_after` seconds."""
    return {**known, _BLOCK: Quota(0, now + min(retry_after, LONGEST_HOLD))}


def spend(known: Quotas) -> dict[str, Quota]:
    """Returns the quotas after a request that the API may have counted without reporting it."""
    return {name: evolve(quota, remaining=max(0, quota.remaining - 1)) for name, quota in known.items()}


def has_room(known: Quotas, under_way: int) -> bool:
    """Returns whether one more request certainly fits; if not, `roll` and `hold_back` decide."""
    for quota in known.values():  # noqa: SIM110  # on the path of every call; takes a third of the time of `all`
        if quota.remaining <= under_way:
            return False
    return True


def hold_back(known: Quotas, under_way: int, now: float, unanswered: Unanswered = ()) -> float:
    """Returns the seconds to hold the next request back, zero to send it now."""
    longest = 0.0
    for quota in known.values():
        seconds = quota.reset_at - now
        if seconds > longest and quota.remaining <= under_way + _uncounted(quota, unanswered):
            longest = seconds
    return longest


def spacing(known: Quotas, under_way: int, now: float, unanswered: Unanswered = ()) -> float:
    """Returns the seconds between requests with which the rest of each quota lasts until its reset."""
    longest = _SHORTEST_SPACING
    for quota in known.values():
        left = quota.remaining - under_way - _uncounted(quota, unanswered)
        if not _at_once(left, quota.per_window):
            longest = max(longest, (quota.reset_at - now) / max(left, 1))
    return longest


def _uncounted(quota: Quota, unanswered: Unanswered) -> int:
    """Returns how many requests without a response the current window of a quota may yet count."""
    if not unanswered or quota.window is None:
        return len(unanswered)
    window_began = quota.reset_at - quota.window - _ROUNDING
    return len(unanswered) - bisect.bisect_left(unanswered, window_began - _LONGEST_DELAY)


def seconds_for(known: Quotas, requests: int, now: float) -> float:
    """Returns the seconds that a number of requests spaced by `spacing` takes; zero if no quota limits them."""
    return max((_seconds_for(requests, quota, now) for quota in roll(known, now).values()), default=0.0)


def _seconds_for(requests: int, quota: Quota, now: float) -> float:
    left, to_reset = quota.remaining, quota.reset_at - now
    if quota.per_window is None or quota.window is None or requests <= left:
        return _spread(min(requests, left), left, quota.per_window, to_reset)
    windows, rest = divmod(requests - left - 1, quota.per_window)
    last = _spread(rest + 1, quota.per_window, quota.per_window, quota.window)
    return to_reset + windows * quota.window + last


def _spread(requests: int, left: int, per_window: int | None, to_reset: float) -> float:
    """Returns the seconds for requests that fit into the rest of a window."""
    if left == 0:
        return to_reset
    at_once = _at_once(left, per_window)
    return to_reset * max(0, requests - at_once) / max(left - at_once, 1)


def _at_once(left: int, per_window: int | None) -> int:
    """Returns how many requests need no spacing: those of the first half of a quota."""
    return 0 if per_window is None else max(0, left - (per_window - 1) // 2)


def roll(known: Quotas, now: float) -> Quotas:
    """Returns the quotas at `now`: a window that has ended is replaced by a full one."""
    for quota in known.values():
        if now >= quota.reset_at:
            return {name: rolled for name, old in known.items() if (rolled := _roll(old, now)) is not None}
    return known


def _newest(known: Quota | None, name: str, remaining: int, seconds: float, answer: RawResponse, now: float) -> Quota:
    """Returns a quota after a response. Responses may arrive out of order: within a window the lowest count holds."""
    # Conditions instead of `min`, which takes longer than the rest of this function, on the path of every call.
    reset_at = now + (seconds if seconds < LONGEST_HOLD else LONGEST_HOLD) + _ROUNDING  # noqa: FURB136
    if known is not None and now < known.reset_at and reset_at <= known.reset_at + _ROUNDING:
        lowest = remaining if remaining < known.remaining else known.remaining  # noqa: FURB136
        return Quota(lowest, known.reset_at, known.per_window, known.window)
    for policy in _policies(answer.header("Ratelimit-Policy") or ""):
        if policy.name == name:
            return Quota(remaining, reset_at, policy.quota, policy.window)
    return Quota(remaining, reset_at)


def _roll(quota: Quota, now: float) -> Quota | None:
    if now < quota.reset_at:
        return quota
    if quota.per_window is None or quota.window is None:
        return None
    return evolve(quota, remaining=quota.per_window, reset_at=now + quota.window + _ROUNDING)
