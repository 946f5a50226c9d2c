"""Digest fields of a download (RFC 9530): what its bytes can be checked with, unless the client says no.

`Repr-Digest` is of the whole file whatever part of it is sent, so it is the same on 200 and 206.
`Content-Digest` is of this message's bytes: given when it is asked for and the message is the whole file;
for a part, the bytes would have to be read before the first could go out. Pure.
"""

import base64
import re
from functools import lru_cache

from edge.deliver.cors import Headers
from keys.names import b64url_decode

_MEMBER = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=([0-9]{1,2})[ \t]*")
_LONGEST = 1024  # bytes of a Want- header that is read


def digest_fields(request: dict[bytes, bytes], sha256: str, *, whole: bool) -> Headers:
    """The digest fields of an answer from a file of that SHA-256 (base64url). `whole`: its body is it."""
    value = _member(sha256)
    fields: Headers = []
    if _preference(request.get(b"want-repr-digest")) != 0:
        fields.append((b"repr-digest", value))
    if whole and _preference(request.get(b"want-content-digest")):
        fields.append((b"content-digest", value))
    return fields


@lru_cache(1024)
def _member(sha256: str) -> bytes:
    return b"sha-256=:" + base64.b64encode(b64url_decode(sha256)) + b":"


def _preference(header: bytes | None) -> int | None:
    """How much SHA-256 is wanted, 0 (not at all) to 10 (RFC 9530 §4); None when the header does not say."""
    if header is None or len(header) > _LONGEST:
        return None
    members = [_MEMBER.fullmatch(text) for text in header.decode("latin-1").split(",")]
    if not all(members):
        return None  # RFC 9651 §4.2: a field that does not parse is no field
    return next((min(10, int(m[2])) for m in reversed(members) if m and m[1] == "sha-256"), None)
