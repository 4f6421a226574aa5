"""Runs over many accounts: lazy, limited in concurrency, in either order, and with an orderly end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pagerduty_alerting._fleet import Account, Run, run_over
from pagerduty_alerting._loop.deadlines import Deadlines


class Calls:
    """A fake API: the call of each account waits until it is released."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.under_way: set[str] = set()
        self.most_under_way = 0

    async def __call__(self, account_id: str, _account: Account | None = None) -> str:
        self.under_way.add(account_id)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        try:
            await self.gates.setdefault(account_id, asyncio.Event()).wait()
        finally:
            self.under_way.discard(account_id)
        return account_id.upper()

    def release(self, *account_ids: str) -> None:
        for account_id in account_ids:
            self.gates.setdefault(account_id, asyncio.Event()).set()


async def test_results_are_yielded_as_the_calls_end() -> None:
    calls = Calls()
    calls.release("b")
    results = run_over(["a", "b"], calls, Deadlines(), Run(), concurrency=2, ordered=False)

    assert await anext(results) == "B"
    calls.release("a")
    assert [result async for result in results] == ["A"]


async def test_ordered_results_come_in_the_order_of_the_accounts() -> None:
    calls = Calls()
    calls.release("b", "c")
    results = run_over(["a", "b", "c"], calls, Deadlines(), Run(), concurrency=3, ordered=True)

    first = asyncio.ensure_future(anext(results))
    for _ in range(20):  # turns of the loop, more than b and c need
        await asyncio.sleep(0)
    assert calls.under_way == {"a"}
    assert not first.done()

    calls.release("a")
    assert [await first, *[result async for result in results]] == ["A", "B", "C"]


async def test_an_ordered_run_sleeps_until_the_first_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    calls.release("b", "c")
    waits: list[object] = []
    wait = asyncio.wait
    monkeypatch.setattr(asyncio, "wait", lambda *tasks, **options: waits.append(tasks) or wait(*tasks, **options))
    results = run_over(["a", "b", "c"], calls, Deadlines(), Run(), concurrency=3, ordered=True)

    first = asyncio.ensure_future(anext(results))
    for _ in range(1000):  # iterations of the loop
        await asyncio.sleep(0)
    assert len(waits) < 20

    calls.release("a")
    assert [await first, *[result async for result in results]] == ["A", "B", "C"]


@pytest.mark.parametrize("ordered", [False, True])
async def test_after_an_exception_of_a_later_account_no_call_is_started(ordered: bool) -> None:
    calls, is_refused = Calls(), asyncio.Event()

    async def refused(account_id: str, account: Account) -> str:
        account.call = cast("Any", SimpleNamespace(was_sent=True))
        if account_id == "c":
            await is_refused.wait()
            raise LookupError("refused")
        return await calls(account_id)

    results = run_over(["a", "b", "c", "d"], refused, Deadlines(), Run(), concurrency=3, ordered=ordered)
    first = asyncio.ensure_future(anext(results))
    for _ in range(20):  # iterations of the loop, more than three calls need to start
        await asyncio.sleep(0)
    is_refused.set()
    await asyncio.sleep(0)
    calls.release("a")
    assert await first == "A"
    second = asyncio.ensure_future(anext(results))
    for _ in range(20):
        await asyncio.sleep(0)
    calls.release("b")
    assert await second == "B"
    with pytest.raises(LookupError):
        await anext(results)
    assert set(calls.gates) == {"a", "b"}


@pytest.mark.parametrize("ordered", [False, True])
async def test_as_many_calls_run_at_once_as_concurrency_allows(ordered: bool) -> None:
    async def collect() -> list[str]:
        return [result async for result in run_over(names, calls, Deadlines(), Run(), concurrency=4, ordered=ordered)]

    calls = Calls()
    names = [f"account-{number:02}" for number in range(20)]
    run = asyncio.ensure_future(collect())
    for done, name in enumerate(names):
        for _ in range(20):  # turns of the loop, more than it takes to start calls
            await asyncio.sleep(0)
        assert len(calls.under_way) == min(4, len(names) - done)
        calls.release(name)

    assert await run == [name.upper() for name in names]
    assert calls.most_under_way == 4


async def test_accounts_are_fetched_only_when_calls_can_be_started() -> None:
    fetched: list[int] = []

    def endless() -> Iterator[str]:
        for number in range(10**9):
            fetched.append(number)
            yield str(number)

    calls = Calls()
    calls.release("0")
    results = run_over(endless(), calls, Deadlines(), Run(), concurrency=3, ordered=False)

    assert await anext(results) == "0"
    assert len(fetched) <= 3
    await results.aclose()


async def test_a_slow_asynchronous_source_does_not_delay_results() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "a"
        await more.wait()
        yield "b"

    calls = Calls()
    calls.release("a", "b")
    results = run_over(slow(), calls, Deadlines(), Run(), concurrency=5, ordered=False)

    assert await anext(results) == "A"
    more.set()
    assert [result async for result in results] == ["B"]


async def test_leaving_early_ends_the_calls_and_closes_the_source() -> None:
    closed: list[str] = []

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
            yield "c"
        finally:
            closed.append("source")

    calls = Calls()
    calls.release("a")
    results = run_over(source(), calls, Deadlines(), Run(), concurrency=2, ordered=False)
    assert await anext(results) == "A"

    await results.aclose()

    assert closed == ["source"]
    assert not calls.under_way
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_exception_of_a_call_ends_the_run_and_the_other_calls() -> None:
    calls = Calls()

    async def call(account_id: str, _account: Account) -> str:
        if account_id == "bad":
            raise LookupError(account_id)
        return await calls(account_id)

    with pytest.raises(LookupError, match="bad"):
        async for _ in run_over(["a", "bad", "b"], call, Deadlines(), Run(), concurrency=3, ordered=False):
            pass

    assert not calls.under_way
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_exception_of_the_source_ends_the_run() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("cannot read the list")

    calls = Calls()

    with pytest.raises(OSError, match="cannot read the list"):
        async for _ in run_over(broken(), calls, Deadlines(), Run(), concurrency=3, ordered=False):
            pass

    assert not calls.under_way


async def test_no_accounts_give_no_results() -> None:
    assert [result async for result in run_over([], Calls(), Deadlines(), Run(), concurrency=3, ordered=False)] == []
