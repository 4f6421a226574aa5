"""Runs one coroutine function over many accounts, a few at a time, in memory that does not grow with their number."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def check_account_ids(account_ids: object) -> None:
    """Refuses what cannot be a collection of ids.

    Raises:
        TypeError: It is a single str, or not iterable.
    """
    if isinstance(account_ids, str | bytes):
        raise TypeError("account_ids must be an iterable of ids, not a single id")
    if not isinstance(account_ids, Iterable | AsyncIterable):
        raise TypeError(f"account_ids must be an iterable of ids, not {type(account_ids).__name__}")


async def run_over(
    account_ids: Iterable[str] | AsyncIterable[str],
    call: Callable[[str], Coroutine[Any, Any, T]],
    *,
    concurrency: int,
    ordered: bool,
) -> AsyncGenerator[T, None]:
    """Yields what `call` returns for each account, as it comes, or in the order of the accounts.

    At most `concurrency` results exist at a time, from the start of their calls until they are yielded, and an account
    is not asked for before there is room for it. An exception of a call, or of the iterable, ends the run.
    """
    source = _asynchronous(account_ids)
    # In the order of the accounts. The task that fetches the next account is not among them, so that a slow source
    # holds up no results.
    calls: dict[asyncio.Task[T], None] = {}
    fetch: asyncio.Task[str | _End] | None = None
    is_exhausted = False
    try:
        while True:
            if fetch is None and not is_exhausted and len(calls) < concurrency:
                fetch = asyncio.create_task(_next(source))
            if fetch is None and not calls:
                return
            await asyncio.wait([*calls, *([fetch] if fetch else [])], return_when=asyncio.FIRST_COMPLETED)
            if fetch is not None and fetch.done():
                account_id = fetch.result()
                fetch = None
                if isinstance(account_id, _End):
                    is_exhausted = True
                else:
                    calls[asyncio.create_task(call(account_id))] = None
            for finished in _finished(calls, ordered=ordered):
                del calls[finished]
                yield finished.result()
    finally:
        await _end([*calls, *([fetch] if fetch else [])])
        await source.aclose()


class _End:
    """Stands for the end of the accounts."""


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
    """Returns the finished calls; with `ordered`, those that no unfinished one stands before."""
    if ordered:
        return list(itertools.takewhile(asyncio.Task.done, calls))
    return [call for call in calls if call.done()]


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancels what is still running and waits for it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
