"""Leads each request to its answer, past the faults ordered for it; it must not decide what the API says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from pagerduty_alerting.emulator._clock import Clock
from pagerduty_alerting.emulator._request_log import RequestLog
from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.playback import AlreadySent, play, to_response
from pagerduty_alerting.emulator.faults.selection import Latency, Order, Plan, make_plan
from pagerduty_alerting.emulator.requests import Arrival, RecordedRequest, record
from pagerduty_alerting.emulator.rules._edge import Admission, Edge
from pagerduty_alerting.emulator.rules.answers import Answer, Dialect, Refusal, failure, internal_error
from pagerduty_alerting.emulator.rules.contract import find_route
from pagerduty_alerting.emulator.rules.operations import Call
from pagerduty_alerting.emulator.server import LOGGER

Listener: TypeAlias = Callable[[RecordedRequest], None]
Control: TypeAlias = Callable[[web.BaseRequest, str, bytes], Awaitable[web.StreamResponse]]

CONTROL_PATH = "/_emulator"


class Dispatcher:
    """Handles the requests of one emulator.

    Attributes:
        edge: What answers.
        orders: The faults that were ordered, oldest first.
        standing: The faults that stay through every reset; they come after the others.
        log: Where requests are recorded.
        control: What answers below ``/_emulator``.
        listener: Told of each request once it has ended; None for nobody.
        refuse: Stops listening for some seconds, or until further notice.
    """

    def __init__(
        self,
        edge: Edge,
        clock: Clock,
        lock: threading.RLock,
        log: RequestLog,
        control: Control,
        refuse: Callable[[float | None], None],
    ) -> None:
        self.edge = edge
        self.orders: list[Order] = []
        self.standing: list[Order] = []
        self.log = log
        self.control = control
        self.listener: Listener | None = None
        self.refuse = refuse
        self._clock = clock
        self._lock = lock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong is answered with an envelope and logged."""
        try:
            body = await request.read() if request.can_read_body else b""
            path = request.rel_url.raw_path
            if path.startswith(CONTROL_PATH):
                return await self.control(request, path, body)
            call = Call(request.method, path, find_route(request.method, path), request.headers)
            return await self._answer(request, call, body)
        except web.HTTPException as error:
            refusal = Refusal(error.status, None, error.text or error.reason)
        except ConnectionError:
            return AlreadySent()  # the client went away: there is nobody to answer
        except Exception:
            LOGGER.exception("the handling of a %s request failed", request.method)
            refusal = internal_error()
        return to_response(failure(refusal, Dialect()))

    async def _answer(self, request: web.BaseRequest, call: Call, body: bytes) -> web.StreamResponse:
        remote = request.remote or ""
        with self._lock:
            now = self._clock.now()
            edge = self.edge
            arrival = self.log.arrive(call, request.rel_url.raw_query_string, body, remote, now)
            admission = edge.admit(call, remote, now)
            try:
                found = self._plan(arrival) or edge.answer(call, admission, now)
            except Exception:
                self.log.finish(arrival, 500)
                self._tell(arrival)
                raise
            if isinstance(found, Answer):
                self.log.finish(arrival, found.status)
        if isinstance(found, Plan):
            return await self._disturb(request, arrival, edge, admission, found)
        self._tell(arrival)
        return to_response(found)

    def _plan(self, arrival: Arrival) -> Plan | None:
        if not self.orders and not self.standing:
            return None
        self.orders = [order for order in self.orders if not order.spent]
        return make_plan(self.orders + self.standing, record(arrival, None), self.edge.state.ids.chance)

    async def _disturb(
        self, request: web.BaseRequest, arrival: Arrival, edge: Edge, admission: Admission, plan: Plan
    ) -> web.StreamResponse:
        status: int | None = None
        try:
            await _wait(plan.before)
            answer = Answer(200, b"", admission.headers)
            if plan.acting:
                with self._lock:
                    answer = edge.answer(arrival.call, admission, self._clock.now())
            await _wait(plan.after)
            if plan.fault is None:
                status = answer.status
                return to_response(answer)
            response, status = await play(plan.fault, request, answer, self.refuse)
            return response
        finally:
            with self._lock:
                self.log.finish(arrival, status, plan.description)
            self._tell(arrival)

    def _tell(self, arrival: Arrival) -> None:
        if self.listener is not None:
            with self._lock:
                ended = self.log.ended(arrival)
            self.listener(ended)


async def _wait(steps: tuple[Latency | Gate, ...]) -> None:
    for step in steps:
        if isinstance(step, Latency):
            await asyncio.sleep(step.seconds)
        else:
            await step.pass_through()
