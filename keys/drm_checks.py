"""Whether a CPIX document says what can be used here, and nothing else: `checked`.

What it says of players goes into our playlists and manifests, so those texts are taken apart and written anew
(`hls_key_lines`, `drm_fragment`). The rest must fit together: every kid named is a key of the document, and
each kind of track has one key.
"""

import re
import uuid
from dataclasses import replace
from typing import Final

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, BadCpix, ContentKey, Document, DrmSystem
from keys.drm_fragment import checked_fragment
from keys.hls_key_lines import MEDIA_TAG, METHODS, MULTIVARIANT_TAG, key_line, key_lines
from keys.playready import headers
from keys.pssh import read_pssh
from keys.strict_base64 import from_base64

MAX_KEYS: Final = 32
MAX_SYSTEMS: Final = 128
MAX_RULES: Final = 64
KEY_FORMATS: Final = {
    WIDEVINE: f"urn:uuid:{WIDEVINE}",
    PLAYREADY: "com.microsoft.playready",
    FAIRPLAY: "com.apple.streamingkeydelivery",
}
_DATA_URI: Final = re.compile(r"data:[a-z]{1,32}/[a-z0-9.+-]{1,64}(;charset=[A-Za-z0-9-]{1,16})?;base64,(.*)")
_CONTENT_ID: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{0,256}")


def checked(document: Document) -> Document:
    """The document, what players are told written anew. BadCpix when it cannot be used here.

    Keys and members of DrmSystem may be missing or empty: a question is a document too.
    """
    if not _CONTENT_ID.fullmatch(document.content_id) or document.content_id != document.content_id.strip():
        raise BadCpix("The contentId is too long, or has characters that are no text.")
    limits = ((document.keys, MAX_KEYS), (document.systems, MAX_SYSTEMS), (document.rules, MAX_RULES))
    if not document.keys or any(len(rows) > most for rows, most in limits):
        raise BadCpix(f"A document has 1 to {MAX_KEYS} keys, {MAX_SYSTEMS} DRMSystems and {MAX_RULES} rules.")
    keys = _checked_keys(document)
    _check_rules(document, keys)
    pairs = [(system.kid, system.system_id) for system in document.systems]
    if len(set(pairs)) != len(pairs):
        raise BadCpix("A DRM system is described twice for one key.")
    return replace(document, systems=tuple(_checked_system(each, keys) for each in document.systems))


def _checked_keys(document: Document) -> dict[uuid.UUID, ContentKey]:
    found: dict[uuid.UUID, ContentKey] = {}
    for key in document.keys:
        if key.kid in found:
            raise BadCpix(f"The key {key.kid} is in the document twice.")
        if key.scheme not in METHODS:
            raise BadCpix(
                f"The key {key.kid} is for the scheme {key.scheme[:16]!r}; here it is cenc or cbcs."
            )
        if key.key is not None and len(key.key) != 16:
            raise BadCpix(f"The key {key.kid} is not 16 bytes long.")
        if key.explicit_iv is not None and len(key.explicit_iv) != 16:
            raise BadCpix(f"The explicitIV of the key {key.kid} is not 16 bytes long.")
        found[key.kid] = key
    if len({key.scheme for key in document.keys}) > 1:
        raise BadCpix("The keys are of different schemes; a film is encrypted in one.")
    return found


def _check_rules(document: Document, keys: dict[uuid.UUID, ContentKey]) -> None:
    kid_of: dict[str, uuid.UUID] = {}
    for rule in document.rules:
        if rule.kid not in keys:
            raise BadCpix(f"A usage rule names the key {rule.kid}, which is not in the document.")
        if rule.track_type not in {VIDEO, AUDIO, None}:
            raise BadCpix(f"A usage rule is for {rule.track_type!r}; here it is VIDEO, AUDIO or both.")
        for kind in (VIDEO, AUDIO) if rule.track_type is None else (rule.track_type,):
            if kid_of.setdefault(kind, rule.kid) != rule.kid:
                raise BadCpix(f"Two keys are for {kind}; here all tracks of a kind have one key.")
    if len(set(document.rules)) != len(document.rules):
        raise BadCpix("A usage rule is in the document twice.")


def _checked_system(system: DrmSystem, keys: dict[uuid.UUID, ContentKey]) -> DrmSystem:
    key = keys.get(system.kid)
    if key is None:
        raise BadCpix(f"A DRMSystem names the key {system.kid}, which is not in the document.")
    what = f"of the DRM system {system.system_id} for the key {system.kid}"
    if system.system_id == FAIRPLAY and key.scheme != "cbcs":
        raise BadCpix("FairPlay opens cbcs only, and the key is for cenc.")
    try:
        if system.pssh:
            _check_pssh(system)
    except ValueError as exc:
        raise BadCpix(f"The PSSH {what} is not used: {exc}.") from None
    try:
        fragment = system.content_protection
        if fragment:
            fragment = checked_fragment(fragment, system.system_id)
    except ValueError as exc:
        raise BadCpix(f"The ContentProtectionData {what} is not used: {exc}.") from None
    try:
        media = _lines(system.hls_media, MEDIA_TAG, system, key)
        multivariant = _lines(system.hls_multivariant, MULTIVARIANT_TAG, system, key)
    except ValueError as exc:
        raise BadCpix(f"The HLSSignalingData {what} is not used: {exc}.") from None
    return replace(system, content_protection=fragment, hls_media=media, hls_multivariant=multivariant)


def _check_pssh(system: DrmSystem) -> None:
    box = read_pssh(system.pssh or b"")
    if box.system_id != system.system_id:
        raise ValueError("it is of another DRM system")
    if box.kids and system.kid not in box.kids:
        raise ValueError("it names other keys")
    if system.system_id == PLAYREADY:
        headers(box.data)


def _lines(text: str | None, tag: str, system: DrmSystem, key: ContentKey) -> str | None:
    if not text:
        return text
    rows = key_lines(text, tag)
    for row in rows:
        if row["METHOD"] != METHODS[key.scheme]:
            raise ValueError(f"METHOD is not that of {key.scheme}")
        if row["KEYFORMAT"].lower() != KEY_FORMATS.get(system.system_id, f"urn:uuid:{system.system_id}"):
            raise ValueError("KEYFORMAT is that of another DRM system")
        if "KEYID" in row and uuid.UUID(row["KEYID"][2:]) != system.kid:
            raise ValueError("KEYID is that of another key")
        if "IV" in row and bytes.fromhex(row["IV"][2:]) != key.explicit_iv:
            raise ValueError("IV is not the explicitIV of the key")
        _check_uri(row["URI"], system)
    return "\n".join(key_line(tag, row) for row in rows)


def _check_uri(uri: str, system: DrmSystem) -> None:
    if uri.startswith("skd://") and system.system_id not in {WIDEVINE, PLAYREADY}:
        return
    if uri.startswith("https://") and system.system_id not in KEY_FORMATS:
        return
    data = _DATA_URI.fullmatch(uri)
    if data is None or system.system_id == FAIRPLAY:
        raise ValueError("its URI is not one of this DRM system")
    value = from_base64(data[2])
    if system.system_id == WIDEVINE:
        _check_pssh(replace(system, pssh=value))
    elif system.system_id == PLAYREADY:
        headers(value)
