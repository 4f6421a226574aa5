"""Masks secrets in text from a server; pure."""

import re
from collections.abc import Collection, Iterable

MASK = "<hidden>"
SNIPPET_LENGTH = 200
# Characters of an excerpt, and what is read beyond them so that a secret that crosses the end is masked whole.
_WINDOW = 4096
_SLACK = 1024
_UUID_LENGTH = 36

_UUID = r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])"


def redact(text: str, secrets: Iterable[str], *, uuids: bool = False) -> str:
    """Returns the text with every secret masked, in any letter case; with `uuids`, every UUID as well."""
    # In one pass, the longest first: one secret may begin with another, or occur in the mask.
    any_secret = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    if any_secret:
        text = re.sub(any_secret, MASK, text, flags=re.IGNORECASE)  # host names are shown in lower case
    return re.sub(_UUID, MASK, text) if uuids else text


def excerpt(body: bytes, secrets: Collection[str], *, uuids: bool = False) -> str:
    """Returns the start of a body as text of at most 4,096 characters, secrets masked."""
    text = redact(body[: _WINDOW + _SLACK].decode("utf-8", "replace"), secrets, uuids=uuids)
    if len(body) > _WINDOW + _SLACK:
        # A truncated secret is not recognized, and masks are shorter than what they hide.
        text = text[: -max([_UUID_LENGTH, *map(len, secrets)])]
    return text[:_WINDOW]


def snippet(body: bytes, secrets: Collection[str], *, uuids: bool = False) -> str:
    """Returns the start of a body as one line of at most 200 characters, secrets masked."""
    line = one_line(excerpt(body, secrets, uuids=uuids))
    return line if len(line) <= SNIPPET_LENGTH else line[: SNIPPET_LENGTH - 1] + "…"


def one_line(text: str) -> str:
    """Returns the text on one line, without control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
