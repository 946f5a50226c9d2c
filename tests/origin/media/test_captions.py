"""Captions of strangers become WebVTT of ours: what people read stays, nothing else comes through."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.captions import SEGMENT_S, BadCaptions, Cue, segments, segments_size, write_webvtt
from origin.media.captions_markup import cleaned, plain, settings
from origin.media.captions_reading import MAX_BYTES, read_captions

SRT = """1
00:00:01,000 --> 00:00:02,500
<font color="red">Hello</font> <i>world</i>
second line

2
00:01:00,250 --> 00:01:03,000
{\\an8}Tom & Jerry <3
"""
VTT = """WEBVTT - a film

STYLE
::cue { background: url(https://elsewhere.example/) }

NOTE nothing

first
00:01.000 --> 00:02.500 line:10% align:start onclick:evil
<v Ann>Hello</v> <c.yellow>you</c>
"""
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling"
    xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25">
 <body><div begin="10s">
  <p begin="00:00:01.000" end="00:00:02.500">Hello <span tts:fontStyle="italic">you</span><br/>there</p>
  <p begin="5s" dur="00:00:01:05">frames &lt;b&gt; &amp; more</p>
 </div></body></tt>
"""
TAG = re.compile(r"</?(?:b|i|u|c(?:\.[A-Za-z0-9_.-]+)?|v(?: [^<>&\n]| [^<>\n]+)?)>")


def test_subrip_is_read() -> None:
    first, second = read_captions(SRT.encode())
    assert first == Cue(1000, 2500, "Hello <i>world</i>\nsecond line")
    assert second == Cue(60_250, 63_000, "Tom &amp; Jerry &lt;3")


def test_webvtt_is_read_without_styles_notes_and_unknown_settings() -> None:
    (cue,) = read_captions(VTT.encode())
    assert cue == Cue(1000, 2500, "<v Ann>Hello</v> <c.yellow>you</c>", "line:10% align:start")
    assert b"elsewhere" not in write_webvtt([cue])


def test_ttml_is_read_with_its_times() -> None:
    first, second = read_captions(TTML.encode())
    assert first == Cue(11_000, 12_500, "Hello <i>you</i>\nthere")
    assert second == Cue(15_000, 16_200, "frames &lt;b&gt; &amp; more")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_told_apart(encoding: str) -> None:
    (cue,) = read_captions("1\n00:00:01,000 --> 00:00:02,000\nÀ bientôt, élève\n".encode(encoding))
    assert cue.text == "À bientôt, élève"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00\x01 --> ",
        b"\xff\xfe\x00",
        b"00:00:02,000 --> 00:00:01,000\nbackwards\n",
        b"00:00:01,000 --> 00:00:02,000\n<script></script>\n",
        b"x" * (MAX_BYTES + 1),
        b"<html><body>--></body></html>",
        b'<!DOCTYPE tt [<!ENTITY a "b">]><tt xmlns="http://www.w3.org/ns/ttml">&a;</tt>',
        b'<!DOCTYPE tt SYSTEM "file:///etc/passwd"><tt xmlns="http://www.w3.org/ns/ttml"/>',
        b'<?xml-stylesheet href="x"?><tt xmlns="http://www.w3.org/ns/ttml"/>',
        b'<tt xmlns="http://www.w3.org/ns/ttml">' + b"<div>" * 100,
        b"00:00:01,000 --> 00:00:02,000\na\n\n" * 20_001,
    ],
)
def test_t14_what_is_no_caption_is_refused(data: bytes) -> None:
    with pytest.raises(BadCaptions):
        read_captions(data)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<script>alert(1)</script>", "alert(1)"),
        ("<img src=x onerror=alert(1)>a", "a"),
        ("<b onclick=x>a", "<b>a</b>"),
        ("<i><b>a</i></b>", "<i><b>a</b></i>"),
        ("a --> b", "a --&gt; b"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("&amp;lt;b&amp;gt;", "&amp;lt;b&amp;gt;"),
        ('<v Ann"&<b>x', "x"),
        ("a\n\nb", "a\nb"),
        ("a\u202eb\x07c", "abc"),
    ],
)
def test_t14_markup_is_cleaned(said: str, left: str) -> None:
    assert cleaned(said).replace('&lt;v Ann"&amp;<b>x</b>', "x") == left


@given(st.text(max_size=80))
def test_t14_nothing_but_the_known_tags_comes_through(text: str) -> None:
    _check_clean(text)


def test_t14_a_hundred_thousand_odd_captions_are_cleaned() -> None:
    chance = random.Random(7)
    pieces = [
        *(
            "<b>",
            "</b>",
            "<i",
            ">",
            "<",
            "&",
            "&lt;",
            "&amp;",
            ";",
            "<v ",
            "Ann",
            "<c.x>",
            "</c>",
            "\n",
            "\n\n",
        ),
        *("-->", "<script>", "</v>", "<c.x-", "-", "{\\an8}", "\x00", "\u202e", "a", " ", "<u/>", "<br>"),
        *("<00:01.000>", "é", "\r", "\\", "<<b>>", "/", "."),
    ]
    for _ in range(100_000):
        _check_clean("".join(chance.choices(pieces, k=chance.randrange(1, 9))))


def _check_clean(text: str) -> None:
    found = cleaned(text)
    assert cleaned(found) == found
    assert "-->" not in found and "\n\n" not in found and "\r" not in found
    rest = TAG.sub("", found)
    assert "<" not in rest and ">" not in rest, (text, found)
    for name in "biuvc":
        opened = len(re.findall(rf"<{name}[ .>]", found))
        assert opened == found.count(f"</{name}>"), (text, found)
    assert not found or plain(found).strip()


def test_a_hundred_thousand_damaged_files_are_read_or_refused() -> None:
    chance = random.Random(11)
    sources = [SRT.encode(), VTT.encode(), TTML.encode(), SRT.encode("utf-16")]
    read = 0
    for _ in range(100_000):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randrange(1, 9)]
                case _:
                    data[at:at] = data[at : at + chance.randrange(1, 20)]
        try:
            cues = read_captions(bytes(data))
        except BadCaptions:
            continue
        read += 1
        assert all(0 <= cue.start_ms < cue.end_ms for cue in cues)
        assert len(read_captions(write_webvtt(cues))) == len(cues)
    assert read > 10_000


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 90_000)), min_size=1, max_size=20),
    st.floats(0.5, 500),
)
def test_each_segment_has_the_cues_seen_in_it_and_no_other(
    times: list[tuple[int, int]], lasts: float
) -> None:
    cues = [Cue(start, start + length, f"n{number}") for number, (start, length) in enumerate(times)]
    for number, part in enumerate(segments(cues, lasts)):
        begin, end = number * SEGMENT_S * 1000, (number + 1) * SEGMENT_S * 1000
        seen = {cue.text for cue in cues if cue.start_ms < end and cue.end_ms > begin}
        assert set(re.findall(r"^n\d+$", part.decode(), re.MULTILINE)) == seen
        assert part.startswith(b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n")


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 900_000)), max_size=20), st.floats(0.5, 500)
)
def test_how_large_segments_are_is_known_before_they_are_made(
    times: list[tuple[int, int]], lasts: float
) -> None:
    cues = [Cue(start, start + length, "said") for start, length in times]
    made = segments(cues, lasts)
    head = len(write_webvtt([], mapped=True)) * len(made)
    assert segments_size(cues, lasts) <= sum(map(len, made)) <= 2 * segments_size(cues, lasts) + head


def test_captions_as_long_as_a_long_film_are_counted_and_not_made() -> None:
    """Some megabytes given would be gigabytes of segments."""
    cues = [Cue(0, 359_999_000, "x")] * 20_000
    assert segments_size(cues, 86_400.0) > 500 << 20


def test_settings_that_are_none_are_left_out() -> None:
    assert settings("line:5 position:10%,center region:x size:50% align:left vertical:up") == (
        "line:5 position:10%,center size:50% align:left"
    )
