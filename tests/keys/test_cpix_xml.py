"""CPIX documents: what is read and written."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, ContentKey, Document, DrmSystem, UsageRule
from keys.cpix_xml import BadCpix, read_cpix, write_cpix
from keys.drm_signalling import signalled, signalling
from keys.hls_key_lines import key_lines
from tests.support.cpix_documents import (
    IV,
    KEY,
    KID,
    SOUND_KID,
    b64,
    document,
    fragment,
    key,
    lines,
    rule,
    system,
)

GOOD = signalling(ContentKey(uuid.UUID(KID), KEY, "cbcs", IV), WIDEVINE)


def test_a_document_as_published_is_read() -> None:
    rows = system(WIDEVINE, f"<cpix:PSSH>{b64(GOOD.pssh or b'')}</cpix:PSSH>" + lines(GOOD.hls_media or ""))
    rules = rule("<cpix:VideoFilter/>", called="VIDEO") + rule(
        "<cpix:AudioFilter />", SOUND_KID, called="STEREO_AUDIO"
    )
    found = read_cpix(document(key() + key(bytes(16), SOUND_KID), rows, rules))
    assert found.content_id == "abc123"
    assert found.keys[0] == ContentKey(uuid.UUID(KID), KEY, "cbcs", IV)
    assert found.systems == (DrmSystem(uuid.UUID(KID), WIDEVINE, GOOD.pssh, None, GOOD.hls_media),)
    assert found.rules == (UsageRule(uuid.UUID(KID), VIDEO), UsageRule(uuid.UUID(SOUND_KID), AUDIO))


def test_what_is_asked_for_is_not_what_is_not_said() -> None:
    children = '<cpix:PSSH/><cpix:HLSSignalingData playlist="master"></cpix:HLSSignalingData>'
    row = f'<cpix:ContentKey kid="{KID}" commonEncryptionScheme="cenc"/>'
    found = read_cpix(document(row, system(PLAYREADY, children)))
    assert found.keys[0].key is None
    assert found.systems[0] == DrmSystem(uuid.UUID(KID), PLAYREADY, b"", None, None, "")
    assert read_cpix(write_cpix(found)) == found


def test_keys_are_read_whatever_the_prefixes_and_the_white_space() -> None:
    text = (
        document().decode().replace("cpix:", "").replace("xmlns:cpix", "xmlns").replace("xmlns:cpix", "xmlns")
    )
    text = text.replace('xmlns:cpix="urn', 'xmlns="urn').replace("xmlns:=", "xmlns=")
    text = text.replace(b64(KEY), f"\n  {b64(KEY)[:9]}\r\n\t{b64(KEY)[9:]}  ")
    assert 'xmlns="urn:dashif:org:cpix"' in text
    found = read_cpix(f'\ufeff<?xml version="1.0" encoding="UTF-8"?><!-- of ours -->{text}'.encode())
    assert found.keys[0].key == KEY


def test_an_older_address_of_fairplay_becomes_its_lines() -> None:
    row = system(FAIRPLAY, f"<cpix:URIExtXKey>{b64(b'skd://abc?x=1')}</cpix:URIExtXKey>")
    found = read_cpix(document(systems=row)).systems[0]
    expected = {"METHOD": "SAMPLE-AES", "URI": "skd://abc?x=1", "KEYFORMATVERSIONS": "1"}
    expected["KEYFORMAT"] = "com.apple.streamingkeydelivery"
    assert key_lines(found.hls_media or "", "EXT-X-KEY") == [expected]
    assert key_lines(found.hls_multivariant or "", "EXT-X-SESSION-KEY") == [expected]


@pytest.mark.parametrize("namespace", ["", ' xmlns="urn:mpeg:dash:schema:mpd:2011"'])
def test_of_a_whole_descriptor_what_is_inside_is_taken(namespace: str) -> None:
    pssh = f'<cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">{b64(GOOD.pssh or b"")}</cenc:pssh>'
    head = f'<!-- Widevine -->\n<ContentProtection{namespace} schemeIdUri="urn:uuid:{str(WIDEVINE).upper()}"'
    text = f'{head} value="x">\n {pssh}\n</ContentProtection>'
    found = read_cpix(document(systems=system(WIDEVINE, fragment(text)))).systems[0]
    assert found.content_protection == pssh


def test_fragments_and_lines_are_written_anew() -> None:
    pssh = b64(GOOD.pssh or b"")
    text = f"<pssh  xmlns='urn:mpeg:cenc:2013'>\n{pssh}</pssh><!-- x --><laurl xmlns='https://dashif.org/CPS'"
    text += " licenseType='EME-1.0'>https://l.example/?a=1&amp;b=2</laurl>"
    media = f"{GOOD.hls_media}  \r\n\r\n"
    found = read_cpix(document(systems=system(WIDEVINE, fragment(text) + lines(media)))).systems[0]
    assert found.content_protection == (
        f'<cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">{pssh}</cenc:pssh>'
        '<dashif:laurl xmlns:dashif="https://dashif.org/CPS" licenseType="EME-1.0">'
        "https://l.example/?a=1&amp;b=2</dashif:laurl>"
    )
    assert found.hls_media == GOOD.hls_media


def test_a_key_is_in_no_text_of_what_holds_it() -> None:
    assert KEY.hex() not in repr(read_cpix(document()))
    assert repr(KEY) not in repr(read_cpix(document()))


KIDS = st.lists(st.uuids(), min_size=1, max_size=2, unique=True)
CONTENT_IDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60
).map(str.strip)


CHANGES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"pssh": b""}, {"pssh": None}, {"hls_media": ""}]
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    scheme = draw(st.sampled_from(["cbcs", "cenc"]))
    kids = draw(KIDS)
    sixteen = st.none() | st.binary(min_size=16, max_size=16)
    keys = tuple(ContentKey(kid, draw(sixteen), scheme, draw(sixteen)) for kid in kids)
    known = [WIDEVINE, PLAYREADY] + [FAIRPLAY] * (scheme == "cbcs")
    named = draw(st.lists(st.sampled_from(known), unique=True))
    systems = tuple(DrmSystem(kids[0], system_id) for system_id in named)
    made = signalled(Document(draw(CONTENT_IDS), keys, systems))
    emptied = tuple(replace(each, **draw(CHANGES)) for each in made.systems)
    kinds = [VIDEO, AUDIO] if len(kids) == 2 else [draw(st.sampled_from([VIDEO, AUDIO, None]))]
    rules = tuple(UsageRule(kid, kind) for kid, kind in zip(kids, kinds, strict=True))
    return replace(made, systems=emptied, rules=draw(st.sampled_from([(), rules])))


@settings(deadline=None)
@given(documents())
def test_what_is_written_is_read_as_it_was(made: Document) -> None:
    assert read_cpix(write_cpix(made)) == made


def test_what_would_not_be_read_is_not_written() -> None:
    good = read_cpix(document())
    for bad in (
        replace(good, content_id="\x00"),
        replace(good, content_id=" a"),
        replace(good, keys=()),
        replace(good, keys=(replace(good.keys[0], key=b"short"),)),
        replace(good, keys=(replace(good.keys[0], scheme='cbcs"/>'),)),
        replace(good, rules=(UsageRule(uuid.UUID(KID), "SD"),)),
        replace(good, systems=(DrmSystem(uuid.UUID(KID), WIDEVINE, hls_media="#EXTM3U"),)),
    ):
        with pytest.raises(BadCpix):
            write_cpix(bad)
