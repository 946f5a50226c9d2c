"""The manifest of an asset as a DASH MPD (ISO/IEC 23009-1), static, for a scheme of Common Encryption.

Written from the descriptor alone, so every session gets the same bytes; every URL is relative, so each
inherits the viewer's token from the path. Segments are addressed by number with their exact durations
(§5.3.9.6 SegmentTimeline). Which key opens a track is said by its key ID on the AdaptationSet (§5.8.4.1;
ISO/IEC 23001-7 §11.2); where a license comes from is not said: a relative address would be read against the
site's root by one player and refused by another, so pages configure it as the manifest's sibling `license`.

    MPD ─ ProgramInformation ─ Title
        ─ Period ─ AdaptationSet   the picture in one codec, or one sound
                   ─ ContentProtection · Label · Role
                   ─ SegmentTemplate ─ SegmentTimeline
                   ─ Representation   a rendition
        ─ SupplementalProperty     the protections the asset has
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Final
from uuid import UUID
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from keys.derive import key_id
from keys.names import b64url_decode
from origin.media.asset import INIT_OBJECT, STREAMED, Descriptor, Rendition
from origin.media.dash_extras import add_extras
from origin.media.drm import Drm, elements
from origin.media.protection import SCHEMES

MANIFEST: Final = "main.mpd"
NAMESPACE: Final = "urn:mpeg:dash:schema:mpd:2011"
PROFILE: Final = "urn:mpeg:dash:profile:isoff-live:2011"  # §8.4: by number or time, in segments of their own
PROTECTED: Final = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY: Final = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
ROLE: Final = "urn:mpeg:dash:role:2011"
OFFERED: Final = "urn:sluice:protections"
CHANNELS: Final = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
ALL_RENDITIONS: Final = "-"  # in place of a rendition's ID: a key is for all of its track

_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")  # xs:language


def manifest(descriptor: Descriptor, scheme: str) -> bytes:
    """`main.mpd`: all tracks of an asset under `cbcs`, `cenc` or `drm`. ValueError for another protection."""
    if scheme not in SCHEMES and not (scheme == "drm" and descriptor.drm):
        raise ValueError(f"DASH carries {SCHEMES} and drm, not {scheme!r}")
    rows = descriptor.renditions
    longest = max((Fraction(max(r.durations, default=0), r.timescale) for r in rows), default=Fraction(0))
    lasts = max((Fraction(sum(r.durations), r.timescale) for r in rows), default=Fraction(0))
    mpd = Element(
        "MPD",
        {
            "xmlns": NAMESPACE,
            "xmlns:cenc": "urn:mpeg:cenc:2013",
            "profiles": PROFILE,
            "type": "static",
            "mediaPresentationDuration": _time(lasts),
            "maxSegmentDuration": _time(longest),
            # §5.3.1.2: with so much in hand a line of the declared bandwidth is enough. That is measured over
            # runs of about a segment.
            "minBufferTime": _time(longest),
        },
    )
    if title := _text(descriptor.title):
        SubElement(SubElement(mpd, "ProgramInformation"), "Title").text = title
    period = SubElement(mpd, "Period", {"id": "0", "start": "PT0S"})
    for number, row in enumerate(_sets(rows)):
        _adaptation_set(period, number, row, descriptor, scheme)
    add_extras(period, descriptor, len(list(_sets(rows))))
    # What a page may choose among, as `hls` says it too. Players pass over what they do not know.
    offered = " ".join(each for each in descriptor.protections if each in STREAMED)
    SubElement(mpd, "SupplementalProperty", {"schemeIdUri": OFFERED, "value": offered})
    indent(mpd, " ")
    text: bytes = tostring(mpd, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text + b"\n"


def _sets(rows: Sequence[Rendition]) -> Iterator[list[Rendition]]:
    """What a player may switch among: the picture in one codec. Each sound is a choice of its own."""
    by_codec: dict[str, list[Rendition]] = {}
    for row in rows:
        if row.track == "video":
            by_codec.setdefault(_codec(row), []).append(row)
    yield from by_codec.values()
    yield from ([row] for row in rows if row.track == "audio")


def _codec(row: Rendition) -> str:
    return row.codecs.partition(".")[0]


def _adaptation_set(
    period: Element, number: int, rows: list[Rendition], descriptor: Descriptor, scheme: str
) -> None:
    first = rows[0]
    aligned = len({(r.timescale, r.durations) for r in rows}) == 1
    found = SubElement(
        period,
        "AdaptationSet",
        _known(
            id=str(number),
            contentType=first.track,
            mimeType=f"{first.track}/mp4",
            lang=first.language if _LANGUAGE.fullmatch(first.language) else "",
            segmentAlignment="true" if aligned else "",
            startWithSAP="1",
        ),
    )
    # The order of the elements is the schema's (§5.3.3.3, Annex B).
    if scheme == "drm" and descriptor.drm:
        _drm(found, descriptor.drm, first.track)
    else:
        of = (descriptor.tenant, descriptor.asset, descriptor.generation)
        _protected(found, scheme, key_id(*of, scheme, first.track, ALL_RENDITIONS, 0))
        SubElement(found, "ContentProtection", {"schemeIdUri": CLEAR_KEY, "value": "ClearKey1.0"})
    if first.track == "audio" and (label := _text(first.name)):
        SubElement(found, "Label").text = label
    SubElement(found, "Role", {"schemeIdUri": ROLE, "value": _role(first, descriptor)})
    if aligned:
        _template(found, first)
    for row in rows:
        _representation(found, row, timed=not aligned)


def _protected(parent: Element, scheme: str, kid: bytes) -> None:
    told = {"schemeIdUri": PROTECTED, "value": scheme, "cenc:default_KID": str(UUID(bytes=kid))}
    SubElement(parent, "ContentProtection", told)


def _drm(parent: Element, drm: Drm, track: str) -> None:
    """What the asset's provider has each DRM system's players told (§5.8.4.1; ISO/IEC 23001-7 §11.2)."""
    _protected(parent, drm.scheme, b64url_decode(drm.key(track).kid))
    for system in drm.of(track):
        inside = elements(system.manifest)
        if system.pssh and not any(each.tag == "cenc:pssh" for each in inside):
            inside.append(Element("cenc:pssh"))
            inside[-1].text = b64encode(b64url_decode(system.pssh)).decode()
        if inside:
            told = {"schemeIdUri": f"urn:uuid:{system.system}"}
            SubElement(parent, "ContentProtection", told).extend(inside)


def _role(row: Rendition, descriptor: Descriptor) -> str:
    """`main` for the picture and the first sound (§5.8.5.5); `alternate` for the others."""
    first = next((r for r in descriptor.renditions if r.track == row.track), row)
    return "main" if row.track == "video" or row is first else "alternate"


def _representation(parent: Element, row: Rendition, *, timed: bool) -> None:
    video = row.track == "video"
    found = SubElement(
        parent,
        "Representation",
        _known(
            id=row.id,
            codecs=_text(row.codecs),
            bandwidth=str(max(1, row.bandwidth)),
            width=str(row.width) if video else "",
            height=str(row.height) if video else "",
            frameRate=str(Fraction(row.frame_rate).limit_denominator(1001)) if row.frame_rate else "",
            audioSamplingRate=str(row.sample_rate) if row.sample_rate else "",
        ),
    )
    if row.channels:
        SubElement(found, "AudioChannelConfiguration", {"schemeIdUri": CHANNELS, "value": str(row.channels)})
    if timed:
        _template(found, row)


def _template(parent: Element, row: Rendition) -> None:
    """Where the segments are and how long each is: a row for each run of equal ones (§5.3.9.6)."""
    found = SubElement(
        parent,
        "SegmentTemplate",
        {
            "timescale": str(row.timescale),
            "initialization": f"$RepresentationID$/{INIT_OBJECT}",
            "media": "$RepresentationID$/$Number$.m4s",
            "startNumber": "0",
        },
    )
    timeline = SubElement(found, "SegmentTimeline")
    at = 0
    for ticks, run in groupby(row.durations):
        count = len(list(run))
        SubElement(timeline, "S", _known(t="" if at else "0", d=str(ticks), r=str(count - 1).lstrip("0")))
        at += count * ticks


def _known(**attributes: str) -> dict[str, str]:
    """The attributes that say something."""
    return {name: value for name, value in attributes.items() if value}


def _time(seconds: Fraction) -> str:
    """As xs:duration, to the microsecond, rounded up: what is declared never cuts what is there."""
    micro = -(-seconds.numerator * 1_000_000 // seconds.denominator)
    whole, rest = divmod(micro, 1_000_000)
    return f"PT{whole}{f'.{rest:06}'.rstrip('0') if rest else ''}S"


def _text(text: str) -> str:
    """Text as XML 1.0 can hold it (§2.2), on one line: no control character, no lone surrogate."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
