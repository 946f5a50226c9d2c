"""Base64 in XML and data URIs, read so that there is one spelling for each value (RFC 4648 §3.5, §4)."""

import base64
import binascii


def from_base64(text: str) -> bytes:
    """What `text` spells. ValueError for other letters, missing padding, and bits nobody needs."""
    try:
        found = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None
    if base64.b64encode(found).decode() != text:
        raise ValueError("not base64 in its one spelling")
    return found
