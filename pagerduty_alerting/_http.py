"""An HTTP answer as a plain value; no I/O."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class RawResponse:
    """One answer as it came.

    Attributes:
        status: HTTP status.
        headers: Looked up without regard to case.
        body: The decompressed body, cut off at the client's limit.
        is_whole: False when the body was longer than that limit.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_whole: bool = True

    @property
    def ray_id(self) -> str | None:
        """Cloudflare's id of the request, where it came and can be one."""
        ray_id = self.headers.get("CF-Ray")
        return ray_id if ray_id and len(ray_id) <= 64 and ray_id.isprintable() else None
