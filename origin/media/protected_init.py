"""The init segment of a protected track (ISO/IEC 14496-12 §8.12, ISO/IEC 23001-7 §8.2): the clear one, with
its sample entry renamed `encv` or `enca` and the scheme told inside it. Nothing else changes, but that the
`pssh` boxes of DRM systems may stand at the end of `moov` (§8.1).

    sinf ─ frma  the codec
         ─ schm  the scheme, version 1.0
         ─ schi ─ tenc  KID, IV size or constant IV, pattern
"""

import struct
from typing import Final

from keys.derive import cbcs_iv
from origin.media.box_writing import box, enlarge, full_box
from origin.media.boxes import Box, Data, boxes, need
from origin.media.protection import IV_SIZE, SCHEMES, VIDEO, VIDEO_SKIP, Unprotected, protectable_entry

SCHEME_VERSION: Final = 0x00010000
PATH: Final = ("mdia", "minf", "stbl", "stsd")


def protected_init(
    init: Data, scheme: str, kid: bytes, *, iv: bytes = b"", pssh: tuple[bytes, ...] = ()
) -> bytes:
    """The init segment for `cenc` or `cbcs` under the 16-byte key ID. Unprotected when it cannot be.

    `iv` is the constant one of `cbcs`, 16 bytes, when it is not the key ID's own; `pssh` are whole boxes.
    """
    if scheme not in SCHEMES or len(kid) != 16:
        raise ValueError("a scheme of SCHEMES and a key ID of 16 bytes")
    moov = need(init, "moov")
    if len([each for each in boxes(init, moov) if each.type == "trak"]) != 1:
        raise Unprotected("an init segment has one track")
    trak = need(init, "trak", parent=moov)
    entry = protectable_entry(init, trak)
    video = entry.type in VIDEO
    added = _sinf(entry.type, scheme, kid, iv or cbcs_iv(kid), video=video)
    data = bytearray(init)
    for grown in (moov, trak, *_between(init, trak), entry):
        enlarge(data, grown, len(added))
    data[entry.start + 4 : entry.start + 8] = b"encv" if video else b"enca"
    data[entry.end : entry.end] = added
    boxed = b"".join(pssh)
    data[moov.end + len(added) : moov.end + len(added)] = boxed
    enlarge(data, moov, len(boxed))
    return bytes(data)


def _between(init: Data, trak: Box) -> list[Box]:
    """The boxes from the track down to its sample description."""
    return [need(init, *PATH[:depth], parent=trak) for depth in range(1, len(PATH) + 1)]


def _sinf(codec: str, scheme: str, kid: bytes, iv: bytes, *, video: bool) -> bytes:
    schm = full_box("schm", 0, 0, scheme.encode(), struct.pack(">I", SCHEME_VERSION))
    return box("sinf", box("frma", codec.encode()), schm, box("schi", _tenc(scheme, kid, iv, video=video)))


def _tenc(scheme: str, kid: bytes, iv: bytes, *, video: bool) -> bytes:
    if scheme == "cenc":
        return full_box("tenc", 0, 0, bytes((0, 0, 1, IV_SIZE)), kid)
    # §10.4: sound has no pattern, both numbers 0
    pattern = 1 << 4 | VIDEO_SKIP if video else 0
    return full_box("tenc", 1, 0, bytes((0, pattern, 1, 0)), kid, bytes([len(iv)]), iv)
