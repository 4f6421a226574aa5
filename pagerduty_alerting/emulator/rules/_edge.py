"""Cloudflare's edge: rate limits, credentials and the headers of every answer; it must not touch a socket."""

from __future__ import annotations

import attrs

from pagerduty_alerting.emulator.rules.answers import Answer, Refusal, failure
from pagerduty_alerting.emulator.rules.credentials import authenticate
from pagerduty_alerting.emulator.rules.operations import Call, Rules, carry_out, find_account, misrouted
from pagerduty_alerting.emulator.rules.rate_limits import (
    RateLimits,
    Verdict,
    Window,
    burst_headers,
    count_burst,
    count_request,
    quota_headers,
    rate_limited,
)
from pagerduty_alerting.emulator.rules.state import Account, Credential, State

Headers = tuple[tuple[str, str], ...]


@attrs.frozen
class Admission:
    """What the edge found out about a request before any operation.

    Attributes:
        headers: The headers that its answer carries, whatever it is.
        found: Who is asking, or why the request goes no further.
    """

    headers: Headers
    found: Credential | Refusal


@attrs.define
class Edge:
    """Counts requests and lets them through, or not.

    Attributes:
        limits: The rate limits in force.
        rules: The rules of the house.
        state: What the operations read and change.
        windows: The requests of each caller so far, by its secret or IP address.
    """

    limits: RateLimits
    rules: Rules
    state: State
    windows: dict[str, Window] = attrs.field(factory=dict[str, Window], repr=False)

    def admit(self, call: Call, remote: str, now: float) -> Admission:
        """Count a request and check where it leads, who asks, and whether it may now.

        Args:
            call: The request.
            remote: The IP address that it came from.
            now: Seconds of the emulator's clock.

        Returns:
            What was found out.
        """
        limits = self.limits
        ray: Headers = (("CF-Ray", self.state.ids.ray_id()), ("Server", "cloudflare"))
        if limits.per_second is not None:
            self.windows[remote], verdict = count_burst(limits.per_second, self.windows.get(remote), now)
            if not verdict.allowed:
                headers = ray + burst_headers(limits.per_second, verdict)
                return Admission(headers, rate_limited(verdict.reset))
        found = misrouted(call.route) or authenticate(call.headers, self.state)
        if isinstance(found, Refusal):
            anyone = Verdict(limits.requests, limits.window, allowed=True)
            return Admission(ray + quota_headers(limits, anyone), found)
        self.windows[found.secret], verdict = count_request(limits, self.windows.get(found.secret), now)
        headers = ray + quota_headers(limits, verdict)
        return Admission(headers, found if verdict.allowed else rate_limited(verdict.reset))

    def answer(self, call: Call, admission: Admission, now: float) -> Answer:
        """Carry a request out, or refuse it.

        Args:
            call: The request.
            admission: What `admit` found out about it.
            now: Seconds of the emulator's clock.

        Returns:
            The whole answer.
        """
        resource = call.route.resource
        if call.method == "OPTIONS" and resource is not None:
            return Answer(204, b"", (("Allow", resource.allow), *admission.headers))
        found: Account | Refusal | Credential = admission.found
        if isinstance(found, Credential):
            found = find_account(self.state, call, found)
        if isinstance(found, Account):
            answer = carry_out(self.state, call.route, found, self.rules, now)
        else:
            answer = failure(found, self.rules.dialect)
        return Answer(answer.status, answer.body, answer.headers + admission.headers)
