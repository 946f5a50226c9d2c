"""The protected init segment says the scheme, and is otherwise the clear one."""

import pytest

from keys.derive import cbcs_iv
from origin.media.boxes import BadBox, find, need
from origin.media.codecs import AUDIO_ENTRY, VISUAL_ENTRY, inside, sample_entry
from origin.media.protected_init import protected_init
from origin.media.protection import Unprotected
from tests.support.fragmented import kinds
from tests.support.slice_headers import pieces

KID = bytes(range(16, 32))
TENC = {
    ("cenc", "v"): "00000000 00000108",
    ("cenc", "a"): "00000000 00000108",
    ("cbcs", "v"): "01000000 00190100",
    ("cbcs", "a"): "01000000 00000100",
}


def inits(video: bytes, audio: bytes) -> list[tuple[str, bytes, bytes, bytes, int]]:
    """Kind, clear init segment, codec, protected sample entry, bytes of it before its boxes."""
    return [
        ("v", pieces(video)[0], b"avc1", b"encv", VISUAL_ENTRY),
        ("a", pieces(audio)[0], b"mp4a", b"enca", AUDIO_ENTRY),
    ]


@pytest.mark.parametrize("scheme", ["cenc", "cbcs"])
def test_scheme_key_id_and_pattern_are_told(video_stream: bytes, audio_stream: bytes, scheme: str) -> None:
    for kind, clear, codec, entry_type, skip in inits(video_stream, audio_stream):
        init = protected_init(clear, scheme, KID)
        entry = sample_entry(init, need(init, "moov", "trak"))
        assert init[entry.start + 4 : entry.start + 8] == entry_type
        sinf = need(init, "sinf", parent=inside(entry, skip))
        assert sinf.end == entry.end
        frma, schm = need(init, "frma", parent=sinf), need(init, "schm", parent=sinf)
        assert init[frma.body : frma.end] == codec
        assert init[schm.body : schm.end] == bytes(4) + scheme.encode() + bytes((0, 1, 0, 0))
        tenc = need(init, "schi", "tenc", parent=sinf)
        iv = b"\x10" + cbcs_iv(KID) if scheme == "cbcs" else b""
        assert init[tenc.body : tenc.end] == bytes.fromhex(TENC[scheme, kind]) + KID + iv


@pytest.mark.parametrize("scheme", ["cenc", "cbcs"])
def test_nothing_else_changes(video_stream: bytes, audio_stream: bytes, scheme: str) -> None:
    for _, clear, codec, _, skip in inits(video_stream, audio_stream):
        init = protected_init(clear, scheme, KID)
        sinf = need(init, "sinf", parent=inside(sample_entry(init, need(init, "moov", "trak")), skip))
        back = bytearray(init[: sinf.start] + init[sinf.end :])
        entry = clear.index(codec, clear.index(b"stsd"))
        back[entry : entry + 4] = codec
        grown = sinf.end - sinf.start
        for path in (("moov",), ("trak",), ("mdia",), ("minf",), ("stbl",), ("stsd",)):
            at = clear.index(path[0].encode()) - 4
            assert (
                int.from_bytes(back[at : at + 4], "big") == int.from_bytes(clear[at : at + 4], "big") + grown
            )
            back[at : at + 4] = clear[at : at + 4]
        back[entry - 4 : entry] = clear[entry - 4 : entry]
        assert bytes(back) == clear
        assert kinds(init) == kinds(clear) and kinds(init, "moov") == kinds(clear, "moov")
        assert find(init, "moov", "trak", "mdia", "minf", "stbl", "stco") is not None


def test_a_protected_or_foreign_init_segment_is_refused(video_stream: bytes) -> None:
    clear = pieces(video_stream)[0]
    with pytest.raises(Unprotected, match="encv"):
        protected_init(protected_init(clear, "cenc", KID), "cenc", KID)
    with pytest.raises(Unprotected, match="'vp08' is not supported"):
        protected_init(clear.replace(b"avc1", b"vp08"), "cenc", KID)
    with pytest.raises(Unprotected, match="one track"):
        protected_init(clear.replace(b"udta", b"trak"), "cenc", KID)
    with pytest.raises(BadBox):
        protected_init(clear[:60], "cenc", KID)
    for scheme, kid in (("cens", KID), ("aes", KID), ("cenc", b"short")):
        with pytest.raises(ValueError, match="key ID of 16"):
            protected_init(clear, scheme, kid)
