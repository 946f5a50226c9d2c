"""A reader of DASH manifests for tests, strict where players stumble (ISO/IEC 23009-1)."""

import re
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

DASH: Final = "{urn:mpeg:dash:schema:mpd:2011}"
CENC: Final = "{urn:mpeg:cenc:2013}"

# The elements of each in the order the schema demands (Annex B), as far as we write them.
ORDER: Final = {
    "MPD": ("ProgramInformation", "Period", "SupplementalProperty"),
    "ProgramInformation": ("Title",),
    "Period": ("AdaptationSet",),
    "AdaptationSet": ("ContentProtection", "Label", "Role", "SegmentTemplate", "Representation"),
    "Representation": ("AudioChannelConfiguration", "SegmentTemplate"),
    "SegmentTemplate": ("SegmentTimeline",),
    "SegmentTimeline": ("S",),
}
_TIME: Final = re.compile(r"PT(\d+(?:\.\d{1,6})?)S")


@dataclass
class Track:
    """One AdaptationSet."""

    attributes: dict[str, str]
    scheme: str
    kid: str  # 32 hexadecimal digits
    systems: list[str]  # schemeIdUri of every other ContentProtection
    label: str
    role: str
    representations: list[dict[str, str]] = field(default_factory=list)
    addresses: dict[str, list[str]] = field(default_factory=dict)  # by Representation: init and segments
    durations: dict[str, list[int]] = field(default_factory=dict)  # ticks, by Representation
    timescales: dict[str, int] = field(default_factory=dict)


@dataclass
class Manifest:
    """An MPD as read."""

    title: str
    seconds: float
    protections: list[str]
    tracks: list[Track]


def read(text: bytes) -> Manifest:
    """The manifest of that text; an AssertionError says what is wrong with it."""
    assert text.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ElementTree.fromstring(text)
    assert root.tag == f"{DASH}MPD" and root.get("type") == "static"
    assert root.get("profiles") == "urn:mpeg:dash:profile:isoff-live:2011"
    assert not [each.tag for each in root.iter() if each.tag.lower().endswith(("baseurl", "laurl"))]
    _ordered(root)
    for name in ("minBufferTime", "maxSegmentDuration"):
        assert _TIME.fullmatch(root.get(name, ""))
    lasts = _TIME.fullmatch(root.get("mediaPresentationDuration", ""))
    assert lasts
    title = root.findtext(f"{DASH}ProgramInformation/{DASH}Title") or ""
    sets = root.findall(f"{DASH}Period/{DASH}AdaptationSet")
    assert [each.get("id") for each in sets] == [str(n) for n in range(len(sets))]
    offered = root.find(f"{DASH}SupplementalProperty[@schemeIdUri='urn:sluice:protections']")
    protections = [] if offered is None else offered.get("value", "").split()
    return Manifest(title, float(lasts[1]), protections, [_track(each) for each in sets])


def _ordered(parent: Element) -> None:
    name = parent.tag.removeprefix(DASH)
    places = [ORDER.get(name, ()).index(child.tag.removeprefix(DASH)) for child in parent]
    assert places == sorted(places), f"the elements of {name} are out of order"
    for child in parent:
        _ordered(child)


def _track(found: Element) -> Track:
    protections = found.findall(f"{DASH}ContentProtection")
    first, *others = protections
    assert first.get("schemeIdUri") == "urn:mpeg:dash:mp4protection:2011"
    kid = first.get(f"{CENC}default_KID", "")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", kid)
    role = found.find(f"{DASH}Role")
    track = Track(
        dict(found.attrib),
        first.get("value", ""),
        kid.replace("-", ""),
        [other.get("schemeIdUri", "") for other in others],
        found.findtext(f"{DASH}Label") or "",
        "" if role is None else role.get("value", ""),
    )
    shared = found.find(f"{DASH}SegmentTemplate")
    for row in found.findall(f"{DASH}Representation"):
        own = row.find(f"{DASH}SegmentTemplate")
        assert (shared is None) != (own is None), "one template to a Representation"
        template = own if shared is None else shared
        assert template is not None
        track.representations.append(dict(row.attrib))
        _addresses(track, row.get("id", ""), template)
    return track


def _addresses(track: Track, name: str, template: Element) -> None:
    """§5.3.9.4.4: what the templates stand for."""
    durations: list[int] = []
    for number, run in enumerate(template.iter(f"{DASH}S")):
        assert (run.get("t") == "0") == (number == 0), "no gap: only the first run says when it starts"
        durations += [int(run.get("d", ""))] * (int(run.get("r", "0")) + 1)
    start = int(template.get("startNumber", "1"))
    media = [
        template.get("media", "").replace("$Number$", str(start + n)).replace("$RepresentationID$", name)
        for n in range(len(durations))
    ]
    init = template.get("initialization", "").replace("$RepresentationID$", name)
    track.addresses[name] = [init, *media]
    track.durations[name] = durations
    track.timescales[name] = int(template.get("timescale", ""))
