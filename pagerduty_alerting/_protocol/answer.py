"""HTTP's headers and answers as plain values; no I/O."""

import re
from collections.abc import Callable, Iterator, Mapping

from attrs import define, field
from multidict import CIMultiDict, MultiMapping

# Hexadecimal digits and the code of a data centre, shorter than any credential.
_RAY_ID = re.compile(r"[0-9A-Za-z]{1,24}(?:-[0-9A-Za-z]{1,8})?")


class SecretHeaders(CIMultiDict[str]):
    """Headers with credentials in them. The repr hides all values: tools print it as a local variable of a frame."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class ReceivedHeaders(Mapping[str, str]):
    """Headers of an answer, looked up without regard to case; one that came several times is joined by commas.

    The repr hides their values: a redirect's target can hold an integration token.
    """

    __slots__ = ("_received",)

    def __init__(self, received: MultiMapping[str]) -> None:
        self._received = received

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._received.getall(name))

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

    def __reduce__(self) -> tuple[type["ReceivedHeaders"], tuple[CIMultiDict[str]]]:
        return type(self), (CIMultiDict(self._received.items()),)  # the view that aiohttp gives cannot be pickled


@define(eq=False)  # not frozen, which would make it three times as slow to make; nobody changes one
class RawResponse:
    """One answer as it came.

    Attributes:
        status: HTTP status.
        received: The headers as they came. The repr hides them: a redirect's target can hold an integration token.
        body: The decompressed body, cut off at the client's limit.
        is_whole: False when the body was longer than that limit.
    """

    status: int
    received: MultiMapping[str] = field(repr=False)
    body: bytes = field(repr=False)
    is_whole: bool = True

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names, each once."""
        return ReceivedHeaders(self.received)

    def redacted_headers(self, redact: Callable[[str], str]) -> Mapping[str, str]:
        """Returns the headers with their values as `redact` returns them."""
        return ReceivedHeaders(CIMultiDict((name, redact(value)) for name, value in self.received.items()))

    def header(self, name: str) -> str | None:
        """Returns one of the headers, or None where it did not come."""
        values = self.received.getall(name, None)
        return None if values is None else ", ".join(values)

    @property
    def ray_id(self) -> str | None:
        """Cloudflare's id of the request, where one came that cannot be anything else, such as a token."""
        ray_id = self.header("CF-Ray")
        return ray_id if ray_id and _RAY_ID.fullmatch(ray_id) else None
