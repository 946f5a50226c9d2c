"""What players are told of a key, made here: as Shaka Packager says it, and as the documents print it."""

import base64
import re
import subprocess
import uuid
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.cpix import FAIRPLAY, PLAYREADY, WIDEVINE, BadCpix, ContentKey, Document, DrmSystem
from keys.drm_checks import checked
from keys.drm_signalling import playready_pssh, signalled, signalling, widevine_pssh
from keys.hls_key_lines import MEDIA_TAG, MULTIVARIANT_TAG, key_line, key_lines
from keys.playready import headers, playready_object
from keys.pssh import Pssh, read_pssh, write_pssh
from tests.support.cenc import PACKAGER
from tests.support.films import make_film

KID = uuid.UUID("11111111-2222-3333-4455-66778899aabb")
OTHER = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
IV = bytes(range(16))


def of(scheme: str) -> ContentKey:
    return ContentKey(KID, bytes(16), scheme, IV)


@pytest.mark.skipif(not PACKAGER.exists(), reason="Shaka Packager is not there: `make setup-dev` fetches it")
@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_players_are_told_what_shaka_packager_tells_them(tmp_path: Path, scheme: str) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=1, size="64x64", audio=False)
    command = [str(PACKAGER), f"in={film},stream=video,output={tmp_path}/v.mp4,playlist_name=v.m3u8"]
    command += ["--enable_raw_key_encryption", "--keys", f"label=:key_id={KID.hex}:key={'6b' * 16}"]
    command += ["--protection_scheme", scheme, "--protection_systems", "Widevine,PlayReady,FairPlay"]
    command += ["--hls_key_uri", f"skd://{KID}", "--clear_lead", "0", "--quiet"]
    command += ["--mpd_output", f"{tmp_path}/m.mpd", "--hls_master_playlist_output", f"{tmp_path}/m.m3u8"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    playlist = (tmp_path / "v.m3u8").read_text()
    lines = [line for line in playlist.splitlines() if line.startswith("#EXT-X-KEY:")]
    theirs = {line["KEYFORMAT"]: line for text in lines for line in key_lines(text, MEDIA_TAG)}
    manifest = ElementTree.fromstring((tmp_path / "m.mpd").read_text())
    systems = [WIDEVINE, PLAYREADY] + [FAIRPLAY] * (scheme == "cbcs")
    for system_id in systems:
        ours = signalling(of(scheme), system_id)
        (line,) = key_lines(ours.hls_media or "", MEDIA_TAG)
        told = theirs[line["KEYFORMAT"]]
        for name in ("METHOD", "KEYFORMATVERSIONS", "KEYID"):
            assert line.get(name) == told.get(name)
        assert same(line["URI"], told["URI"])
        if system_id == FAIRPLAY:
            continue
        (descriptor,) = [e for e in manifest.iter() if e.get("schemeIdUri") == f"urn:uuid:{system_id}"]
        inner = ElementTree.fromstring(f"<r>{ours.content_protection}</r>")
        assert [each.tag for each in inner] == [each.tag for each in descriptor]
        for mine, other in zip(inner, descriptor, strict=True):
            assert same(mine.text or "", other.text or "")


def same(ours: str, theirs: str) -> bool:
    """Whether both say the same, but for the checksum of a PlayReady header, which none has to have."""
    if ours == theirs:
        return True
    texts = []
    for value in (ours, theirs):
        data = base64.b64decode(value.rpartition(",")[2])
        (header,) = headers(read_pssh(data).data if data[4:8] == b"pssh" else data)
        texts.append(re.sub("<CHECKSUM>[^<]*</CHECKSUM>", "", header))
    return texts[0] == texts[1]


def test_a_widevine_box_names_keys_content_and_scheme() -> None:
    box = widevine_pssh([KID, OTHER], "cbcs", b"film")
    found = read_pssh(box)
    assert found == Pssh(WIDEVINE, found.data)
    assert found.data == (
        b"\x12\x10" + KID.bytes + b"\x12\x10" + OTHER.bytes + b"\x22\x04film" + b"\x48\xf3\xc6\x89\x9b\x06"
    )


def test_key_ids_of_playready_are_guids() -> None:
    (header,) = headers(playready_object([OTHER], "cenc"))
    assert "<KID>Z0UjAauJ780BI0VniavN7w==</KID>" in header
    assert 'version="4.0.0.0"' in header
    (header,) = headers(playready_object([KID, OTHER], "cenc"))
    assert header.count('ALGID="AESCTR"') == 2
    assert 'version="4.2.0.0"' in header
    (header,) = headers(playready_object([KID], "cbcs"))
    assert 'version="4.3.0.0"><DATA><PROTECTINFO><KIDS><KID ALGID="AESCBC" VALUE=' in header


def test_a_playready_object_has_its_limits() -> None:
    assert read_pssh(playready_pssh([KID], "cbcs")).data == playready_object([KID], "cbcs")
    for kids in ([], [KID] * 300):
        with pytest.raises(ValueError, match="PlayReady"):
            playready_object(kids, "cbcs")


@given(st.binary(max_size=60) | st.integers(0, 400).map(lambda n: playready_object([KID], "cbcs")[:n]))
def test_what_is_no_playready_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        headers(data)


@given(st.uuids(), st.binary(max_size=100), st.lists(st.uuids(), max_size=4))
def test_a_pssh_is_read_as_it_was_written(system_id: uuid.UUID, data: bytes, kids: list[uuid.UUID]) -> None:
    box = write_pssh(system_id, data, kids)
    assert read_pssh(box) == Pssh(system_id, data, 1 if kids else 0, tuple(kids))
    for bad in (box[:-1], box + b"\0", box[:8] + b"\2" + box[9:], box[:11] + b"\1" + box[12:]):
        with pytest.raises(ValueError):
            read_pssh(bad)


def test_the_common_box_of_two_keys_is_68_bytes_long() -> None:
    common = uuid.UUID("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b")
    assert len(write_pssh(common, b"", [KID, OTHER])) == 68  # the example of the EME registry


def test_fairplay_is_told_the_iv_and_has_nothing_for_manifests() -> None:
    found = signalling(of("cbcs"), FAIRPLAY)
    assert (found.pssh, found.content_protection) == (None, None)
    assert found.hls_media == (
        f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://{KID}",IV=0x{IV.hex()},'
        'KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'
    )
    with pytest.raises(BadCpix, match="cbcs only"):
        signalling(of("cenc"), FAIRPLAY)


def test_what_a_provider_said_stays() -> None:
    said = widevine_pssh([KID], "cbcs", b"of theirs")
    second = ContentKey(OTHER, bytes(16), "cbcs")
    unknown = DrmSystem(KID, uuid.UUID(int=5), b"")
    systems = (DrmSystem(KID, WIDEVINE, said, hls_media=""), unknown)
    found = signalled(Document("f", (of("cbcs"), second), systems))
    first, other, kept = found.systems
    assert (first.pssh, kept) == (said, unknown)
    assert first.hls_media == signalling(of("cbcs"), WIDEVINE).hls_media
    assert other == signalling(second, WIDEVINE)


@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_what_is_made_here_passes_the_checks_of_what_others_make(scheme: str) -> None:
    named = [WIDEVINE, PLAYREADY] + [FAIRPLAY] * (scheme == "cbcs")
    made = signalled(Document("f", (of(scheme),), tuple(DrmSystem(KID, each) for each in named)))
    assert checked(made) == made


@given(st.text(max_size=40), st.sampled_from(["URI", "KEYID", "IV", "METHOD", "KEYFORMAT", "X"]))
def test_no_value_gets_out_of_its_line(value: str, name: str) -> None:
    base = {"METHOD": "SAMPLE-AES", "URI": "skd://a", "KEYFORMAT": "b"}
    try:
        line = key_line(MULTIVARIANT_TAG, base | {name: value})
    except ValueError:
        return
    assert len(line.splitlines()) == 1
    assert key_lines(line, MULTIVARIANT_TAG) == [base | {name: value}]
