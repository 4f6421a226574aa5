"""Runs one coroutine function over many accounts, a few at a time, in memory that does not grow with their number."""

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, cast

from attrs import define, field

from pagerduty_alerting._arguments import check_count, check_flag, check_identifier, check_seconds
from pagerduty_alerting._call import Core
from pagerduty_alerting._http.transport import running_loop
from pagerduty_alerting._loop.deadlines import Deadlines, Expired
from pagerduty_alerting._loop.sync_call import CallersItems
from pagerduty_alerting._outcome import Call
from pagerduty_alerting._pacer import Pacer
from pagerduty_alerting._protocol.endpoints import Endpoint
from pagerduty_alerting.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    ClientClosedError,
)
from pagerduty_alerting.models import Envelope

T = TypeVar("T")
S = TypeVar("S")
F = TypeVar("F")


def each_account(
    core: Core,
    endpoint: Endpoint[T],
    account_ids: Iterable[str] | AsyncIterable[str],
    succeeded: Callable[[str, Envelope[T]], S],
    failed: Callable[[str, None, Exception], F],
    concurrency: int,
    ordered: bool,
    timeout: float | None,
) -> AsyncGenerator[S | F, None]:
    """Returns a generator that calls an endpoint for each account, and yields the result for each outcome.

    Raises TypeError or ValueError for an invalid argument.
    """
    _check_iterable(account_ids)
    check_count("concurrency", concurrency)
    check_flag("ordered", ordered)
    if timeout is not None:
        check_seconds("timeout", timeout)
    turns = Turns(core.pacer, core.deadlines) if core.settings.respect_rate_limits else None
    run = Run()

    async def envelope_or_error(account_id: str, account: Account) -> Envelope[T] | Exception:
        """Returns the envelope or the exception of the call for one account; raises what concerns all accounts.

        That is `ClientClosedError` before the API can have acted, or for example an exception of the limiter.
        """
        try:
            # Here, because for the call None means the client's account, and the call is made only after its turn.
            check_identifier("account_id", account_id)
        except (TypeError, ValueError) as error:
            return error.with_traceback(None)
        if turns is not None:
            await turns.wait()
        try:
            account.call = core.prepare(endpoint, account_id, timeout, is_patient=True)
            envelope = (await core.carry_out(account.call)).envelope
            run.note_answer(None)
            return envelope
        except ClientClosedError as error:
            if not error.may_have_acted or endpoint.method == "GET":  # a list has changed nothing
                raise
            run.end = run.end or error
            return error.with_traceback(None)
        except (APIConnectionError, APIResponseValidationError, APIStatusError) as error:
            if not isinstance(error, APIConnectionError):
                run.note_answer(error)
            # The frames of the traceback would keep the response of each account in memory, as long as the error lives.
            return error.with_traceback(None)
        finally:
            if turns is not None:
                turns.note_answer()

    async def call(account_id: str, account: Account) -> S | F:
        outcome = await envelope_or_error(account_id, account)
        return failed(account_id, None, outcome) if isinstance(outcome, Exception) else succeeded(account_id, outcome)

    return run_over(account_ids, call, core.deadlines, run, concurrency=concurrency, ordered=ordered)


@define(eq=False, repr=False)
class Account:
    """One account of a run: its call, once that is prepared."""

    call: Call[Any] | None = None

    @property
    def was_sent(self) -> bool:
        """Whether the API may have acted on it, so that its outcome must be reported."""
        return self.call is not None and (self.call.was_sent or self.call.may_have_acted)


@define(eq=False, repr=False)
class Run:
    """The state of a run over many accounts."""

    # Whether the credentials were refused, for each of the first two accounts with a response.
    first_refused: list[bool] = field(factory=list[bool])
    end: BaseException | None = None  # ends the run early; it is raised after the last result

    def note_answer(self, error: Exception | None) -> None:
        """Ends the run if the first two responses both refuse the credentials."""
        if len(self.first_refused) < 2:
            self.first_refused.append(isinstance(error, AuthenticationError))
            if self.first_refused == [True, True]:
                self.end = error

    def note_end(self, call: asyncio.Task[object]) -> None:
        """Ends the run if a call raised, also while results of earlier accounts are waited for."""
        if not call.cancelled() and self.end is None:
            self.end = call.exception()


def _check_iterable(account_ids: object) -> None:
    if isinstance(account_ids, str | bytes):
        raise TypeError("account_ids must be an iterable of ids, not a single id")
    if not isinstance(account_ids, Iterable | AsyncIterable):
        raise TypeError(f"account_ids must be an iterable of ids, not {type(account_ids).__name__}")


# Seconds between the first requests of a run until there is a response.
_PATIENCE = 1.0


class Turns:
    """Spreads the requests of a run over the time to the quota's reset, one turn after the other.

    Only the second half of a quota is spread: a small run is not delayed, and a large one neither exhausts the quota
    nor takes longer than necessary. The first request is sent alone, because its response reports the remaining quota.
    """

    def __init__(self, pacer: Pacer, deadlines: Deadlines) -> None:
        self._pacer = pacer
        self._deadlines = deadlines
        self._next = -math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_answered = asyncio.Event()
        self._lock = asyncio.Lock()

    def note_answer(self) -> None:
        """Records that a call of the run has ended."""
        if self._loop is not None and not self._loop.is_closed():
            self._is_answered.set()

    async def wait(self) -> None:
        """Waits for the next turn; raises `ClientClosedError` if the client is closed meanwhile."""
        self._loop = asyncio.get_running_loop()
        clock = self._loop.time
        try:
            with self._deadlines.limit(math.inf):  # ended by closing the client
                await self._lock.acquire()
                try:
                    if self._next > -math.inf and not self._is_answered.is_set():
                        with contextlib.suppress(TimeoutError):
                            # Not `wait_for`, which before Python 3.12 loses a cancellation at the moment of the result.
                            async with asyncio.timeout(_PATIENCE):
                                await self._is_answered.wait()
                    await asyncio.sleep(max(0.0, self._next - clock()))
                    self._next = clock() + self._pacer.spacing(clock())
                finally:
                    if not self._loop.is_closed():  # else the call is finalized later than its loop
                        self._lock.release()
        except Expired:
            raise ClientClosedError("the client was closed during the run") from None


async def run_over(
    account_ids: Iterable[str] | AsyncIterable[str],
    call: Callable[[str, Account], Coroutine[Any, Any, T]],
    deadlines: Deadlines,
    run: Run,
    *,
    concurrency: int,
    ordered: bool,
) -> AsyncGenerator[T, None]:
    """Yields what `call` returns for each account, in the order of completion or of the accounts.

    At most `concurrency` results exist at a time, from the start of their calls until they are yielded, and an account
    is fetched only when its call can start. An exception of a call, or of the iterable, ends the run: no more calls are
    started, those that were sent are completed and their results yielded, then the exception is raised. `CallersItems`
    are also yielded, before each account.
    """
    running_loop()  # raises without one
    source = _asynchronous(account_ids)
    # In the order of the accounts. The task that fetches the next account is separate, so that a slow source does not
    # delay results.
    calls: dict[asyncio.Task[T], Account] = {}
    fetch: asyncio.Task[str | _End] | None = None
    is_exhausted = False
    try:
        while True:
            if run.end is not None:
                await _end([task for task, account in calls.items() if not (account.was_sent or task.done())])
                await _end([fetch] if fetch else [])
                fetch, is_exhausted = None, True
            if fetch is None and not is_exhausted and len(calls) < concurrency:
                if isinstance(account_ids, CallersItems):
                    deadlines.pass_over_standstill()
                    yield cast("T", account_ids)  # the runner reads the next account
                fetch = asyncio.create_task(_next(source))
            if fetch is None and not calls:
                break
            if not _finished(calls, ordered=ordered) and not (fetch and fetch.done()):
                # Without the calls that have ended before the first one, which would not be waited for.
                unfinished = [task for task in [*calls, *([fetch] if fetch else [])] if not task.done()]
                await asyncio.wait(unfinished, return_when=asyncio.FIRST_COMPLETED)
            if fetch is not None and fetch.done():
                error = None if fetch.cancelled() else fetch.exception()
                if error is not None:
                    run.end = run.end or error
                elif isinstance(account_id := fetch.result(), _End):
                    is_exhausted = True
                elif run.end is None:
                    account = Account()
                    task = asyncio.create_task(call(account_id, account))
                    task.add_done_callback(run.note_end)
                    calls[task] = account
                fetch = None
            for finished in _finished(calls, ordered=ordered):
                del calls[finished]
                run.note_end(finished)  # its callback may not have run yet
                if finished.cancelled():
                    if run.end is None:  # cancelled from outside the run
                        finished.result()
                elif finished.exception() is None:
                    deadlines.pass_over_standstill()
                    yield finished.result()
        if run.end is not None:
            raise run.end
    finally:
        try:
            await _end([*calls, *([fetch] if fetch else [])])
        finally:
            await source.aclose()


class _End:
    """The type of the sentinel after the last account."""


_END = _End()


async def _asynchronous(account_ids: Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[str, None]:
    """Yields from either kind of iterable, and closes an asynchronous generator that is left early."""
    if not isinstance(account_ids, AsyncIterable):
        for account_id in account_ids:
            yield account_id
        return
    try:
        async for account_id in account_ids:
            yield account_id
    finally:
        if isinstance(account_ids, AsyncGenerator):
            await account_ids.aclose()


async def _next(source: AsyncGenerator[str, None]) -> str | _End:
    return await anext(source, _END)


def _finished(calls: Iterable[asyncio.Task[T]], *, ordered: bool) -> list[asyncio.Task[T]]:
    """Returns the finished calls; with `ordered`, only those before the first unfinished one."""
    if ordered:
        return list(itertools.takewhile(lambda call: call.done(), calls))
    return [call for call in calls if call.done()]


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancels unfinished tasks and waits for them."""
    running = [task for task in tasks if not task.get_loop().is_closed()]  # a run may be finalized later than its loop
    for task in running:
        task.cancel()
    if running:  # an abandoned generator is closed where no loop is running
        await asyncio.gather(*running, return_exceptions=True)
