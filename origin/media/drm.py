"""What players of DRM systems are told of an asset: the public part of a provider's document, as the
descriptor has it and playlists, manifests and init segments repeat it.

The asset is encrypted once, under one key for the picture and one for sound, or one for both. What may be
said to players is `keys.drm_checks`'s to judge; a descriptor holds it as written there, and is judged again
wherever it is read. Pure.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from xml.etree.ElementTree import Element

from keys.cpix import BadCpix, ContentKey, Document, DrmSystem, UsageRule
from keys.derive import cbcs_iv
from keys.drm import TRACKS, key_for
from keys.drm_checks import checked as checked_document
from keys.drm_fragment import CENC
from keys.names import b64url, b64url_decode
from keys.plain_xml import local, read_xml

MOST_BYTES: Final = 256 << 10  # of all that is said of all systems
IV_BYTES: Final = 16


class BadDrm(ValueError):
    """What a document or a descriptor says of DRM that we do not repeat; a sentence for people."""


@dataclass(frozen=True, slots=True)
class TrackKey:
    """Which key a track is under, never the key."""

    track: str  # "video" or "audio"
    kid: str  # 16 bytes in base64url
    iv: str = ""  # cbcs: the constant IV, 16 bytes in base64url


@dataclass(frozen=True, slots=True)
class System:
    """What players of one DRM system are told of one key. Empty: nothing."""

    system: str  # UUID, as text
    kid: str  # 16 bytes in base64url
    pssh: str = ""  # a whole box, in base64url
    manifest: str = ""  # XML: what is inside the ContentProtection of a manifest
    media: str = ""  # EXT-X-KEY lines
    multivariant: str = ""  # EXT-X-SESSION-KEY lines


@dataclass(frozen=True, slots=True)
class Drm:
    """How an asset is encrypted for everybody, and what players are told of it."""

    scheme: str  # cbcs or cenc
    tracks: tuple[TrackKey, ...]  # of video and of audio, whether the asset has both or not
    systems: tuple[System, ...]

    def key(self, track: str) -> TrackKey:
        """The key of a track."""
        return next(each for each in self.tracks if each.track == track)

    def of(self, track: str) -> tuple[System, ...]:
        """What is said of a track's key."""
        kid = self.key(track).kid
        return tuple(each for each in self.systems if each.kid == kid)


def drm_of(document: Document) -> Drm:
    """What a descriptor says of a document; of its content keys nothing. BadDrm when it cannot be said."""
    try:
        by_track = {track: key_for(document, track) for track in TRACKS}
    except BadCpix as exc:
        raise BadDrm(str(exc)) from None
    scheme = by_track["video"].scheme
    tracks = []
    for track, key in by_track.items():
        iv = (key.explicit_iv or cbcs_iv(key.kid.bytes)) if scheme == "cbcs" else b""
        tracks.append(TrackKey(track, b64url(key.kid.bytes), b64url(iv)))
    used = {each.kid for each in tracks}
    systems = [
        System(
            str(each.system_id),
            b64url(each.kid.bytes),
            b64url(each.pssh or b""),
            each.content_protection or "",
            each.hls_media or "",
            each.hls_multivariant or "",
        )
        for each in document.systems
        if b64url(each.kid.bytes) in used
    ]
    return checked(Drm(scheme, tuple(tracks), tuple(systems)))


def read_drm(fields: dict[str, Any]) -> Drm:
    """What `asdict` made JSON of. BadDrm, KeyError, TypeError or ValueError when it is something else."""
    tracks = tuple(TrackKey(**row) for row in fields["tracks"])
    systems = tuple(System(**row) for row in fields["systems"])
    return checked(Drm(fields["scheme"], tracks, systems))


def checked(drm: Drm) -> Drm:
    """The same, when all of it can be repeated to players as it stands. BadDrm else."""
    if [each.track for each in drm.tracks] != list(TRACKS):
        raise BadDrm("A DRM asset has one key for video, one for audio.")
    said = sum(len(s.pssh) + len(s.manifest) + len(s.media) + len(s.multivariant) for s in drm.systems)
    if said > MOST_BYTES:
        raise BadDrm("What is said of its DRM systems is too large.")
    document = _document(drm)
    try:
        same = checked_document(document) == document
    except BadCpix as exc:
        raise BadDrm(str(exc)) from None
    if not same:
        raise BadDrm("What is said of its DRM systems is not written as it is here.")
    return drm


def _document(drm: Drm) -> Document:
    """The document that would say this and nothing else. BadDrm when none could."""
    size = IV_BYTES if drm.scheme == "cbcs" else 0
    keys: dict[str, ContentKey] = {}
    for each in drm.tracks:
        iv = b64url_decode(each.iv)
        key = ContentKey(_kid(each.kid), None, drm.scheme, iv or None)
        if len(iv) != size or keys.setdefault(each.kid, key) != key:
            raise BadDrm("A constant IV is 16 bytes with cbcs, and there is none with cenc.")
    systems = tuple(
        DrmSystem(
            _kid(each.kid),
            UUID(each.system),
            b64url_decode(each.pssh) or None,
            each.manifest or None,
            each.media or None,
            each.multivariant or None,
        )
        for each in drm.systems
    )
    if any(str(UUID(each.system)) != each.system for each in drm.systems):
        raise BadDrm("The ID of a DRM system is a UUID in lower case.")
    rules = tuple(UsageRule(_kid(each.kid), TRACKS[each.track]) for each in drm.tracks)
    return Document("", tuple(keys.values()), systems, rules)


def _kid(text: str) -> UUID:
    return UUID(bytes=b64url_decode(text))


def elements(fragment: str) -> list[Element]:
    """The elements of a checked fragment as a manifest takes them in, each naming its own namespace."""
    if not fragment:
        return []
    root = read_xml(f"<r>{fragment}</r>".encode(), MOST_BYTES)
    return [_element(each.name, each.attributes, each.text) for each in root.children]


def _element(name: str, attributes: dict[str, str], text: str) -> Element:
    namespace = name[1:].partition("}")[0]
    if namespace == CENC:  # declared for the whole manifest
        made = Element(f"cenc:{local(name)}", attributes)
    else:
        made = Element(local(name), {"xmlns": namespace, **attributes})
    made.text = text
    return made
