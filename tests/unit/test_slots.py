"""Slots for connections are given to waiters in order, and none is lost."""

import asyncio

import pytest

from pagerduty_alerting._http.slots import Slots


def waiting(slots: Slots) -> asyncio.Future[None]:
    return asyncio.ensure_future(slots.wait())


async def turns() -> None:
    """Lets the tasks run until they wait."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_no_more_slots_are_taken_than_exist() -> None:
    slots = Slots(2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert [slots.take() for _ in range(2)] == [True, False]
    slots.give_back()
    slots.give_back()
    assert [slots.take() for _ in range(3)] == [True, True, False]


async def test_the_longest_waiter_gets_the_next_slot() -> None:
    slots = Slots(1)
    assert slots.take()
    first, second = waiting(slots), waiting(slots)
    await turns()
    slots.give_back()
    await turns()
    assert (first.done(), second.done()) == (True, False)
    assert not slots.take()  # the first waiter has it
    slots.give_back()
    await second
    slots.give_back()
    assert slots.take()


async def test_a_cancelled_waiter_gets_no_slot() -> None:
    slots = Slots(1)
    assert slots.take()
    first, second = waiting(slots), waiting(slots)
    await turns()
    first.cancel()
    slots.give_back()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert not slots.take()


async def test_a_waiter_cancelled_as_it_gets_a_slot_passes_it_on() -> None:
    slots = Slots(1)
    assert slots.take()
    first, second = waiting(slots), waiting(slots)
    await turns()
    slots.give_back()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(10):
        await second
    slots.give_back()
    assert [slots.take() for _ in range(2)] == [True, False]
