"""What one published asset consists of: the descriptor an edge needs to write playlists and serve segments.

Published as rendition `asset`, object `asset.json`: canonical JSON of the descriptor and the packager's
Ed25519 signature over `enc("sluice1 asset", asset, generation, <JSON bytes>)`. Plain: it holds names, sizes
and times, no media.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.derive import enc
from keys.names import PROTECTIONS, asset_id, b64url, b64url_decode, file_name, rendition_id
from keys.problems import Problem
from origin.media.digests import signed_by
from origin.media.drm import Drm, read_drm
from origin.media.extras import Caption, Storyboard, read_caption, read_storyboard

DESCRIPTOR_RENDITION = "asset"
DESCRIPTOR_OBJECT = "asset.json"
LIST_OBJECT = "list"
INIT_OBJECT = "init.mp4"
FILE_OBJECT = "file"
STREAMED = ("aes", "cbcs", "cenc", "drm")  # of `keys.names.PROTECTIONS`, what a page may choose among

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")


class BadDescriptor(Exception):
    """A descriptor no known packager signed, or one that does not parse."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One encoding of a track. Segment n is object `<n>.m4s`, n from 0; `init.mp4` comes before them."""

    id: str
    track: str  # "video" or "audio"
    index: int  # unique in the asset
    codecs: str  # RFC 6381, such as avc1.640028
    timescale: int  # ticks a second
    durations: tuple[int, ...]  # ticks, one for each segment
    sizes: tuple[int, ...]  # plain bytes, one for each segment
    bandwidth: int  # bits a second of the densest segment, measured
    average_bandwidth: int  # bits a second over the whole rendition, measured
    width: int = 0  # pixels; 0 for audio
    height: int = 0
    frame_rate: float = 0.0  # frames a second; 0 for audio
    channels: int = 0  # 0 for video
    sample_rate: int = 0  # Hz; 0 for video
    language: str = ""  # RFC 5646, may be empty
    name: str = ""  # for people: "English", "720p"

    def seconds(self, number: int) -> float:
        """Duration of segment `number`."""
        return self.durations[number] / self.timescale

    def following(self, number: int, count: int) -> tuple[float, ...]:
        """Durations of at most `count` segments after `number`, in seconds."""
        return tuple(units / self.timescale for units in self.durations[number + 1 : number + 1 + count])


@dataclass(frozen=True, slots=True)
class Download:
    """One file of an asset that may be taken away whole: object `file` of a rendition of its own."""

    name: str  # last part of its URL, such as film-720p.mp4 (`keys.names.file_name`)
    shown: str  # what it is called on the viewer's disk, such as "A film 720p.mp4"
    media_type: str  # of what is in it, such as video/mp4
    size: int  # plain bytes
    sha256: str  # of the plain bytes; base64url
    rendition: str  # that holds it, such as file-720p
    stored: int  # when, in seconds since the epoch
    protection: str = "clear"  # the one form it leaves an edge in: "clear" (not in the JSON) or "ece"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One generation of an asset."""

    tenant: str
    asset: str
    generation: int
    title: str
    duration: float  # seconds
    period_segments: int  # segments to a key period, the same number in every rendition
    renditions: tuple[Rendition, ...]
    protections: tuple[str, ...] = field(default=("aes",))  # of `keys.names.PROTECTIONS`, for all renditions
    downloads: tuple[Download, ...] = ()  # left out of the JSON when there are none
    drm: Drm | None = None  # of what a DRM provider knows the keys of; left out of the JSON too
    captions: tuple[Caption, ...] = ()  # likewise left out
    storyboard: Storyboard | None = None

    def rendition(self, name: str) -> Rendition | None:
        """The rendition of that ID, or None."""
        return next((r for r in self.renditions if r.id == name), None)

    def caption(self, name: str) -> Caption | None:
        """The captions whose rendition has that ID, or None."""
        return next((c for c in self.captions if c.id == name), None)

    def download(self, name: str) -> Download | None:
        """The download of that name, or None."""
        return next((d for d in self.downloads if d.name == name), None)


def segment_object(number: int) -> str:
    """The object that holds segment `number`."""
    return f"{number}.m4s"


def write_descriptor(key: Ed25519PrivateKey, descriptor: Descriptor) -> bytes:
    """The signed descriptor as published."""
    fields = asdict(descriptor)
    for name in ("downloads", "drm", "captions", "storyboard"):
        if not fields[name]:
            del fields[name]
    for row in fields.get("downloads", ()):
        if row["protection"] == "clear":  # an edge of before knows no other, and reads nothing that names one
            del row["protection"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    signed = enc("sluice1 asset", descriptor.asset, descriptor.generation, text)
    envelope = {"descriptor": text, "signature": b64url(key.sign(signed))}
    return json.dumps(envelope, separators=(",", ":")).encode()


def read_descriptor(
    text: bytes, packagers: Sequence[Ed25519PublicKey], asset: str, generation: int
) -> Descriptor:
    """The descriptor of this very asset and generation. BadDescriptor unless a known packager signed it."""
    try:
        envelope = json.loads(text)
        body, signature = envelope["descriptor"], b64url_decode(envelope["signature"])
        signed = enc("sluice1 asset", asset, generation, body)
        if not signed_by(packagers, signature, signed):
            raise BadDescriptor(f"{asset}/{generation}: no known packager signed it")
        found = _descriptor(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Problem) as exc:
        raise BadDescriptor(f"{asset}/{generation}: not a descriptor") from exc
    if (found.asset, found.generation) != (asset, generation):
        raise BadDescriptor(f"{asset}/{generation}: names another asset")
    return found


def _descriptor(fields: dict[str, Any]) -> Descriptor:
    renditions = tuple(_rendition(row) for row in fields["renditions"])
    downloads = tuple(_download(row) for row in fields.get("downloads", ()))
    known: dict[str, Any] = {"renditions": renditions, "downloads": downloads}
    if "drm" in fields:
        known["drm"] = read_drm(fields["drm"])
    if "captions" in fields:
        known["captions"] = tuple(read_caption(row) for row in fields["captions"])
    if "storyboard" in fields:
        known["storyboard"] = read_storyboard(fields["storyboard"])
    if "protections" in fields:
        known["protections"] = tuple(fields["protections"])
    found = Descriptor(**{**fields, **known})
    asset_id(found.asset)
    for r in renditions:
        rendition_id(r.id)
        if r.timescale <= 0 or len(r.durations) != len(r.sizes):
            raise ValueError("rendition of the wrong shape")
    if len({r.index for r in renditions}) != len(renditions):  # in `cenc` IVs, which may never come twice
        raise ValueError("renditions of one index")
    ids = [*(each.id for each in found.renditions), *(each.id for each in found.captions)]
    if len(set(ids)) != len(ids):
        raise ValueError("renditions of one ID")
    if found.period_segments < 1 or not set(found.protections) <= set(PROTECTIONS):
        raise ValueError("descriptor of the wrong shape")
    if ("drm" in found.protections) != (found.drm is not None):
        raise ValueError("a DRM asset says what its players are told")
    return found


def _download(row: dict[str, Any]) -> Download:
    found = Download(**row)
    file_name(found.name)
    rendition_id(found.rendition)
    if (
        len(b64url_decode(found.sha256)) != 32
        or found.size < 0
        or not _MEDIA_TYPE.fullmatch(found.media_type)
        or found.protection not in ("clear", "ece")
    ):
        raise ValueError("download of the wrong shape")
    return found


def _rendition(row: dict[str, Any]) -> Rendition:
    return Rendition(**{**row, "durations": tuple(row["durations"]), "sizes": tuple(row["sizes"])})
