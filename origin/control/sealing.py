"""Small secrets in the catalogue's database, wrapped under a key that the admin token gives.

Whoever reads the database alone opens none of them. Another admin token opens none of the older ones either:
webhooks then say so, and remembered answers are forgotten.
"""

from typing import Final

from keys.cipher import unwrap, wrap
from keys.derive import enc, hkdf_expand, hkdf_extract

_LABEL: Final = "sluice1 control"


class Sealer:
    """Wraps and opens. `context` is what a secret belongs to; it opens there only."""

    def __init__(self, admin_token: str) -> None:
        self._key = hkdf_expand(hkdf_extract(b"", admin_token.encode()), enc(_LABEL), 32)

    def __repr__(self) -> str:
        return "Sealer(…)"

    def seal(self, plain: bytes, *context: str) -> bytes:
        """The bytes to store."""
        return wrap(self._key, plain, _LABEL, *context)

    def open(self, sealed: bytes, *context: str) -> bytes:
        """What was sealed. keys.cipher.BadWrap for anything else."""
        return unwrap(self._key, sealed, _LABEL, *context)
