"""OpenTelemetry's instrumentation of aiohttp sees each attempt as one client span below that of the caller."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pagerduty_alerting import APIConnectionError, APIStatusError, AsyncClient, Client, IntegrationToken
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.examples import load
from tests.support.raw_server import Conversation, raw_server

NEEDED = "needs opentelemetry-sdk and opentelemetry-instrumentation-aiohttp-client"
instrumentation = pytest.importorskip("opentelemetry.instrumentation.aiohttp_client", reason=NEEDED)
pytest.importorskip("opentelemetry.sdk", reason=NEEDED)

from opentelemetry.propagate import extract  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402
from opentelemetry.trace import SpanKind, get_current_span  # noqa: E402

hide_token: Callable[[Any], str] = load("trace_opentelemetry").hide_token

TOKEN = "0123456789abcdef0123456789abcdef"


class Tracing:
    """A tracer provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer(__name__)

    def config(self) -> Any:
        return instrumentation.create_trace_config(url_filter=hide_token, tracer_provider=self.provider)

    @property
    def client_spans(self) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()


def statuses(spans: list[ReadableSpan]) -> list[object]:
    return [(span.attributes or {})["http.status_code"] for span in spans]


async def test_each_attempt_is_one_client_span_below_the_asynchronous_caller(
    tracing: Tracing, emulator: Emulator, options: dict[str, Any]
) -> None:
    emulator.on().times(2).respond(503)
    async with AsyncClient(**options, trace_configs=[tracing.config()]) as client:
        with tracing.tracer.start_as_current_span("caller") as caller:
            await client.list_services()

    assert statuses(tracing.client_spans) == [503, 503, 200]
    assert {span.parent and span.parent.span_id for span in tracing.client_spans} == {caller.get_span_context().span_id}


def test_each_attempt_is_one_client_span_below_the_synchronous_caller(
    tracing: Tracing, emulator: Emulator, options: dict[str, Any]
) -> None:
    emulator.on().times(2).respond(503)
    with (
        Client(**options, trace_configs=[tracing.config()]) as client,
        tracing.tracer.start_as_current_span("caller") as caller,
    ):
        client.list_services()

    assert statuses(tracing.client_spans) == [503, 503, 200]
    assert {span.parent and span.parent.span_id for span in tracing.client_spans} == {caller.get_span_context().span_id}


async def test_a_synchronous_call_under_a_running_loop_keeps_its_parent_span(
    tracing: Tracing, options: dict[str, Any]
) -> None:
    with (
        Client(**options, trace_configs=[tracing.config()]) as client,
        tracing.tracer.start_as_current_span("caller") as caller,
    ):
        client.list_services()

    (span,) = tracing.client_spans
    assert span.parent is not None
    assert span.parent.span_id == caller.get_span_context().span_id


async def test_the_callers_span_is_still_current_after_a_call(tracing: Tracing, options: dict[str, Any]) -> None:
    async with AsyncClient(**options, trace_configs=[tracing.config()]) as client:
        with tracing.tracer.start_as_current_span("caller") as caller:
            await client.list_services()

            assert get_current_span() is caller


async def test_each_attempt_sends_its_own_span_to_the_server(
    tracing: Tracing, emulator: Emulator, options: dict[str, Any]
) -> None:
    async with AsyncClient(**options, trace_configs=[tracing.config()]) as client:
        await client.list_services()
        await client.list_services()

    shown = [get_current_span(extract(dict(request.headers))).get_span_context() for request in emulator.requests]
    assert [context.span_id for context in shown] == [span.get_span_context().span_id for span in tracing.client_spans]


async def test_with_the_url_filter_of_the_example_no_span_contains_the_integration_token(
    tracing: Tracing, emulator: Emulator, options: dict[str, Any]
) -> None:
    emulator.on(Operation.CONNECT).skip(1).reset_after_acting()
    async with AsyncClient(**options, trace_configs=[tracing.config()]) as client:
        token = await client.create_integration_token()
        with pytest.raises(APIStatusError):
            await client.connect(token)
        with pytest.raises(APIConnectionError):
            await client.connect(token)

    assert len(tracing.client_spans) == 3
    assert token.id not in "".join(span.to_json() for span in tracing.client_spans)


async def test_the_span_of_a_response_that_is_not_http_does_not_contain_the_integration_token(tracing: Tracing) -> None:
    async def respond_with_invalid_http(conversation: Conversation) -> None:
        await conversation.request()
        conversation.send(b"HTTP/1.1 2OO is not a number\r\n\r\n")
        await conversation.wait_closed()

    async with (
        raw_server(respond_with_invalid_http) as server,
        AsyncClient(api_token="t", account_id="a", base_url=server.url, trace_configs=[tracing.config()]) as client,
    ):
        with pytest.raises(APIConnectionError):
            await client.connect(IntegrationToken(TOKEN))

    (span,) = tracing.client_spans
    assert [event.name for event in span.events] == ["exception"]
    assert TOKEN not in span.to_json()


async def test_the_instrumentation_of_all_sessions_works_too(tracing: Tracing, options: dict[str, Any]) -> None:
    instrumentor = instrumentation.AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=tracing.provider, url_filter=hide_token)
    try:
        async with AsyncClient(**options) as client:
            await client.list_services()
    finally:
        instrumentor.uninstrument()

    (span,) = tracing.client_spans
    assert json.loads(span.to_json())["kind"] == "SpanKind.CLIENT"
