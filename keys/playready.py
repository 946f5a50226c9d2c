"""The PlayReady Object and its header (PlayReady Header Specification, Microsoft, §2 and §3).

    length(4) count(2) ( type(2) length(2) value )*     little-endian, lengths in bytes
    type 1: a WRMHEADER element in UTF-16LE, attributes in alphabetical order, every element closed by a tag

Key IDs are written as GUIDs: the first three fields little-endian, then base64. Version 4.3 is the first that
knows AESCBC (cbcs); 4.0 is the one every player reads, and names one key; 4.2 names several.
"""

import base64
import struct
import uuid
from collections.abc import Sequence
from typing import Final

MAX_BYTES: Final = 15 << 10  # §2
NAMESPACE: Final = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
_HEADER: Final = 1
_LICENSE_STORE: Final = 3
_ALGORITHM: Final = {"cenc": "AESCTR", "cbcs": "AESCBC"}


def playready_object(kids: Sequence[uuid.UUID], scheme: str) -> bytes:
    """A PlayReady Object with one header that names these keys. ValueError: none, or too many for 15 KiB."""
    if not kids:
        raise ValueError("a PlayReady header names at least one key")
    value = _header([base64.b64encode(kid.bytes_le).decode() for kid in kids], scheme).encode("utf-16-le")
    record = struct.pack("<HH", _HEADER, len(value)) + value
    found = struct.pack("<IH", 6 + len(record), 1) + record
    if len(found) > MAX_BYTES:
        raise ValueError("a PlayReady Object has no room for so many keys")
    return found


def _header(kids: list[str], scheme: str) -> str:
    algorithm = _ALGORITHM[scheme]
    if scheme == "cenc" and len(kids) == 1:
        version = "4.0.0.0"
        data = f"<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>{algorithm}</ALGID></PROTECTINFO><KID>{kids[0]}</KID>"
    else:
        version = "4.2.0.0" if scheme == "cenc" else "4.3.0.0"
        named = "".join(f'<KID ALGID="{algorithm}" VALUE="{kid}"></KID>' for kid in kids)
        data = f"<PROTECTINFO><KIDS>{named}</KIDS></PROTECTINFO>"
    return f'<WRMHEADER xmlns="{NAMESPACE}" version="{version}"><DATA>{data}</DATA></WRMHEADER>'


def headers(data: bytes) -> list[str]:
    """The headers in a PlayReady Object; ValueError when it is not one whole object with at least one."""
    if not 6 <= len(data) <= MAX_BYTES:
        raise ValueError("no PlayReady Object has that length")
    length, count = struct.unpack_from("<IH", data)
    found: list[str] = []
    at = 6
    for _ in range(count):
        if at + 4 > len(data):
            raise ValueError("the PlayReady Object is shorter than its records")
        kind, size = struct.unpack_from("<HH", data, at)
        value = data[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == _HEADER:
            found.append(value.decode("utf-16-le"))
        elif kind != _LICENSE_STORE:
            raise ValueError("the PlayReady Object has a record of an unknown type")
    if length != len(data) or at != len(data) or not found:
        raise ValueError("not one whole PlayReady Object with a header")
    return found
