"""Handles each request: records it, applies the faults ordered for it, and returns the response."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from attrs import define, field

from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.kinds import Latency, Respond
from pagerduty_alerting.emulator.faults.playback import AlreadySent, play
from pagerduty_alerting.emulator.faults.selection import Order, Plan, make_plan
from pagerduty_alerting.emulator.requests import RecordedRequest, RequestLog, record
from pagerduty_alerting.emulator.rules.answers import Answer, Dialect, ErrorCode, Refusal, failure
from pagerduty_alerting.emulator.rules.operations import Exchange, admit, answer
from pagerduty_alerting.emulator.rules.state import State
from pagerduty_alerting.emulator.server import LOGGER, to_response

Listener: TypeAlias = Callable[[RecordedRequest], None]
Control: TypeAlias = Callable[[web.BaseRequest, str, bytes], Awaitable[web.StreamResponse]]

CONTROL_PATH = "/_emulator"


@define(eq=False, repr=False)
class Dispatcher:
    """Handles the requests of one emulator."""

    state: State
    log: RequestLog
    lock: threading.RLock  # held while the state, the log or the orders change
    clock: Callable[[], float]
    control: Control  # handles the requests of the control API and of the page
    refuse: Callable[[float | None], None]  # stops listening for so many seconds; with None, until `accept`
    orders: list[Order] = field(factory=list[Order])  # the oldest first
    standing: list[Order] = field(factory=list[Order])  # those that a reset keeps; they are applied after the others
    listener: Listener | None = None  # called with each request once it has ended
    advanced: float = 0.0  # seconds by which the emulator's clock is ahead of `clock`

    def now(self) -> float:
        """Returns the time, in seconds of the emulator's clock."""
        return self.clock() + self.advanced

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Returns the response to one request; an unexpected exception is logged and becomes a 500 envelope."""
        exchange: Exchange | None = None
        try:
            body = await request.read() if request.can_read_body else b""
            url = request.rel_url
            path = url.raw_path
            if path.startswith(CONTROL_PATH) or (path == "/" and request.method in {"GET", "HEAD"}):
                return await self.control(request, path, body)
            remote, query = request.remote or "", url.raw_query_string
            received_at, started = time.time(), time.perf_counter()
            exchange = Exchange(request.method, path, query, request.headers, body, remote, received_at, started)
            return await self._respond(request, exchange)
        except web.HTTPException as error:
            refusal = Refusal(error.status, None, error.text or error.reason)
        except ConnectionError:
            return AlreadySent()  # the client closed the connection
        except Exception:
            LOGGER.exception("the handling of a %s request failed", request.method)
            refusal = Refusal(500, ErrorCode.INTERNAL_ERROR, "The emulator failed: the traceback is in its log")
            if exchange is not None:
                exchange.status = 500
        finally:
            if exchange is not None:
                exchange.elapsed = time.perf_counter() - exchange.started
                if self.listener is not None:
                    self.listener(record(exchange))
        return to_response(failure(refusal, Dialect()))

    async def _respond(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        with self.lock:
            exchange.at = self.now()
            self.log.add(exchange)
            admit(self.state, exchange)
            plan = self._make_plan(exchange)
            if plan is None:
                found = answer(self.state, exchange, exchange.at)
                exchange.status = found.status
                return to_response(found)
            state = self.state  # a reset meanwhile replaces it
        exchange.fault = str(plan)
        await _wait(plan.before)
        found = Answer(200, b"", exchange.response_headers)
        if plan.acting:
            with self.lock:
                found = answer(state, exchange, self.now())
        await _wait(plan.after)
        fault = plan.fault
        if fault is None or not fault.silent:
            exchange.status = fault.status if isinstance(fault, Respond) else found.status
        return to_response(found) if fault is None else await play(fault, request, found, self.refuse)

    def _make_plan(self, exchange: Exchange) -> Plan | None:
        if not self.orders and not self.standing:
            return None
        self.orders = [order for order in self.orders if not order.spent]
        return make_plan(self.orders + self.standing, record(exchange), self.state.ids.chance)


async def _wait(steps: tuple[Latency | Gate, ...]) -> None:
    for step in steps:
        if isinstance(step, Latency):
            await asyncio.sleep(step.seconds)
        else:
            await step.pass_through()
