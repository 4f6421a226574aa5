"""Keeps secrets out of text that a server sent and that we show; pure."""

import re
from collections.abc import Iterable

MASK = "<hidden>"
SNIPPET_LENGTH = 200
# Text beyond this cannot reach a snippet; the slack lets a secret that crosses the end be masked whole.
_WINDOW = 4096
_SLACK = 1024

_UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])")
_WHITE_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def redact(text: str, secrets: Iterable[str], *, uuids: bool = False) -> str:
    """Returns the text with every secret masked; with `uuids`, whatever looks like an integration token, too."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _UUID.sub(MASK, text) if uuids else text


def snippet(body: bytes, secrets: Iterable[str], *, uuids: bool = False) -> str:
    """Returns the start of a body as one line of at most 200 characters, secrets masked."""
    text = redact(body[: _WINDOW + _SLACK].decode("utf-8", "replace"), secrets, uuids=uuids)
    line = _WHITE_OR_CONTROL.sub(" ", text[:_WINDOW]).strip()
    return line if len(line) <= SNIPPET_LENGTH else line[: SNIPPET_LENGTH - 1] + "…"
