"""Handles each request: records it, applies the faults ordered for it, and returns the response."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from pagerduty_alerting.emulator.faults.gates import Gate
from pagerduty_alerting.emulator.faults.kinds import Latency
from pagerduty_alerting.emulator.faults.playback import AlreadySent, play, to_response
from pagerduty_alerting.emulator.faults.selection import Order, Plan, make_plan
from pagerduty_alerting.emulator.requests import RecordedRequest, RequestLog, record
from pagerduty_alerting.emulator.rules.answers import Answer, Dialect, ErrorCode, Refusal, failure
from pagerduty_alerting.emulator.rules.operations import Exchange, admit, answer
from pagerduty_alerting.emulator.rules.state import State
from pagerduty_alerting.emulator.server import LOGGER

Listener: TypeAlias = Callable[[RecordedRequest], None]
Control: TypeAlias = Callable[[web.BaseRequest, str, bytes], Awaitable[web.StreamResponse]]

CONTROL_PATH = "/_emulator"


class Dispatcher:
    """Handles the requests of one emulator.

    Attributes:
        state: The state of the emulated API.
        orders: The faults that were ordered, oldest first.
        standing: The faults that every reset keeps; they are applied after the others.
        log: Where requests are recorded.
        listener: Called with each request once it has ended; None for no listener.
    """

    def __init__(
        self,
        state: State,
        now: Callable[[], float],
        lock: threading.RLock,
        log: RequestLog,
        control: Control,
        refuse: Callable[[float | None], None],
    ) -> None:
        self.state = state
        self.orders: list[Order] = []
        self.standing: list[Order] = []
        self.log = log
        self.listener: Listener | None = None
        self._now = now
        self._lock = lock
        self._control = control
        self._refuse = refuse

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Returns the response to one request; an unexpected exception is logged and becomes a 500 envelope."""
        exchange: Exchange | None = None
        try:
            body = await request.read() if request.can_read_body else b""
            url = request.rel_url
            path = url.raw_path
            if path.startswith(CONTROL_PATH) or (path == "/" and request.method in {"GET", "HEAD"}):
                return await self._control(request, path, body)
            exchange = Exchange(
                request.method,
                path,
                url.raw_query_string,
                request.headers,
                body,
                request.remote or "",
                time.time(),
                time.perf_counter(),
            )
            return await self._answer(request, exchange)
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
                self._end(exchange)
        return to_response(failure(refusal, Dialect()))

    async def _answer(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        with self._lock:
            state = self.state
            exchange.at = self._now()
            self.log.add(exchange)
            admit(state, exchange)
            plan = self._plan(exchange)
            if plan is None:
                found = answer(state, exchange, exchange.at)
                exchange.status = found.status
                return to_response(found)
        exchange.fault = str(plan)
        await _wait(plan.before)
        found = Answer(200, b"", exchange.reply_headers)
        if plan.acting:
            with self._lock:
                found = answer(state, exchange, self._now())
        await _wait(plan.after)
        if plan.fault is None:
            exchange.status = found.status
            return to_response(found)
        response, exchange.status = await play(plan.fault, request, found, self._refuse)
        return response

    def _plan(self, exchange: Exchange) -> Plan | None:
        if not self.orders and not self.standing:
            return None
        self.orders = [order for order in self.orders if not order.spent]
        return make_plan(self.orders + self.standing, record(exchange), self.state.ids.chance)

    def _end(self, exchange: Exchange) -> None:
        exchange.elapsed = time.perf_counter() - exchange.started
        if self.listener is not None:
            self.listener(record(exchange))


async def _wait(steps: tuple[Latency | Gate, ...]) -> None:
    for step in steps:
        if isinstance(step, Latency):
            await asyncio.sleep(step.seconds)
        else:
            await step.pass_through()
