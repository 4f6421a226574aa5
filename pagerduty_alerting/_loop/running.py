"""The running event loop, which must be one of asyncio."""

import asyncio

from pagerduty_alerting.errors import ClientUsageError


def running_loop() -> asyncio.AbstractEventLoop:
    """Returns the running event loop.

    Raises:
        ClientUsageError: No loop of asyncio is running.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ClientUsageError(
            "no asyncio event loop is running: AsyncClient works with asyncio only, not with trio. Call a Client in a"
            " thread there"
        ) from None
