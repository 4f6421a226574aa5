"""Fixtures for the emulator's own tests, which use raw HTTP instead of the SDK's clients."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import aiohttp
import pytest
import yarl
from attrs import frozen

from pagerduty_alerting.emulator import Emulator, Operation

METHODS = {
    Operation.LIST: "GET",
    Operation.DELETE: "DELETE",
    Operation.CREATE: "POST",
    Operation.CONNECT: "GET",
}


@frozen
class Reply:
    """A response with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[int | None]:
        return [error.get("code") for error in self.json["errors"]]


class Caller:
    """Sends requests for operations to an emulator."""

    def __init__(self, api: Emulator, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.session = session

    def path(self, operation: Operation, token_id: str = "", account_id: str | None = None) -> str:
        path = f"/client/v4/accounts/{account_id or self.api.account_id}/alerting/v3/destinations/pagerduty"
        if operation is Operation.CREATE:
            return f"{path}/connect"
        return f"{path}/connect/{token_id}" if operation is Operation.CONNECT else path

    async def __call__(
        self,
        operation: Operation,
        token_id: str = "",
        *,
        account_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Reply:
        path = self.path(operation, token_id, account_id)
        return await self.raw(method or METHODS[operation], path, headers=headers)

    async def raw(
        self, method: str, path: str | yarl.URL, *, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> Reply:
        if headers is None:
            headers = {"Authorization": f"Bearer {self.api.api_token}"}
        url = yarl.URL(f"{self.api.origin}{path}", encoded=not isinstance(path, str))
        async with self.session.request(method, url, headers=headers, allow_redirects=False, **rest) as response:
            return Reply(response.status, response.headers, await response.read())

    async def create(self) -> str:
        reply = await self(Operation.CREATE)
        token_id = reply.json["result"]["id"]
        assert isinstance(token_id, str)
        return token_id

    async def names(self) -> list[str]:
        reply = await self(Operation.LIST)
        return [service["name"] for service in reply.json["result"]]


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def api() -> AsyncGenerator[Emulator]:
    async with Emulator() as api:
        yield api


@pytest.fixture
def call(api: Emulator, session: aiohttp.ClientSession) -> Caller:
    return Caller(api, session)


@pytest.fixture
def caller_of(session: aiohttp.ClientSession) -> Callable[[Emulator], Caller]:
    return lambda api: Caller(api, session)


@pytest.fixture
def control(call):
    async def ask(method, action, **body):
        reply = await call.raw(method, f"/_emulator/{action}", headers={}, json=body or None)
        assert reply.headers["Content-Type"] == "application/json"
        return reply

    return ask
