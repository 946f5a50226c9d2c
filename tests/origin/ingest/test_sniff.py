"""Which first bytes are let in, and as what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.problems import Problem
from origin.ingest.sniff import A_LIST, EMPTY, NOT_MEDIA, demuxer

KNOWN = {
    "mov": [b"\0\0\0\x20ftypisom", b"\0\0\0\x08wide\0\0\0\0mdat", b"\0\0\x10\0moov", b"\0\0\0\x18ftypM4A "],
    "matroska": [b"\x1aE\xdf\xa3\x93\x42\x82\x84webm", b"\x1aE\xdf\xa3\xa3\x42\x82\x88matroska"],
    "avi": [b"RIFF\0\0\0\0AVI LIST"],
    "wav": [b"RIFF\0\0\0\0WAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64"],
    "asf": [bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")],
    "mxf": [bytes.fromhex("060e2b34020501010d01020101020400")],
    "flv": [b"FLV\x01\x05"],
    "ogg": [b"OggS\0\2"],
    "flac": [b"fLaC\0\0\0\x22"],
    "aiff": [b"FORM\0\0\0\0AIFFCOMM"],
    "mpeg": [b"\0\0\1\xba\x44\0"],
    "mpegts": [(b"G" + bytes(187)) * 4, (bytes(4) + b"G" + bytes(187)) * 4],
    "aac": [b"\xff\xf1\x50\x80\x00\xff\xfc" * 2],
    "mp3": [b"\xff\xfb\x90\x64" + bytes(400), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\x64"],
}


@pytest.mark.parametrize(("name", "head"), [(name, head) for name, heads in KNOWN.items() for head in heads])
def test_each_container_is_known_by_its_first_bytes(name: str, head: bytes) -> None:
    assert demuxer(head) == name


LISTS = [
    b"#EXTM3U\n#EXT-X-VERSION:3\n",
    b"\xef\xbb\xbf#EXTM3U\n",
    b"\n  #EXTM3U\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"# a concat script\nfile '/etc/passwd'\n",
    b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    b'<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2">',
    b"<smil><body/></smil>",
    b"<asx version=3><entry/></asx>",
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 1 RTP/AVP 96\r\n",
    b"[playlist]\nFile1=http://127.0.0.1/\n",
    b"[Reference]\nRef1=http://127.0.0.1/\n",
    b"RTSPtext\nrtsp://127.0.0.1/\n",
]
OTHERS = [
    b"hello", b"%PDF-1.7", b"PK\x03\x04", b"\x1f\x8b\x08\0", b"\xff\xd8\xff\xe0\0\x10JFIF",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a" + bytes(400), b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic",
    b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<html>", b"\0" * 4096, b"\xff" * 4096, b"BM\0\0",
    b"MZ\x90",
    b"\x7fELF", b"subfile,,start,0,end,0,,:/etc/passwd", b"data:video/mp4;base64,",
    b"\x1aE\xdf\xa3\x93\x42\x82\x84evil",
    b"ID3", b"G",
]  # fmt: skip


@pytest.mark.parametrize("head", LISTS)
def test_t13_lists_of_other_files_are_refused_as_such(head: bytes) -> None:
    with pytest.raises(Problem) as refused:
        demuxer(head)
    assert (refused.value.code, refused.value.message) == ("not_media", A_LIST)


@pytest.mark.parametrize("head", OTHERS)
def test_t13_everything_else_is_refused(head: bytes) -> None:
    with pytest.raises(Problem) as refused:
        demuxer(head)
    assert (refused.value.code, refused.value.message) == ("not_media", NOT_MEDIA)


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(Problem) as refused:
        demuxer(b"")
    assert refused.value.message == EMPTY


@given(st.binary(max_size=600))
def test_any_bytes_are_a_known_container_or_refused(head: bytes) -> None:
    try:
        assert demuxer(head) in KNOWN
    except Problem as problem:
        assert problem.code == "not_media"
