"""HTTP's headers and answers as plain values; no I/O."""

from collections.abc import Mapping

from attrs import field, frozen
from multidict import CIMultiDict


class SecretHeaders(CIMultiDict[str]):
    """Headers with credentials in them. The repr hides all values: tools print it as a local variable of a frame."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


@frozen
class RawResponse:
    """One answer as it came.

    Attributes:
        status: HTTP status.
        headers: Looked up without regard to case; one that came several times is one value, joined by commas. The
            repr hides them: a redirect's target can hold an integration token.
        body: The decompressed body, cut off at the client's limit.
        is_whole: False when the body was longer than that limit.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_whole: bool = True

    @property
    def ray_id(self) -> str | None:
        """Cloudflare's id of the request, where it came and can be one."""
        ray_id = self.headers.get("CF-Ray")
        return ray_id if ray_id and len(ray_id) <= 64 and ray_id.isprintable() else None


def fold(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Returns headers in which each name stands once, the values of repeated ones joined as RFC 9110 says."""
    folded = CIMultiDict[str](headers)
    if len(set(map(str.lower, folded))) == len(folded):
        return folded
    return CIMultiDict((name, ", ".join(folded.getall(name))) for name in dict.fromkeys(map(str.lower, folded)))
