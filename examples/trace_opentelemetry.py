"""Traces with OpenTelemetry: a client span for each attempt, below the caller's span, in async and sync code.

Needs opentelemetry-sdk and opentelemetry-instrumentation-aiohttp-client. It runs against its own emulator and prints
the spans.
"""

import asyncio
import re

from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from yarl import URL

from pagerduty_alerting import AsyncClient, Client, RetryPolicy
from pagerduty_alerting.emulator import Emulator, Operation


def hide_token(url: URL) -> str:
    """Returns the URL for a span; the one of *connect* ends in the integration token, which is a secret."""
    return re.sub(r"/connect/[^/?#]+", "/connect/<hidden>", str(url))


def one_line(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    parent = f"below {span.parent.span_id:x}" if span.parent else "on top"
    return f"{span.name} {attributes.get('http.url', '')} {attributes.get('http.status_code', '')} {parent}\n"


async def asynchronous(api: Emulator) -> None:
    # With the instrumentation of all sessions it is AioHttpClientInstrumentor().instrument(url_filter=hide_token).
    tracing = create_trace_config(url_filter=hide_token)
    async with AsyncClient(
        api_token=api.api_token, account_id=api.account_id, base_url=api.url, trace_configs=[tracing]
    ) as client:
        with trace.get_tracer(__name__).start_as_current_span("connect PagerDuty"):
            token = await client.create_integration_token()
            api.authorize(token.id, services=["Primary on-call"])
            await client.connect(token)


def synchronous(api: Emulator) -> None:
    api.on(Operation.LIST).once().respond(503)  # so there are two attempts, and two spans
    with (
        Client(
            api_token=api.api_token,
            account_id=api.account_id,
            base_url=api.url,
            retry=RetryPolicy(initial_delay=0.01),
            trace_configs=[create_trace_config(url_filter=hide_token)],
        ) as client,
        trace.get_tracer(__name__).start_as_current_span("nightly report"),
    ):
        print([service.name for service in client.list_services()])


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=one_line)))
    trace.set_tracer_provider(provider)
    with Emulator() as api:
        asyncio.run(asynchronous(api))
        synchronous(api)
