"""The content keys a DRM provider gave an asset, or that it is to be told of: which key is for which track.

Such an asset is encrypted once for all sessions. Its document (`keys.cpix`) is kept sealed beside the keys of
its generation; edges are lent its content keys with each lease, and the packager sees it without them.
What of a document we cannot serve is refused here, before anything is made of it. Pure.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from keys.cpix import AUDIO, VIDEO, BadCpix, ContentKey, Document
from keys.cpix_xml import read_cpix, write_cpix

MOST_BYTES: Final = 32 << 10  # of a document: its JSON form has to fit a request to keys
MOST_KEYS: Final = 8
SCHEMES: Final = ("cbcs", "cenc")
TRACKS: Final[Mapping[str, str]] = {"video": VIDEO, "audio": AUDIO}  # by track: as usage rules say it
KEY_BYTES: Final = 16


def read_drm(data: bytes) -> Document:
    """A document whose every key is there and that an asset can be encrypted by. BadCpix for any other."""
    if len(data) > MOST_BYTES:
        raise BadCpix(f"It has more than {MOST_BYTES} bytes.")
    document = read_cpix(data)
    if not 1 <= len(document.keys) <= MOST_KEYS:
        raise BadCpix(f"It has not 1 to {MOST_KEYS} content keys.")
    if any(key.key is None or len(key.key) != KEY_BYTES for key in document.keys):
        raise BadCpix("It has a content key without its value: only the provider's answer can be used.")
    if len({key.kid for key in document.keys}) != len(document.keys):
        raise BadCpix("It has two keys of one ID.")
    if len({key.scheme for key in document.keys}) != 1 or document.keys[0].scheme not in SCHEMES:
        raise BadCpix(f"Its keys are not all for the same one of {' and '.join(SCHEMES)}.")
    if not document.systems:
        raise BadCpix("It names no DRM system, so no player could ask for its keys.")
    for track in TRACKS:
        key_for(document, track)
    return document


def key_for(document: Document, track: str) -> ContentKey:
    """The one content key of a track, "video" or "audio". BadCpix when its rules do not say just one.

    A rule that names the type of track wins over rules for any; without rules there is but one key.
    """
    wanted = TRACKS[track]
    named = {rule.kid for rule in document.rules if rule.track_type == wanted}
    anyone = {rule.kid for rule in document.rules if rule.track_type is None}
    kids: set[uuid.UUID] = (
        named or anyone or ({key.kid for key in document.keys} if not document.rules else set())
    )
    found = [key for key in document.keys if key.kid in kids]
    if len(found) != 1:
        raise BadCpix(f"It names {len(found)} keys for {track}, where one for all {track} is what fits.")
    return found[0]


def keys_of(document: Document) -> dict[bytes, bytes]:
    """The content keys by their IDs, 16 bytes each."""
    return {key.kid.bytes: key.key for key in document.keys if key.key is not None}


def told(document: Document) -> bytes:
    """The document without its content keys: what is no secret."""
    return write_cpix(replace(document, keys=tuple(replace(key, key=None) for key in document.keys)))
