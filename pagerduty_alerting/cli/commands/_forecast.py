"""Tells how long a run over many accounts will take, from what the answers say of the quota; pure."""

from attrs import evolve, field, frozen

from pagerduty_alerting import RateLimits


@frozen
class Quota:
    """What is left of one quota.

    Attributes:
        remaining: Requests left.
        reset_at: When the quota is full again.
        per_window: Requests in each window.
        window: Seconds of each window.
    """

    remaining: int
    reset_at: float
    per_window: int
    window: float


@frozen
class Forecast:
    """What is known so far. All times are of one clock, in seconds.

    Attributes:
        quotas: The quotas, by their names.
        blocked_until: When a block ends.
    """

    quotas: dict[str, Quota] = field(factory=dict[str, Quota])
    blocked_until: float = 0.0

    def after(self, limits: RateLimits, now: float) -> "Forecast":
        """Returns what is known after an answer that said so."""
        policies = {policy.name: policy for policy in limits.policies}
        quotas = dict(self.quotas)
        for limit in limits.limits:
            policy = policies.get(limit.name)
            if policy is not None and policy.quota and policy.window and limit.reset_after is not None:
                quotas[limit.name] = Quota(limit.remaining, now + limit.reset_after, policy.quota, policy.window)
        return evolve(self, quotas=quotas)

    def blocked(self, seconds: float, now: float) -> "Forecast":
        """Returns what is known after an answer that asked to wait."""
        return evolve(self, blocked_until=now + seconds)

    def held_back(self, now: float) -> float:
        """Returns the seconds until requests go again; zero where they go."""
        ends = [quota.reset_at for quota in self.quotas.values() if quota.remaining == 0]
        return max(0.0, *(end - now for end in (self.blocked_until, *ends)))

    def seconds_for(self, requests: int, now: float) -> float:
        """Returns the seconds that the quota makes so many more requests take; zero where it does not matter."""
        needed = max((_seconds_for(requests, quota, now) for quota in self.quotas.values()), default=0.0)
        return max(needed, self.blocked_until - now, 0.0)


def _seconds_for(requests: int, quota: Quota, now: float) -> float:
    left = quota.remaining if now < quota.reset_at else quota.per_window
    to_reset = quota.reset_at - now if now < quota.reset_at else quota.window
    if requests <= left:
        return _spread(requests, left, quota.per_window, to_reset)
    windows, rest = divmod(requests - left - 1, quota.per_window)
    return to_reset + windows * quota.window + _spread(rest + 1, quota.per_window, quota.per_window, quota.window)


def _spread(requests: int, left: int, per_window: int, to_reset: float) -> float:
    """The client lets half of a quota go at once, and spreads the other half over the time to the reset."""
    at_once = max(0, left - per_window // 2)
    return to_reset * max(0, requests - at_once) / max(left - at_once, 1)
