"""How a message to a webhook is signed: as Standard Webhooks 1.0 says, so that its libraries verify it.

    webhook-id         of the message; the same when it is sent again
    webhook-timestamp  seconds since 1970, of this attempt
    webhook-signature  `v1,` and base64 of HMAC-SHA-256 over `<id>.<timestamp>.<body>`

A secret is 32 random bytes, told as `whsec_` and base64. Pure.
"""

import base64
import hmac
import secrets
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
TOLERANCE_S: Final = 300  # what a receiver should allow between its clock and the timestamp


def new_secret() -> bytes:
    """A random secret."""
    return secrets.token_bytes(SECRET_BYTES)


def written(secret: bytes) -> str:
    """The secret as its receiver is told."""
    return PREFIX + base64.b64encode(secret).decode("ascii")


def signature(secret: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = b"%s.%d.%s" % (id.encode("ascii"), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode("ascii")


def headers(secret: bytes, id: str, now: float, body: bytes) -> dict[str, str]:
    """The three headers of an attempt."""
    timestamp = int(now)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, id, timestamp, body),
    }
