"""HTTP headers and responses as plain values; no I/O."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field

# Hexadecimal digits and the code of a data center; shorter than any credential.
_RAY_ID = r"[0-9A-Za-z]{1,24}(?:-[0-9A-Za-z]{1,8})?"


class SecretHeaders(dict[str, str]):
    """Headers that contain credentials. The repr hides all values, because tools print local variables of frames."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


def _value(received: Mapping[str, str], name: str) -> str | None:
    """Returns a header, the values of a repeated one joined by commas as in aiohttp 4."""
    if not hasattr(received, "getone"):
        return received.get(name)
    multi: Any = received  # the headers of aiohttp 3 keep the values apart
    values = multi.getall(name, ())
    return ", ".join(values) if values else None


class _Headers(Mapping[str, str]):
    """Headers that can be pickled; lookup ignores case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values = {name.lower(): (name, value) for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)


class ReceivedHeaders(Mapping[str, str]):
    """Headers of a response; lookup ignores case, and the values of a repeated header are joined by commas.

    The repr hides the values: the target of a redirect can contain an integration token.
    """

    __slots__ = ("_received",)

    def __init__(self, received: Mapping[str, str]) -> None:
        self._received = received

    def __getitem__(self, name: str) -> str:
        value = _value(self._received, name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for name in self._received:
            if name.lower() not in seen:
                seen.add(name.lower())
                yield name

    def __len__(self) -> int:
        return len(set(map(str.lower, self._received)))

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"

    def __reduce__(self) -> tuple[type["ReceivedHeaders"], tuple[Mapping[str, str]]]:
        return type(self), (_Headers(self),)  # aiohttp's view of them cannot be pickled


@define(eq=False, repr=False)  # never changed, but a frozen class takes three times as long to instantiate
class RawResponse:
    """One response as it was received."""

    status: int
    received: Mapping[str, str] = field(repr=False)  # a redirect's target can contain an integration token
    body: bytes = field(repr=False)  # decompressed, truncated to the client's limit
    is_whole: bool = True  # False if the body was longer than that limit

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, each name once."""
        return ReceivedHeaders(self.received)

    def redacted_headers(self, redact: Callable[[str], str]) -> Mapping[str, str]:
        """Returns the headers with their values as `redact` returns them."""
        return ReceivedHeaders(_Headers({name: redact(value) for name, value in self.headers.items()}))

    def header(self, name: str) -> str | None:
        """Returns a header, or None if it is missing."""
        return _value(self.received, name)

    @property
    def ray_id(self) -> str | None:
        """Cloudflare's id of the request; None if it is missing or not in the form of one."""
        ray_id = self.header("CF-Ray")
        return ray_id if ray_id and re.fullmatch(_RAY_ID, ray_id) else None
