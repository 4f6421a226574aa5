"""Asynchronous generators as plain iterators."""

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncGenerator

import pytest

from pagerduty_alerting import ClientClosedError
from pagerduty_alerting._loop.runner import LoopRunner
from tests.support.threads import AtGate, InThread


class Source:
    """A generator that records its progress."""

    def __init__(self) -> None:
        self.given = 0
        self.is_closed = False

    async def items(self, count: int = 3) -> AsyncGenerator[int, None]:
        try:
            for number in range(count):
                await asyncio.sleep(0)
                self.given += 1
                yield number
        finally:
            await asyncio.sleep(0)
            self.is_closed = True


def test_an_iterator_yields_the_items_of_the_generator(runner: LoopRunner) -> None:
    assert list(runner.iterate(Source().items())) == [0, 1, 2]


def test_the_generator_does_not_run_ahead_of_the_iterator(runner: LoopRunner) -> None:
    source = Source()
    items = runner.iterate(source.items())
    next(items)
    assert source.given == 1


def test_leaving_early_closes_the_generator(runner: LoopRunner) -> None:
    source = Source()
    for _ in runner.iterate(source.items()):
        break
    assert source.is_closed


def test_an_exception_in_the_loop_body_closes_the_generator(runner: LoopRunner) -> None:
    source = Source()

    def stop_at_first() -> None:
        for _ in runner.iterate(source.items()):
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        stop_at_first()
    assert source.is_closed


def test_an_exception_of_the_generator_is_raised_to_the_caller(runner: LoopRunner) -> None:
    async def breaks() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("no more")

    items = runner.iterate(breaks())
    next(items)
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_a_generator_that_is_never_started_is_freed(runner: LoopRunner) -> None:
    source = Source()
    items = runner.iterate(source.items())
    freed = weakref.ref(source)
    del source, items
    gc.collect()
    assert freed() is None
    assert not runner._abandoned


def test_closing_the_runner_closes_an_unfinished_generator(runner: LoopRunner) -> None:
    source = Source()
    items = runner.iterate(source.items())
    next(items)
    runner.close()
    assert source.is_closed
    with pytest.raises(ClientClosedError):
        next(items)


def test_a_generator_keeps_one_context_through_all_its_steps(runner: LoopRunner) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    async def items() -> AsyncGenerator[int, None]:
        token = variable.set(7)
        yield variable.get()
        yield variable.get()
        variable.reset(token)  # which would raise in any other context
        yield variable.get()

    assert list(runner.iterate(items())) == [7, 7, 0]


async def test_an_iterator_works_inside_a_coroutine(runner: LoopRunner) -> None:
    assert list(runner.iterate(Source().items())) == [0, 1, 2]


def test_two_threads_iterate_at_the_same_time(runner: LoopRunner) -> None:
    first, second = AtGate(), AtGate()

    async def items(gate: AtGate) -> AsyncGenerator[str, None]:
        yield "before"
        await gate.passed()
        yield "after"

    one = InThread(lambda: list(runner.iterate(items(first))))
    first.wait_reached()
    other = InThread(lambda: list(runner.iterate(items(second))))
    second.open()
    assert other.result() == ["before", "after"]
    first.open()
    assert one.result() == ["before", "after"]
