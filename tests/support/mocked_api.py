"""aioresponses for the tests: responses of the API, and requests as they were passed to aiohttp."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import aiohttp
import orjson
from aioresponses import aioresponses
from attrs import frozen

BASE_URL = "https://api.cloudflare.com/client/v4"


class _Response(aiohttp.ClientResponse):
    """Has a default for the argument that aiohttp 3.14 added and that aioresponses does not pass.

    Remove it when a release of aioresponses passes it: https://github.com/pnuckowski/aioresponses/issues/289
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


@frozen
class SentRequest:
    """One request, as the client passed it to aiohttp."""

    method: str
    url: str
    options: Mapping[str, Any]

    @property
    def headers(self) -> Mapping[str, str]:
        headers: Mapping[str, str] = self.options["headers"]
        return headers


class MockedApi:
    """Mocks the API; the only place where the tests use aioresponses."""

    def __init__(self) -> None:
        self._aioresponses = mocked = aioresponses()

        async def request(*args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
            return await mocked._request_mock(*args, **kwargs)

        # Instead of its own one, which reads the signature of the method for each test.
        mocked.patcher = mock.patch.object(aiohttp.ClientSession, "_request", request)

    def __enter__(self) -> "MockedApi":
        self._aioresponses.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._aioresponses.stop()

    def answer(
        self,
        method: str,
        path: str,
        status: int = 200,
        body: object = b"",
        *,
        headers: Mapping[str, str] | None = None,
        base_url: str = BASE_URL,
        repeat: bool = False,
    ) -> None:
        """Sets the response to the next request to a path, or to all with `repeat`; JSON unless the body is bytes."""
        self._aioresponses.add(
            base_url + path,
            method,
            status=status,
            body=body if isinstance(body, bytes) else orjson.dumps(body),
            headers=dict(headers or {}),
            repeat=repeat,
            response_class=_Response,
        )

    def fail(self, method: str, path: str, error: Exception) -> None:
        """Sets the exception that the next request to a path raises."""
        self._aioresponses.add(BASE_URL + path, method, exception=error)

    @property
    def requests(self) -> list[SentRequest]:
        """The requests so far; those with the same method and URL are in order."""
        return [
            SentRequest(method, str(url), call.kwargs)
            for (method, url), calls in self._aioresponses.requests.items()
            for call in calls
        ]
