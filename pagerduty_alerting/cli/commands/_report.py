"""Describes the form of one list response without any values, for bug reports.

The request is sent with aiohttp alone, to record responses that the client would reject, too.
"""

import asyncio
import platform
import re
from importlib.metadata import version
from typing import cast

import aiohttp
import orjson

import pagerduty_alerting
from pagerduty_alerting._http.proxy import find_proxy
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.endpoints import LIST_SERVICES, build_request
from pagerduty_alerting.cli.failures import NoAnswerError
from pagerduty_alerting.cli.settings import ClientSettings

MOST_BYTES = 8 * 1024 * 1024
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_DEEPEST = 8


def report(settings: ClientSettings) -> dict[str, object]:
    """Returns the JSON fields of the report on one list response, or raises `NoAnswerError`."""
    answer = asyncio.run(_list_once(settings))
    return {
        "request": "List PagerDuty services",
        "versions": {
            "pagerduty-alerting": pagerduty_alerting.__version__,
            "aiohttp": version("aiohttp"),
            "python": platform.python_version(),
        },
        "status": answer.status,
        "header_names": list(map(_shown, dict.fromkeys(answer.received))),
        "body": body_shape(answer.body),
    }


async def _list_once(settings: ClientSettings) -> RawResponse:
    request = build_request(LIST_SERVICES, settings.base_url, settings.account)
    proxy = find_proxy(settings.base_url)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=settings.timeout)) as session,
            session.get(
                request.url,
                headers={**settings.credentials.headers(), "Accept": "application/json"},
                allow_redirects=False,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers(),
            ) as response,
        ):
            body = await response.content.read(MOST_BYTES)
            while len(body) < MOST_BYTES and (more := await response.content.read(MOST_BYTES - len(body))):
                body += more
            return RawResponse(response.status, response.headers, body)
    except (aiohttp.ClientError, OSError, TimeoutError):
        raise NoAnswerError("There was no response to record. See what `pagerduty-alerting doctor` finds.") from None


def body_shape(body: bytes) -> object:
    """Returns the names and types in a body, without values."""
    try:
        return shape(orjson.loads(body))
    except orjson.JSONDecodeError:
        kind = "empty" if not body else "html" if body.lstrip()[:1] == b"<" else "neither JSON nor HTML"
        return f"({kind})"


def shape(value: object, depth: int = 0) -> object:
    """Returns the shape of a JSON value: types instead of values, and the distinct shapes of a list's items."""
    match value:
        case dict() | list() if depth == _DEEPEST:
            return "(deeper)"
        case dict():
            fields = cast("dict[str, object]", value)
            return {_shown(name): shape(item, depth + 1) for name, item in fields.items()}
        case list():
            shapes = [shape(item, depth + 1) for item in cast("list[object]", value)]
            return list({orjson.dumps(item, option=orjson.OPT_SORT_KEYS): item for item in shapes}.values())
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _shown(name: str) -> str:
    """Returns a name, or a placeholder if it may be a value such as an id."""
    return name if _PLAIN_NAME.fullmatch(name) else "(another name)"
