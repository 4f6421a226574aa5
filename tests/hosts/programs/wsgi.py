"""A WSGI application: `GET /ACCOUNT_ID`."""

import json
from collections.abc import Callable
from typing import Any

import caller


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Responds with the names of the account's services, or with the text of the error."""
    answer = caller.names_or_error(environ["PATH_INFO"].strip("/"))
    start_response("500 Error" if isinstance(answer, str) else "200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
