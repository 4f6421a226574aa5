"""Passes the exceptions of failed calls to an error tracker with its default settings, and searches its output.

`python -m tests.support.error_trackers NAME` prints, as JSON, the number of exceptions, the secrets that were found,
and whether a secret in a local variable would have been. In the full size every operation fails in every way,
otherwise one or two operations in each.
"""

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from itertools import product

from pagerduty_alerting import Client, RetryPolicy
from tests.support.failing_calls import (
    CALLS,
    FAILURES,
    SECRETS,
    SILENCES,
    WAYS,
    client_of,
    failure_of,
    settings,
)
from tests.support.raw_server import raw_server_in_thread
from tests.support.size import sample
from tests.support.virtual_time import virtual_time_loop

Show = Callable[[BaseException], str]


def sentry() -> Show:
    """Sentry's event, with the breadcrumbs that its integrations collected."""
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import Transport

    class Collecting(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            sent.append(envelope.serialize().decode())

    sent: list[str] = []
    sentry_sdk.init("https://key@sentry.invalid/1", transport=Collecting)

    def show(error: BaseException) -> str:
        sentry_sdk.capture_exception(error)
        return sent.pop()

    return show


def structlog() -> Show:
    """The JSON that structlog's processor for structured tracebacks makes."""
    import structlog

    written = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    )

    def show(error: BaseException) -> str:
        written.seek(0)
        written.truncate()
        logger.error("it failed", exc_info=(type(error), error, error.__traceback__))
        return written.getvalue()

    return show


def rich() -> Show:
    """What Rich's traceback with local variables consists of, without its layout, which takes 50 ms."""
    from rich.traceback import Traceback

    def show(error: BaseException) -> str:
        return repr(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True).trace)

    return show


def opentelemetry() -> Show:
    """The span of a caller that the exception leaves."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(__name__)

    def show(error: BaseException) -> str:
        exporter.clear()
        with tracer.start_as_current_span("caller") as span:
            span.record_exception(error)
        return "".join(span.to_json() for span in exporter.get_finished_spans())

    return show


def logged() -> Show:
    """The output of the standard library's logging."""
    written = io.StringIO()
    logging.getLogger("callers").addHandler(logging.StreamHandler(written))

    def show(error: BaseException) -> str:
        logging.getLogger("callers").error("it failed", exc_info=error)
        return written.getvalue()

    return show


TRACKERS: dict[str, Callable[[], Show]] = {
    "sentry": sentry,
    "structlog": structlog,
    "rich": rich,
    "opentelemetry": opentelemetry,
    "logging": logged,
}


async def ended_calls() -> AsyncIterator[tuple[str, BaseException]]:
    """Makes every call of the matrix on this loop; yields its description and its exception."""
    for (name, script), operation in sample(product(FAILURES.items(), CALLS), every=3):
        async with client_of(script, retry=RetryPolicy(max_attempts=2, replay_unsafe=True)) as (client, _):
            yield f"{operation}, {name}", await failure_of(getattr(client, operation)(*CALLS[operation]))
    for (silence, script), (way, end), operation in sample(product(SILENCES.items(), WAYS.items(), CALLS), every=3):
        async with client_of(script) as (client, server):
            call = getattr(client, operation)(*CALLS[operation])
            yield f"{operation}, {silence}, {way}", await failure_of(end(call, client, server.arrived))


def synchronous_failures() -> list[tuple[str, BaseException]]:
    """Makes the failing calls of the matrix with a synchronous client."""
    outcomes: list[tuple[str, BaseException]] = []
    for (name, script), operation in sample(product(FAILURES.items(), CALLS), every=3):
        with raw_server_in_thread(script) as server, Client(**settings(server)) as client:
            try:
                getattr(client, operation)(*CALLS[operation])
            except Exception as error:
                outcomes.append((f"synchronous {operation}, {name}", error))
    return outcomes


def sees_locals(show: Show) -> bool:
    """Returns whether a secret in a local variable of a frame is visible."""

    def fail(_value: str) -> None:
        raise ValueError

    try:
        fail(SECRETS[0])
    except ValueError as error:
        return SECRETS[0] in show(error)
    raise AssertionError


def main(tracker: str) -> None:
    show = TRACKERS[tracker]()
    count, leaks = 0, []

    def look(what: str, error: BaseException) -> None:
        nonlocal count
        count += 1
        text = show(error)
        leaks.extend(f"{what}: secret {number}" for number, secret in enumerate(SECRETS) if secret in text)

    async def look_at_all() -> None:
        async for what, error in ended_calls():
            look(what, error)

    with asyncio.Runner(loop_factory=virtual_time_loop()) as runner:
        runner.run(look_at_all())
    for what, error in synchronous_failures():
        look(what, error)
    print(json.dumps({"shown": count, "leaks": leaks, "sees_locals": sees_locals(show)}))


if __name__ == "__main__":
    main(sys.argv[1])
