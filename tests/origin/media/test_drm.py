"""What players of DRM systems are told: in playlists, manifests, init segments; and nothing else gets in."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keys.cpix import FAIRPLAY, PLAYREADY, WIDEVINE, DrmSystem
from keys.derive import cbcs_iv, enc
from keys.names import b64url, b64url_decode
from origin.media import dash, hls
from origin.media.asset import BadDescriptor, Descriptor, Rendition, read_descriptor, write_descriptor
from origin.media.box_writing import box, full_box
from origin.media.boxes import boxes, need
from origin.media.drm import MOST_BYTES, BadDrm, Drm, drm_of, read_drm
from origin.media.protected_init import protected_init
from tests.support.drm import SYSTEMS, document
from tests.support.slice_headers import pieces

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
CENC = "{urn:mpeg:cenc:2013}"
VIDEO = Rendition(
    "720p", "video", 0, "avc1.64001f", 1000, (4000,), (1000,), 2000, 2000, width=1280, height=720
)
SOUND = Rendition("audio", "audio", 1, "mp4a.40.2", 1000, (4000,), (100,), 200, 200, channels=2)


def film(scheme: str = "cbcs") -> Descriptor:
    rows, drm = (VIDEO, SOUND), drm_of(document(scheme))
    return Descriptor("default", "film", 3, "Film", 4.0, 15, rows, ("drm",), drm=drm)


FILM = film()
assert FILM.drm is not None
DRM: Drm = FILM.drm
KIDS = {track: b64url_decode(DRM.key(track).kid) for track in ("video", "audio")}


def signed(drm: object) -> bytes:
    """What a packager that checks nothing would publish."""
    found = json.loads(json.loads(write_descriptor(KEY, FILM))["descriptor"])
    text = json.dumps(found | {"drm": drm})
    return write_again(text)


def write_again(text: str) -> bytes:
    signature = KEY.sign(enc("sluice1 asset", "film", 3, text))
    return json.dumps({"descriptor": text, "signature": b64url(signature)}).encode()


@pytest.mark.parametrize("scheme", SYSTEMS)
def test_a_descriptor_with_signalling_is_read_back_and_holds_no_content_key(scheme: str) -> None:
    text = write_descriptor(KEY, film(scheme))
    assert read_descriptor(text, [KEY.public_key()], "film", 3) == film(scheme)
    for key in document(scheme).keys:
        assert key.key is not None and b64url(key.key).encode() not in text


def test_the_iv_is_the_documents_else_the_key_ids_own_and_cenc_has_none() -> None:
    video, _ = document().keys
    assert b64url_decode(DRM.key("video").iv) == video.explicit_iv
    assert b64url_decode(DRM.key("audio").iv) == cbcs_iv(KIDS["audio"])
    assert {each.iv for each in drm_of(document("cenc")).tracks} == {""}


@pytest.mark.parametrize("scheme", SYSTEMS)
def test_playlists_have_the_lines_of_every_drm_system_and_no_key_of_ours(scheme: str) -> None:
    described, said = film(scheme), document(scheme)
    for rendition in (VIDEO, SOUND):
        lines = hls.media(described, rendition, "drm").decode().splitlines()
        kid = said.rules[0 if rendition is VIDEO else 1].kid
        assert [line for line in lines if line.startswith("#EXT-X-KEY")] == [
            each.hls_media for each in said.systems if each.kid == kid
        ]
        assert lines.index("#EXTINF:4.000000,") > lines.index(next(e for e in lines if "X-KEY" in e))
    lines = hls.multivariant(described, "drm").decode().splitlines()
    assert [line for line in lines if line.startswith("#EXT-X-SESSION-KEY")] == [
        each.hls_multivariant for each in said.systems
    ]
    assert any("sluice.protections" in line and '"drm"' in line for line in lines)


@pytest.mark.parametrize("scheme", SYSTEMS)
def test_a_manifest_says_scheme_key_id_and_what_each_system_is_told(scheme: str) -> None:
    root = fromstring(dash.manifest(film(scheme), "drm"))
    for track in root.iter(f"{MPD}AdaptationSet"):
        kind = track.attrib["contentType"]
        first, *further = track.findall(f"{MPD}ContentProtection")
        assert first.attrib["value"] == scheme
        kid = document(scheme).rules[0 if kind == "video" else 1].kid
        assert first.attrib[f"{CENC}default_KID"] == str(kid)
        by_system = {each.attrib["schemeIdUri"]: each for each in further}
        assert by_system.keys() == {f"urn:uuid:{WIDEVINE}", f"urn:uuid:{PLAYREADY}"}
        for system, found in by_system.items():
            pssh = b64decode(found.findtext(f"{CENC}pssh", ""))
            assert pssh[12:28].hex() == system.removeprefix("urn:uuid:").replace("-", "")
            told = (
                kid.bytes
                if system.endswith(str(WIDEVINE))
                else b64encode(kid.bytes_le).decode().encode("utf-16-le")
            )
            assert told in pssh
        pro = by_system[f"urn:uuid:{PLAYREADY}"].findtext("{urn:microsoft:playready}pro", "")
        box_of = by_system[f"urn:uuid:{PLAYREADY}"].findtext(f"{CENC}pssh", "")
        assert b64decode(box_of).endswith(b64decode(pro)) and len(b64decode(pro)) > 100


def test_a_pssh_box_is_told_also_where_no_xml_was() -> None:
    systems = tuple(replace(each, manifest="") for each in DRM.systems)
    root = fromstring(dash.manifest(replace(FILM, drm=replace(DRM, systems=systems)), "drm"))
    assert len(list(root.iter(f"{CENC}pssh"))) == 4


def test_an_init_segment_has_the_boxes_at_the_end_of_moov(video_stream: bytes) -> None:
    clear = pieces(video_stream)[0]
    pssh = tuple(b64url_decode(each.pssh) for each in DRM.of("video") if each.pssh)
    iv = bytes(range(16))
    without = protected_init(clear, "cbcs", KIDS["video"], iv=iv)
    made = protected_init(clear, "cbcs", KIDS["video"], iv=iv, pssh=pssh)
    moov = need(made, "moov")
    inside = [each for each in boxes(made, moov) if each.type == "pssh"]
    assert [made[each.start : each.end] for each in inside] == list(pssh) and len(pssh) == 2
    assert inside[-1].end == moov.end
    at = inside[0].start
    assert made[:at] == without[: moov.start] + made[moov.start : moov.body] + without[moov.body : at]
    assert made[moov.end :] == without[need(without, "moov").end :]
    assert without[need(without, "moov").body :].count(b"\x10" + iv) == 1


LINE = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://a",KEYFORMAT="com.apple.streamingkeydelivery"'
HOSTILE_LINES = {
    "the key itself": '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:,0",KEYFORMAT="identity"',
    "no key format": '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:,KEYFORMAT=x"',
    "no protection": "#EXT-X-KEY:METHOD=NONE",
    "another scheme": LINE.replace("SAMPLE-AES", "SAMPLE-AES-CTR"),
    "another tag": "#EXT-X-MAP:URI=x",
    "an address": "https://elsewhere.example/0.m4s",
    "a line break": LINE + "\n#EXT-X-DISCONTINUITY",
    "a carriage return": LINE + "\rhttps://elsewhere.example/",
    "an attribute twice": LINE + ',KEYFORMAT="identity"',
    "text that is no attribute": LINE + ",x",
    "a letter of no ASCII": LINE.replace("skd", "skd\N{FULLWIDTH COLON}"),
    "too much": LINE.replace("skd://a", "skd://" + "a" * MOST_BYTES),
}


@pytest.mark.parametrize("why", HOSTILE_LINES)
def test_lines_that_are_no_keys_of_a_drm_system_are_refused_by_packager_and_edge(why: str) -> None:
    systems = [asdict(each) for each in DRM.systems]
    for place in ("media", "multivariant"):
        line = HOSTILE_LINES[why].replace("X-KEY", "X-SESSION-KEY" if place == "multivariant" else "X-KEY")
        altered = asdict(DRM) | {"systems": [systems[0] | {place: line}, *systems[1:]]}
        with pytest.raises(BadDrm):
            read_drm(altered)
        with pytest.raises(BadDescriptor):
            read_descriptor(signed(altered), [KEY.public_key()], "film", 3)


HOSTILE_XML = {
    "no XML": "<a",
    "entities": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    "an entity nobody declared": "<a>&b;</a>",
    "a way out": "</r><r>",
    "a comment": "<!-- -->",
    "an instruction": "<?xml-stylesheet href='x'?>",
    "text": "text",
    "another element": "<a/>",
    "another prefix": DRM.systems[0].manifest.replace("cenc:", "c:"),
    "too much": " " * MOST_BYTES + DRM.systems[0].manifest,
}


@pytest.mark.parametrize("why", HOSTILE_XML)
def test_xml_that_is_not_what_a_drm_system_is_told_is_refused(why: str) -> None:
    with pytest.raises(BadDescriptor):
        read_descriptor(signed(altered_system(manifest=HOSTILE_XML[why])), [KEY.public_key()], "film", 3)


def other(**what: Any) -> dict[str, Any]:
    return asdict(DRM) | what


def altered_system(**what: Any) -> dict[str, Any]:
    first, *rest = (asdict(each) for each in DRM.systems)
    return other(systems=[first | what, *rest])


BAD: dict[str, Callable[[], object]] = {
    "nothing": lambda: {},
    "no object": lambda: 7,
    "another scheme": lambda: other(scheme="cens"),
    "one track": lambda: other(tracks=[asdict(DRM.tracks[0])]),
    "a track twice": lambda: other(tracks=[asdict(DRM.tracks[0])] * 2),
    "a short key ID": lambda: other(tracks=[asdict(replace(each, kid="AA")) for each in DRM.tracks]),
    "no IV": lambda: other(tracks=[asdict(replace(each, iv="")) for each in DRM.tracks]),
    "an IV with cenc": lambda: asdict(DRM) | {"scheme": "cenc"},
    "a key": lambda: other(tracks=[asdict(each) | {"key": "A" * 22} for each in DRM.tracks]),
    "a system twice": lambda: other(systems=[asdict(DRM.systems[0])] * 2),
    "no system ID": lambda: altered_system(system="widevine"),
    "an upper-case system ID": lambda: altered_system(system=str(WIDEVINE).upper()),
    "a pssh that is none": lambda: altered_system(pssh=b64url(b"pssh")),
    "a box of another type": lambda: altered_system(pssh=b64url(box("moof"))),
    "two boxes": lambda: altered_system(pssh=b64url(full_box("pssh", 0, 0) * 2)),
    "a large pssh": lambda: altered_system(pssh=b64url(full_box("pssh", 0, 0, bytes(MOST_BYTES)))),
    "lines in a list": lambda: altered_system(media=[LINE]),
    "a manifest that is a number": lambda: altered_system(manifest=7),
}


@pytest.mark.parametrize("why", BAD)
def test_an_edge_reads_no_descriptor_whose_signalling_is_not_in_form(why: str) -> None:
    with pytest.raises(BadDescriptor):
        read_descriptor(signed(BAD[why]()), [KEY.public_key()], "film", 3)


def test_a_drm_asset_without_signalling_is_none_and_signalling_makes_one() -> None:
    fields = json.loads(json.loads(write_descriptor(KEY, FILM))["descriptor"])
    for wrong in ({**fields, "protections": ["aes"]}, {n: v for n, v in fields.items() if n != "drm"}):
        with pytest.raises(BadDescriptor):
            read_descriptor(write_again(json.dumps(wrong)), [KEY.public_key()], "film", 3)


def test_fairplay_alone_says_nothing_in_a_manifest() -> None:
    kid = document().keys[0].kid
    said = replace(document(), systems=(DrmSystem(kid, FAIRPLAY, hls_media=LINE),))
    found: list[Element] = list(fromstring(dash.manifest(replace(FILM, drm=drm_of(said)), "drm")).iter())
    assert [each.tag for each in found].count(f"{MPD}ContentProtection") == 2


@given(st.text(max_size=200), st.sampled_from(["media", "multivariant", "manifest", "pssh", "system", "kid"]))
def test_any_text_in_any_place_is_refused(text: str, place: str) -> None:
    with pytest.raises((BadDrm, ValueError)):
        read_drm(altered_system(**{place: text or "a"}))
