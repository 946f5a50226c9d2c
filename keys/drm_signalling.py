"""What players are told of a content key by a DRM system, made here where its provider says nothing.

Where a licence comes from is not said: pages and applications know that of their provider.
"""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from keys.cpix import FAIRPLAY, PLAYREADY, WIDEVINE, BadCpix, ContentKey, Document, DrmSystem
from keys.drm_checks import KEY_FORMATS
from keys.drm_fragment import CENC, PLAYREADY_NAMESPACE, written
from keys.hls_key_lines import MEDIA_TAG, METHODS, MULTIVARIANT_TAG, key_line
from keys.playready import playready_object
from keys.pssh import write_pssh


def signalled(document: Document) -> Document:
    """The document with every DRM system it names described for every key; what was said stays.

    Widevine and PlayReady get all four members. FairPlay gets the HLS lines only, with `skd://<kid>` as URI;
    a manifest has nothing for it. Systems not known here stay as they are. BadCpix: FairPlay with `cenc`.
    """
    said = {(each.kid, each.system_id): each for each in document.systems}
    named = dict.fromkeys(each.system_id for each in document.systems)
    found = [
        _filled(said.get((key.kid, system_id)), key, system_id)
        for system_id in named
        for key in document.keys
        if system_id in KEY_FORMATS
    ]
    others = [each for each in document.systems if each.system_id not in KEY_FORMATS]
    return replace(document, systems=(*found, *others))


def _filled(said: DrmSystem | None, key: ContentKey, system_id: uuid.UUID) -> DrmSystem:
    made = signalling(key, system_id)
    if said is None:
        return made
    return replace(
        said,
        pssh=said.pssh or made.pssh,
        content_protection=said.content_protection or made.content_protection,
        hls_media=said.hls_media or made.hls_media,
        hls_multivariant=said.hls_multivariant or made.hls_multivariant,
    )


def signalling(key: ContentKey, system_id: uuid.UUID) -> DrmSystem:
    """What is told of `key` by Widevine, PlayReady or FairPlay. ValueError for another system.

    BadCpix, which is one, for FairPlay with `cenc`.
    """
    if system_id == WIDEVINE:
        return _widevine(key)
    if system_id == PLAYREADY:
        return _playready(key)
    if system_id == FAIRPLAY:
        return _fairplay(key)
    raise ValueError(f"nothing is known of the DRM system {system_id}")


def _widevine(key: ContentKey) -> DrmSystem:
    pssh = widevine_pssh([key.kid], key.scheme)
    attributes = {
        "METHOD": METHODS[key.scheme],
        "URI": f"data:text/plain;base64,{_base64(pssh)}",
        "KEYID": f"0x{key.kid.hex}",
        "KEYFORMAT": KEY_FORMATS[WIDEVINE],
        "KEYFORMATVERSIONS": "1",
    }
    return _system(key, WIDEVINE, attributes, pssh, {f"{{{CENC}}}pssh": _base64(pssh)})


def _playready(key: ContentKey) -> DrmSystem:
    pssh = playready_pssh([key.kid], key.scheme)
    pro = _base64(playready_object([key.kid], key.scheme))
    attributes = {
        "METHOD": METHODS[key.scheme],
        "URI": f"data:text/plain;charset=UTF-16;base64,{pro}",
        "KEYFORMAT": KEY_FORMATS[PLAYREADY],
        "KEYFORMATVERSIONS": "1",
    }
    elements = {f"{{{CENC}}}pssh": _base64(pssh), f"{{{PLAYREADY_NAMESPACE}}}pro": pro}
    return _system(key, PLAYREADY, attributes, pssh, elements)


def _fairplay(key: ContentKey) -> DrmSystem:
    if key.scheme != "cbcs":
        raise BadCpix("FairPlay opens cbcs only, and the key is for cenc.")
    attributes = {"METHOD": METHODS[key.scheme], "URI": f"skd://{key.kid}"}
    if key.explicit_iv is not None:
        attributes["IV"] = f"0x{key.explicit_iv.hex()}"
    attributes |= {"KEYFORMAT": KEY_FORMATS[FAIRPLAY], "KEYFORMATVERSIONS": "1"}
    return _system(key, FAIRPLAY, attributes, None, {})


def _system(
    key: ContentKey,
    system_id: uuid.UUID,
    attributes: dict[str, str],
    pssh: bytes | None,
    elements: dict[str, str],
) -> DrmSystem:
    return DrmSystem(
        key.kid,
        system_id,
        pssh,
        written(elements) or None,
        key_line(MEDIA_TAG, attributes),
        key_line(MULTIVARIANT_TAG, attributes),
    )


# WidevinePsshData, a protocol buffer: numbers of its fields and their wire types.
_KEY_ID: Final = b"\x12"  # 2, bytes
_CONTENT_ID: Final = b"\x22"  # 4, bytes
_PROTECTION_SCHEME: Final = b"\x48"  # 9, a number: the scheme's four letters, big-endian


def widevine_pssh(kids: Sequence[uuid.UUID], scheme: str, content_id: bytes = b"") -> bytes:
    """The `pssh` box of Widevine, version 0, which every player reads."""
    data = b"".join(_KEY_ID + _varint(16) + kid.bytes for kid in kids)
    if content_id:
        data += _CONTENT_ID + _varint(len(content_id)) + content_id
    data += _PROTECTION_SCHEME + _varint(int.from_bytes(scheme.encode(), "big"))
    return write_pssh(WIDEVINE, data)


def playready_pssh(kids: Sequence[uuid.UUID], scheme: str) -> bytes:
    """The `pssh` box of PlayReady, version 0: a PlayReady Object with one header."""
    return write_pssh(PLAYREADY, playready_object(kids, scheme))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
