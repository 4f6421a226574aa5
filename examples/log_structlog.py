"""Logs with structlog: the records of the client, as JSON with the caller's ids.

The client logs through the standard library's logger `pagerduty_alerting`: attempts at DEBUG, retries at INFO, no
secrets. Needs structlog. It runs against its own emulator.
"""

import logging

import structlog

from pagerduty_alerting import Client, RetryPolicy
from pagerduty_alerting.emulator import Emulator


def log_as_json() -> None:
    """Sends the records of all libraries through structlog."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,  # calls run in the context of their callers
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pagerduty_alerting").setLevel(logging.DEBUG)


def main() -> None:
    log_as_json()
    with (
        Emulator() as api,
        Client(
            api_token=api.api_token,
            account_id=api.account_id,
            base_url=api.url,
            retry=RetryPolicy(initial_delay=0.01),
        ) as client,
        structlog.contextvars.bound_contextvars(request_id="7c9e6679"),
    ):
        api.on().once().respond(503)
        client.list_services()


if __name__ == "__main__":
    main()
