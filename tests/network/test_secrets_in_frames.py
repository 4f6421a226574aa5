"""However a call ends, no secret is in the frames of its exception, whose local variables error trackers show.

In the full size every operation ends in every way, otherwise one or two operations in each.
"""

import asyncio
import threading
from collections.abc import Iterator
from itertools import product
from types import TracebackType
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import AsyncClient, Client, ClientClosedError, PagerDutyAlertingError, RetryEvent, RetryPolicy
from tests.support.failing_calls import (
    API_TOKEN,
    CALLS,
    FAILURES,
    SECRETS,
    SILENCES,
    TOKEN,
    WAYS,
    client_of,
    failure_of,
    settings,
)
from tests.support.raw_calls import NOT_REPLAY_SAFE
from tests.support.raw_server import RawServer, raw_server_in_thread
from tests.support.shown import shown
from tests.support.size import sample

pytestmark = pytest.mark.virtual_time


def leaks(error: BaseException) -> set[str]:
    text = shown(error)
    return {secret for secret in SECRETS if secret in text}


def test_the_search_looks_at_local_variables_of_every_linked_exception() -> None:
    fail_elsewhere: dict[str, Any] = {}
    exec(  # a function that is not in a file of the tests, which the search leaves out
        "def fail_with(headers):\n    try:\n        {}['x']\n    except KeyError:\n        raise ValueError('x')",
        fail_elsewhere,
    )
    with pytest.raises(ValueError, match="x") as caught:
        fail_elsewhere["fail_with"]({"Authorization": [f"Bearer {API_TOKEN}"]})
    group = ExceptionGroup("group", [caught.value])
    linked = RuntimeError()
    linked.__cause__ = group

    assert leaks(linked) == {API_TOKEN}


@pytest.mark.parametrize(("failure", "operation", "session"), sample(product(FAILURES, CALLS, [False, True]), every=5))
async def test_a_failed_call_shows_no_secret(failure: str, operation: str, session: bool) -> None:
    async with client_of(FAILURES[failure], session=session) as (client, _):
        error = await failure_of(getattr(client, operation)(*CALLS[operation]))

    assert isinstance(error, PagerDutyAlertingError)
    assert leaks(error) == set()


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
async def test_a_call_without_a_connection_shows_no_secret(host: str, operation: str) -> None:
    changes = {"base_url": f"http://{host}/v4", "allow_insecure_http": True}
    async with AsyncClient(**settings(RawServer(), **changes)) as client:
        error = await failure_of(getattr(client, operation)(*CALLS[operation]))

    assert isinstance(error, PagerDutyAlertingError)
    assert leaks(error) == set()


@pytest.mark.parametrize(("failure", "operation"), sample(product(FAILURES, CALLS), every=3))
def test_a_failed_synchronous_call_shows_no_secret(failure: str, operation: str) -> None:
    with (
        raw_server_in_thread(FAILURES[failure]) as server,
        Client(**settings(server)) as client,
        pytest.raises(PagerDutyAlertingError) as caught,
    ):
        getattr(client, operation)(*CALLS[operation])

    assert leaks(caught.value) == set()


@pytest.mark.parametrize(
    ("silence", "way", "operation", "session"), sample(product(SILENCES, WAYS, CALLS, [False, True]), every=5)
)
async def test_a_call_that_is_ended_early_shows_no_secret(
    silence: str, way: str, operation: str, session: bool
) -> None:
    seen: list[BaseException] = []

    async def call(client: Any) -> None:
        try:
            await getattr(client, operation)(*CALLS[operation])
        except BaseException as error:
            seen.append(error)
            raise

    async with client_of(SILENCES[silence], session=session) as (client, server):
        error = await failure_of(WAYS[way](call(client), client, server.arrived))

    assert len(seen) == 1
    assert leaks(seen[0]) == set()
    assert leaks(error) == set()


@pytest.mark.parametrize("operation", CALLS)
async def test_the_error_that_a_retry_hook_gets_or_raises_shows_no_secret(
    operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[BaseException] = []

    def on_retry(event: RetryEvent) -> None:
        seen.append(event.error)
        raise LookupError

    retry = RetryPolicy(max_attempts=2, on_retry=on_retry, replay_unsafe=True)
    async with client_of(FAILURES["closed"], retry=retry) as (client, _):
        error = await failure_of(getattr(client, operation)(*CALLS[operation]))

    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in logged] == [LookupError]
    assert len(seen) == 1
    assert [leaks(each) for each in [error, *seen, *filter(None, logged)]] == [set()] * 3


@pytest.mark.parametrize("end", ["deadline", "closing"])
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("silence", SILENCES)
def test_a_synchronous_call_that_is_ended_early_shows_no_secret(silence: str, operation: str, end: str) -> None:
    with raw_server_in_thread(SILENCES[silence]) as server:
        client = Client(**settings(server, timeout=0.05 if end == "deadline" else 60))
        closer = threading.Thread(target=_close_when_reached, args=(server, client))
        if end == "closing":
            closer.start()
        with pytest.raises(PagerDutyAlertingError) as caught:
            getattr(client, operation)(*CALLS[operation])
        client.close()
        if end == "closing":
            closer.join()

    assert isinstance(caught.value, ClientClosedError) == (end == "closing")
    assert leaks(caught.value) == set()


def _close_when_reached(server: RawServer, client: Client) -> None:
    while not server.arrived.is_set():
        threading.Event().wait(0.001)
    client.close()


class FailingLimiter:
    """A limiter that raises on entering or leaving, while it handles another exception."""

    def __init__(self, *, on_entering: bool) -> None:
        self.on_entering = on_entering

    async def __aenter__(self) -> None:
        if self.on_entering:
            self.fail()

    async def __aexit__(self, *_: object) -> None:
        self.fail()

    def fail(self) -> None:
        try:
            {}["bucket"]
        except KeyError:
            raise LookupError("limiter") from None


def frames_of(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


@pytest.mark.parametrize("on_entering", [True, False])
async def test_an_exception_of_the_limiter_keeps_its_frames_and_context(on_entering: bool) -> None:
    limiter = FailingLimiter(on_entering=on_entering)
    async with client_of(FAILURES["closed"], limiter=limiter) as (client, _):
        error = await failure_of(client.connect(TOKEN))

    assert type(error) is LookupError
    assert isinstance(error.__context__, KeyError)
    assert list(frames_of(error.__traceback__))[-2:] == ["__aenter__" if on_entering else "__aexit__", "fail"]
    assert leaks(error) == set()


async def test_a_cancellation_keeps_its_message_and_its_count() -> None:
    async with client_of(SILENCES["no response"]) as (client, server):
        task = asyncio.ensure_future(client.list_services())
        await server.arrived.wait()
        task.cancel("because")
        error = await failure_of(task)

    assert type(error) is asyncio.CancelledError
    assert error.args == ("because",)
    assert task.cancelling() == 1


async def test_an_exception_that_the_caller_was_handling_keeps_its_frames() -> None:
    async with client_of(FAILURES["closed"]) as (client, _), aiohttp.ClientSession() as session:
        try:
            await session.get("no URL")
        except aiohttp.InvalidURL as callers_own:
            before = list(frames_of(callers_own.__traceback__))
            await failure_of(client.create_integration_token())
            after = list(frames_of(callers_own.__traceback__))

    assert "_request" in before
    assert after == before


@pytest.mark.parametrize("operation", NOT_REPLAY_SAFE)
async def test_a_call_that_fails_in_a_task_group_shows_no_secret(operation: str) -> None:
    async with client_of(FAILURES["reset"]) as (client, _):

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(getattr(client, operation)(*CALLS[operation]))
                group.create_task(client.list_services())

        error = await failure_of(both())

    assert isinstance(error, BaseExceptionGroup)
    assert leaks(error) == set()
