"""structlog gets the client's log records with the caller's context, and without secrets."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client
from pagerduty_alerting.emulator import Emulator
from tests.support.examples import run

structlog = pytest.importorskip("structlog", reason="needs structlog")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """Where the client's log is written, as JSON."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger = logging.getLogger("pagerduty_alerting")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_log_records_of_a_synchronous_call_have_the_callers_context(lines: StringIO, options: dict[str, Any]) -> None:
    with Client(**options) as client, structlog.contextvars.bound_contextvars(request_id="r1"):
        client.list_services()

    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [record["request_id"] for record in records] == ["r1"]


async def test_log_records_of_a_retried_call_have_the_callers_context_and_no_token(
    emulator: Emulator, lines: StringIO, options: dict[str, Any]
) -> None:
    emulator.on().skip(1).once().respond(429, headers={"Retry-After": "0"})
    async with AsyncClient(**options) as client:
        with structlog.contextvars.bound_contextvars(request_id="r2"):
            token = await client.create_integration_token()
            emulator.authorize(token.id, services=["Database"])
            await client.with_options(respect_rate_limits=False).connect(token)

    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [record["request_id"] for record in records] == ["r2"] * 4
    assert token.id not in lines.getvalue()


def test_the_example_logs_each_attempt_and_the_retry_with_the_request_id() -> None:
    records = [json.loads(line) for line in run("log_structlog").splitlines()]

    assert [record["level"] for record in records] == ["debug", "info", "debug"]
    assert {record["request_id"] for record in records} == {"7c9e6679"}
