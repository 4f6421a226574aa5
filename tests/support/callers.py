"""Both flavours of the client behind one interface, so that one test covers both."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterator
from typing import Any, Protocol

from attrs import evolve, frozen

from pagerduty_alerting import AsyncClient, Client, RetryPolicy
from tests.support.operations import ACCOUNT_ID, API_TOKEN

ONE_ATTEMPT = RetryPolicy(max_attempts=1)


@frozen
class Caller:
    """A client of either flavour.

    Attributes:
        flavour: "async" or "sync".
        client: The client itself.
    """

    flavour: str
    client: Any
    _finish: Callable[[Any], Any]

    def call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        """Calls one of the operations and returns its result."""
        return self._finish(getattr(self.client, operation)(*arguments, **options))

    def respond(self, operation: str, *arguments: Any, **options: Any) -> Any:
        """Calls one of the operations of `with_response`."""
        return self._finish(getattr(self.client.with_response, operation)(*arguments, **options))

    def collect(self, operation: str, *arguments: Any, **options: Any) -> list[Any]:
        """Calls one of the operations that yield, and returns all that it yields."""
        items = getattr(self.client, operation)(*arguments, **options)
        return list(items) if self.flavour == "sync" else self._finish(_all_of(items))

    def with_options(self, **changes: Any) -> "Caller":
        return evolve(self, client=self.client.with_options(**changes))

    def close(self) -> None:
        self._finish(self.client.aclose() if self.flavour == "async" else self.client.close())


async def _all_of(items: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in items]


class MakeCaller(Protocol):
    """Makes a caller; by default with credentials, an account and a single attempt for each call."""

    def __call__(self, *, bare: bool = False, **settings: Any) -> Caller: ...


@contextlib.contextmanager
def open_callers(flavour: str) -> Iterator[MakeCaller]:
    """Yields a function that makes callers of a flavour, and closes them at the end."""
    # A new loop instead of asyncio.Runner, which would change the thread's current loop for later tests.
    loop = asyncio.new_event_loop() if flavour == "async" else None
    callers: list[Caller] = []

    def make(*, bare: bool = False, **settings: Any) -> Caller:
        if not bare:
            settings = {"api_token": API_TOKEN, "account_id": ACCOUNT_ID, "retry": ONE_ATTEMPT, **settings}
        if loop is None:
            made = Caller(flavour, Client(**settings), lambda result: result)
        else:
            made = Caller(flavour, AsyncClient(**settings), loop.run_until_complete)
        callers.append(made)
        return made

    try:
        yield make
    finally:
        for caller in callers:
            caller.close()
        if loop is not None:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
