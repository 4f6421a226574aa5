"""Requests and responses as values, for the tests of pure modules."""

from typing import Any

import orjson
from multidict import CIMultiDict

from pagerduty_alerting import IntegrationToken
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import CONNECT, ENDPOINTS, Endpoint, Request, build_request
from tests.support.operations import ACCOUNT_ID, API_TOKEN, TOKEN_ID

__all__ = ["ENDPOINTS", "answer", "request_for"]


def request_for(endpoint: Endpoint[Any], token_id: str = TOKEN_ID) -> Request[Any]:
    """Returns the request of a call, with an API token and, for *connect*, an integration token as its secrets."""
    token = IntegrationToken(token_id) if endpoint is CONNECT else None
    return build_request(endpoint, "https://api.example/v4", ACCOUNT_ID, token, secrets=(API_TOKEN,))


def answer(
    status: int, body: object = b"", *, headers: dict[str, str] | None = None, is_whole: bool = True
) -> RawResponse:
    """Returns a response; a body other than bytes is encoded as JSON."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return RawResponse(status, CIMultiDict(headers or {}), raw, is_whole)
