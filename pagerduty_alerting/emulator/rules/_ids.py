"""Identifiers and secrets in the shapes that Cloudflare gives them; it must not know what they identify."""

from __future__ import annotations

import enum
import random
import re
import string
import uuid

import attrs

_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_LETTERS = f"{string.ascii_letters}{string.digits}_-"


class IdStyle(enum.StrEnum):
    """How the emulator spells the ids that it makes. It understands both spellings in any case."""

    HEX = "hex"
    DASHED = "dashed"


def canonical_uuid(spelling: str) -> str | None:
    """Bring both spellings of a UUID to one.

    Args:
        spelling: 32 hexadecimal digits, or 36 characters with dashes.

    Returns:
        32 lower-case hexadecimal digits, or None where `spelling` is no UUID.
    """
    return spelling.replace("-", "").lower() if _UUID.fullmatch(spelling) else None


def is_account_id(spelling: str) -> bool:
    """Tell whether `spelling` could be an account id: 32 lower-case hexadecimal digits."""
    return _ACCOUNT_ID.fullmatch(spelling) is not None


@attrs.frozen
class IdSource:
    """Makes identifiers, always the same ones for the same seed.

    Attributes:
        style: How UUIDs are spelled.
        seed: Where the sequence starts; None for a different one every time.
    """

    style: IdStyle = IdStyle.HEX
    seed: int | None = None
    _random: random.Random = attrs.field(
        init=False,
        repr=False,
        # Not for secrets elsewhere: those of an emulator guard nothing.
        default=attrs.Factory(lambda self: random.Random(self.seed), takes_self=True),  # noqa: S311
    )

    def hex_id(self) -> str:
        """A new id of 32 hexadecimal digits, as accounts have."""
        return f"{self._random.getrandbits(128):032x}"

    def uuid(self) -> str:
        """A new random UUID, spelled as `style` says."""
        value = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return value.hex if self.style is IdStyle.HEX else str(value)

    def api_token(self) -> str:
        """A new API token: 40 characters."""
        return "".join(self._random.choices(_LETTERS, k=40))

    def api_key(self) -> str:
        """A new global API key: 37 hexadecimal digits."""
        return f"{self._random.getrandbits(148):037x}"

    def ray_id(self) -> str:
        """A new request id as in ``CF-Ray``: 16 hexadecimal digits and the airport code of a data centre."""
        return f"{self._random.getrandbits(64):016x}-AMS"

    def chance(self, probability: float) -> bool:
        """Toss a coin that comes up true with `probability` (0 to 1)."""
        return self._random.random() < probability
