"""An error that is reported but not raised fails the test that caused it."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable

import pytest

from tests.support.noticing import no_reports
from tests.support.virtual_time import VirtualTimeLoop, virtual_time_loop


def fail() -> None:
    raise ValueError("in a callback")


def a_callback_of_a_loop_fails() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)

    asyncio.run(main())


def a_task_is_destroyed_while_it_is_pending() -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(0))
    loop.close()
    task._log_destroy_pending = True  # type: ignore[attr-defined]  # private; the default
    task.get_coro().close()  # type: ignore[union-attr]  # otherwise there would be a warning too
    del task


def a_task_fails_and_its_error_is_not_retrieved() -> None:
    async def main() -> None:
        failed = asyncio.ensure_future(asyncio.to_thread(fail))
        await asyncio.wait([failed])

    asyncio.run(main())
    gc.collect()


def a_finalizer_fails() -> None:
    class Finalized:
        def __del__(self) -> None:
            fail()

    Finalized()


def a_thread_fails() -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def a_loop_in_another_thread_reports_an_error() -> None:
    thread = threading.Thread(target=a_callback_of_a_loop_fails)
    thread.start()
    thread.join()


def a_server_reports_an_error() -> None:
    logging.getLogger("aiohttp.server").error("Error handling request")


@pytest.mark.parametrize(
    ("cause", "report"),
    [
        (a_callback_of_a_loop_fails, "ValueError: in a callback"),
        (a_task_is_destroyed_while_it_is_pending, "Task was destroyed but it is pending!"),
        (a_task_fails_and_its_error_is_not_retrieved, "exception was never retrieved"),
        (a_finalizer_fails, "ValueError: in a callback"),
        (a_thread_fails, "ValueError: in a callback"),
        (a_loop_in_another_thread_reports_an_error, "ValueError: in a callback"),
        (a_server_reports_an_error, "Error handling request"),
    ],
)
def test_an_error_that_is_only_reported_fails_the_test(
    noticed: list[str], cause: Callable[[], None], report: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match=report), no_reports():
        cause()
    noticed.clear()


@pytest.mark.usefixtures("monkeypatch")
def test_every_test_uses_the_fixture(noticed: list[str], request: pytest.FixtureRequest) -> None:
    a_thread_fails()
    assert len(noticed) == 1
    noticed.clear()
    names = request.fixturenames
    assert names.index("noticed") < names.index("monkeypatch")  # set up first, torn down last


def test_a_test_may_expect_a_report() -> None:
    with no_reports() as reports:
        a_thread_fails()
        reports.clear()


# Virtual time.


@pytest.mark.virtual_time
async def test_with_the_marker_the_clock_of_the_loop_jumps() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    started = loop.time()
    await asyncio.sleep(3600)
    assert started + 3600 <= loop.time() < started + 3700


async def test_without_the_marker_the_loop_is_a_normal_one() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


def test_a_misspelt_marker_is_an_error() -> None:
    with pytest.raises(pytest.fail.Exception, match="'virtual_tiem' not found in `markers`"):
        _ = pytest.mark.virtual_tiem


def test_a_misspelt_argument_of_the_marker_is_an_error() -> None:
    with pytest.raises(TypeError, match="patient"):
        virtual_time_loop(patient=1)  # type: ignore[call-arg]  # the misuse under test
