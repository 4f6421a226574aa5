"""What is removed from an exception before a call raises it: frames and exceptions that hold requests."""

import dataclasses
from types import FrameType

import aiohttp
import pytest

from pagerduty_alerting._protocol.redaction import hide_requests


def raised(error: BaseException, *, module: str = __name__) -> BaseException:
    """Returns an exception whose traceback has one frame, of code in a module with that name."""
    source = "def fail(error):\n    raise error"
    scope = {"__name__": module}
    exec(source, scope)
    with pytest.raises(type(error)) as caught:
        scope["fail"](error)  # type: ignore[operator]
    return error.with_traceback(caught.tb.tb_next)


def frames(error: BaseException) -> list[FrameType]:
    found, entry = [], error.__traceback__
    while entry is not None:
        found.append(entry.tb_frame)
        entry = entry.tb_next
    return found


@pytest.mark.parametrize("module", ["aiohttp", "aiohttp.connector", "pagerduty_alerting._call"])
def test_frames_that_hold_requests_are_removed(module: str) -> None:
    error = raised(ValueError(), module=module)
    assert frames(error)
    hide_requests(error, None)
    assert frames(error) == []


@pytest.mark.parametrize("module", ["aiohttp_retry", "asyncio.tasks", "limiters"])
def test_frames_of_other_packages_stay(module: str) -> None:
    error = raised(ValueError(), module=module)
    before = frames(error)
    hide_requests(error, None)
    assert frames(error) == before != []


@pytest.mark.parametrize("relation", ["__cause__", "__context__"])
def test_causes_and_contexts_lose_their_frames_too(relation: str) -> None:
    error, other = ValueError(), raised(KeyError(), module="aiohttp")
    setattr(error, relation, other)
    hide_requests(error, None)
    assert frames(other) == []
    assert getattr(error, relation) is other


def test_the_exceptions_of_a_group_lose_their_frames_too() -> None:
    inner = raised(KeyError(), module="aiohttp")
    hide_requests(ExceptionGroup("group", [ExceptionGroup("inner", [inner])]), None)
    assert frames(inner) == []


def test_an_exception_of_aiohttp_is_removed_as_a_context() -> None:
    error = ValueError()
    error.__context__ = aiohttp.ClientConnectionError("https://api.example/connect/opensesame")
    hide_requests(error, None)
    assert error.__context__ is None


def test_an_exception_of_aiohttp_is_removed_from_one_that_refuses_assignments() -> None:
    @dataclasses.dataclass(frozen=True)
    class FrozenError(Exception):
        reason: str

    error = FrozenError("limited")
    object.__setattr__(error, "__context__", aiohttp.ClientConnectionError("https://api.example/connect/opensesame"))
    hide_requests(error, None)
    assert error.__context__ is None


def test_an_exception_that_is_not_of_aiohttp_stays_the_context() -> None:
    error, context = ValueError(), KeyError()
    error.__context__ = context
    hide_requests(error, None)
    assert error.__context__ is context


@pytest.mark.timeout(10)
def test_exceptions_that_refer_to_each_other_are_changed_once() -> None:
    error, other = ValueError(), raised(KeyError(), module="aiohttp")
    error.__cause__, other.__cause__ = other, error
    hide_requests(error, None)
    assert frames(other) == []


def test_the_exception_that_the_caller_is_handling_is_not_changed() -> None:
    error, outer = ValueError(), raised(KeyError(), module="aiohttp")
    outer.__context__ = aiohttp.ClientError()
    error.__context__ = outer
    before = frames(outer)
    hide_requests(error, outer)
    assert frames(outer) == before != []
    assert outer.__context__ is not None
