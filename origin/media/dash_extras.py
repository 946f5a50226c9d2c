"""Captions and storyboard in a DASH manifest (ISO/IEC 23009-1): AdaptationSets behind picture and sound.

Captions are one WebVTT file each, beside the segments: what Shaka and dash.js both show. Pictures are tiles
of a sheet, as DASH-IF IOP §6.2.6 has them. Neither is encrypted: sample encryption is of samples in MP4.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from origin.media.asset import Descriptor
from origin.media.captions import WHOLE_OBJECT
from origin.media.extras import STORYBOARD, Storyboard

TILES: Final = "http://dashif.org/guidelines/thumbnail_tile"
ROLE: Final = "urn:mpeg:dash:role:2011"
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")  # xs:language


def add_extras(period: Element, descriptor: Descriptor, number: int) -> None:
    """Adds them to a period that has `number` sets already."""
    for each in descriptor.captions:
        told = {"id": str(number), "contentType": "text", "mimeType": "text/vtt"}
        number += 1
        if _LANGUAGE.fullmatch(each.language):
            told["lang"] = each.language
        found = SubElement(period, "AdaptationSet", told)
        if label := "".join(c for c in " ".join(each.name.split()) if c.isprintable()):
            SubElement(found, "Label").text = label
        role = "forced-subtitle" if each.forced else "main" if each.default else "subtitle"
        SubElement(found, "Role", {"schemeIdUri": ROLE, "value": role})
        seconds = max(1.0, sum(each.durations) / 1000)
        row = {"id": each.id, "bandwidth": str(max(1, round(each.whole * 8 / seconds)))}
        SubElement(SubElement(found, "Representation", row), "BaseURL").text = f"{each.id}/{WHOLE_OBJECT}"
    if descriptor.storyboard:
        _storyboard(period, descriptor.storyboard, number)


def _storyboard(period: Element, board: Storyboard, number: int) -> None:
    told = {"id": str(number), "contentType": "image", "mimeType": "image/jpeg"}
    found = SubElement(period, "AdaptationSet", told)
    a_sheet = board.interval_s * board.columns * board.rows
    template = {
        "media": "$RepresentationID$/$Number$.jpg",
        "timescale": "1000",
        "duration": str(round(a_sheet * 1000)),
        "startNumber": "0",
    }
    SubElement(found, "SegmentTemplate", template)
    row = SubElement(
        found,
        "Representation",
        {
            "id": STORYBOARD,
            "bandwidth": str(max(1, round(max(board.sizes) * 8 / a_sheet))),
            "width": str(board.width * board.columns),
            "height": str(board.height * board.rows),
        },
    )
    SubElement(row, "EssentialProperty", {"schemeIdUri": TILES, "value": f"{board.columns}x{board.rows}"})
