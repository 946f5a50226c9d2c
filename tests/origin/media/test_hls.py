"""Playlists: what RFC 8216 demands of them, the figures they declare, and that ffmpeg plays what they say."""

import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import imageio_ffmpeg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from origin.media import hls
from origin.media.asset import Descriptor, Rendition, segment_object
from origin.media.codecs import read_init
from origin.media.segmenting import Segment, Splitter

VIDEO = Rendition(
    id="720p",
    track="video",
    index=0,
    codecs="avc1.64001f",
    timescale=1000,
    durations=(4000, 4000, 4000, 1500),
    sizes=(1000, 2000, 1500, 400),
    bandwidth=2_000_000,
    average_bandwidth=1_500_000,
    width=1280,
    height=720,
    frame_rate=30000 / 1001,
    name="720p",
)
AUDIO = Rendition(
    id="audio",
    track="audio",
    index=1,
    codecs="mp4a.40.2",
    timescale=48000,
    durations=(192512, 191488, 192512, 72000),
    sizes=(64, 64, 64, 32),
    bandwidth=130_000,
    average_bandwidth=128_000,
    channels=2,
    sample_rate=48000,
    language="en",
    name="English",
)


def asset(*renditions: Rendition, period_segments: int = 3) -> Descriptor:
    return Descriptor("default", "film", 1, "Film", 13.5, period_segments, renditions)


@dataclass
class Playlist:
    """A playlist as a strict reader sees it: tags by name, and each URI line with what stood before it."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    entries: list[tuple[dict[str, str], str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


def read(text: bytes) -> Playlist:
    assert text.endswith(b"\n") and b"\r" not in text
    lines = text.decode().splitlines()
    assert lines[0] == "#EXTM3U"
    found, key = Playlist(), ""
    before: dict[str, str] = {}
    for line in lines[1:]:
        assert line, "no blank lines"
        if not line.startswith("#"):
            found.entries.append(({**before, "KEY": key}, line))
            found.order.append("URI")
            before = {}
            continue
        name, _, value = line.removeprefix("#").partition(":")
        found.tags.setdefault(name, []).append(value)
        found.order.append(name)
        if name in ("EXTINF", "EXT-X-STREAM-INF"):
            before[name] = value
        key = value if name == "EXT-X-KEY" else key
    return found


def attributes(text: str) -> dict[str, str]:
    pairs = re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^",]+)(?:,|$)', text)
    assert ",".join(f"{k}={v}" for k, v in pairs) == text, "nothing but attributes"
    return {k: v.strip('"') for k, v in pairs}


def test_a_media_playlist_lists_every_segment_with_its_duration() -> None:
    found = read(hls.media(asset(VIDEO, AUDIO), VIDEO, "aes"))
    assert [uri for _, uri in found.entries] == ["0.m4s", "1.m4s", "2.m4s", "3.m4s"]
    assert [before["EXTINF"] for before, _ in found.entries] == ["4.000000,"] * 3 + ["1.500000,"]
    assert found.tags["EXT-X-VERSION"] == ["7"]
    assert found.tags["EXT-X-TARGETDURATION"] == ["4"]
    assert found.tags["EXT-X-MEDIA-SEQUENCE"] == ["0"]
    assert found.tags["EXT-X-PLAYLIST-TYPE"] == ["VOD"]
    assert found.order[-1] == "EXT-X-ENDLIST"


def test_the_init_segment_is_clear_and_the_key_changes_with_the_period() -> None:
    found = read(hls.media(asset(VIDEO, AUDIO), VIDEO, "aes"))
    assert found.order.index("EXT-X-MAP") < found.order.index("EXT-X-KEY")
    assert found.tags["EXT-X-MAP"] == ['URI="init.mp4"']
    assert found.tags["EXT-X-KEY"] == ['METHOD=AES-128,URI="key/0"', 'METHOD=AES-128,URI="key/1"']
    keys = [attributes(before["KEY"])["URI"] for before, _ in found.entries]
    assert keys == ["key/0", "key/0", "key/0", "key/1"]


def test_a_clear_playlist_names_no_key() -> None:
    found = read(hls.media(asset(VIDEO), VIDEO, "clear"))
    assert "EXT-X-KEY" not in found.tags
    assert len(found.entries) == 4


@pytest.mark.parametrize("protection", ["ece", ""])
def test_a_protection_hls_does_not_carry_here_is_refused(protection: str) -> None:
    with pytest.raises(ValueError, match="HLS carries"):
        hls.media(asset(VIDEO), VIDEO, protection)
    with pytest.raises(ValueError, match="HLS carries"):
        hls.multivariant(asset(VIDEO), protection)


DURATIONS = st.lists(st.integers(1, 40_000), min_size=1, max_size=60)


@given(DURATIONS, DURATIONS, st.integers(1, 20))
def test_every_segment_is_listed_once_under_the_key_of_its_period(
    first: list[int], second: list[int], period: int
) -> None:
    a = replace(VIDEO, durations=tuple(first), sizes=(1,) * len(first))
    b = replace(VIDEO, id="360p", durations=tuple(second), sizes=(1,) * len(second))
    descriptor = asset(a, b, period_segments=period)
    playlists = [read(hls.media(descriptor, r, "aes")) for r in (a, b)]
    for rendition, found in zip((a, b), playlists, strict=True):
        assert [uri for _, uri in found.entries] == [f"{n}.m4s" for n in range(len(rendition.durations))]
        for number, (before, _) in enumerate(found.entries):
            seconds = float(before["EXTINF"].rstrip(","))
            assert seconds == pytest.approx(rendition.seconds(number), abs=1e-6)
            assert round(seconds - 1e-9) <= int(found.tags["EXT-X-TARGETDURATION"][0])
            assert attributes(before["KEY"]) == {"METHOD": "AES-128", "URI": f"key/{number // period}"}
    # RFC 8216 §6.2.4
    assert playlists[0].tags["EXT-X-TARGETDURATION"] == playlists[1].tags["EXT-X-TARGETDURATION"]


def test_variants_declare_picture_and_the_densest_sound_together() -> None:
    small = replace(VIDEO, id="360p", width=640, height=360, bandwidth=800_000, average_bandwidth=700_000)
    found = read(hls.multivariant(asset(VIDEO, small, AUDIO), "aes"))
    assert "EXT-X-INDEPENDENT-SEGMENTS" in found.tags
    assert [uri for _, uri in found.entries] == ["720p/index.m3u8", "360p/index.m3u8"]
    assert attributes(found.entries[0][0]["EXT-X-STREAM-INF"]) == {
        "BANDWIDTH": "2130000",
        "AVERAGE-BANDWIDTH": "1628000",
        "CODECS": "avc1.64001f,mp4a.40.2",
        "RESOLUTION": "1280x720",
        "FRAME-RATE": "29.970",
        "AUDIO": "audio",
        "CLOSED-CAPTIONS": "NONE",
    }
    assert [attributes(tag) for tag in found.tags["EXT-X-MEDIA"]] == [
        {
            "TYPE": "AUDIO",
            "GROUP-ID": "audio",
            "NAME": "English",
            "LANGUAGE": "en",
            "DEFAULT": "YES",
            "AUTOSELECT": "YES",
            "CHANNELS": "2",
            "URI": "audio/index.m3u8",
        }
    ]


def test_the_multivariant_playlist_says_which_protections_the_asset_has() -> None:
    both = replace(asset(VIDEO), protections=("aes", "cenc", "ece"))
    for descriptor, offered in ((asset(VIDEO), "aes"), (both, "aes,cenc")):
        tags = read(hls.multivariant(descriptor, "aes")).tags["EXT-X-SESSION-DATA"]
        data = {row["DATA-ID"]: row["VALUE"] for row in map(attributes, tags)}
        assert data == {"com.apple.hls.title": "Film", "sluice.protections": offered}


def test_video_without_audio_names_no_audio() -> None:
    found = read(hls.multivariant(asset(VIDEO), "aes"))
    (before, uri) = found.entries[0]
    assert "EXT-X-MEDIA" not in found.tags
    assert attributes(before["EXT-X-STREAM-INF"])["CODECS"] == "avc1.64001f"
    assert "AUDIO" not in attributes(before["EXT-X-STREAM-INF"])
    assert uri == "720p/index.m3u8"


def test_sound_alone_is_a_variant_for_each_rendition() -> None:
    small = replace(AUDIO, id="audio-64", bandwidth=64_000, average_bandwidth=64_000)
    found = read(hls.multivariant(asset(AUDIO, small), "aes"))
    assert "EXT-X-MEDIA" not in found.tags
    assert [uri for _, uri in found.entries] == ["audio/index.m3u8", "audio-64/index.m3u8"]
    assert attributes(found.entries[1][0]["EXT-X-STREAM-INF"]) == {
        "BANDWIDTH": "64000",
        "AVERAGE-BANDWIDTH": "64000",
        "CODECS": "mp4a.40.2",
    }


def test_sound_alone_in_two_languages_offers_the_choice() -> None:
    french = replace(AUDIO, id="audio-fr", index=2, language="fr", name="Français", bandwidth=150_000)
    found = read(hls.multivariant(asset(AUDIO, french), "aes"))
    tags = [attributes(tag) for tag in found.tags["EXT-X-MEDIA"]]
    assert [(tag["LANGUAGE"], tag["DEFAULT"]) for tag in tags] == [("en", "YES"), ("fr", "NO")]
    assert [uri for _, uri in found.entries] == ["audio/index.m3u8"]
    assert attributes(found.entries[0][0]["EXT-X-STREAM-INF"])["BANDWIDTH"] == "150000"


def test_each_audio_codec_is_a_group_that_every_variant_offers() -> None:
    surround = replace(AUDIO, id="audio-6", index=2, codecs="ec-3", channels=6, name="")
    twin = replace(AUDIO, id="audio-b", index=3)
    found = read(hls.multivariant(asset(VIDEO, AUDIO, surround, twin), "aes"))
    tags = [attributes(tag) for tag in found.tags["EXT-X-MEDIA"]]
    assert [(t["GROUP-ID"], t["NAME"]) for t in tags] == [
        ("audio", "English"),
        ("audio", "English (audio-b)"),
        ("audio-2", "en"),
    ]
    variants = [attributes(before["EXT-X-STREAM-INF"]) for before, _ in found.entries]
    assert [(v["AUDIO"], v["CODECS"]) for v in variants] == [
        ("audio", "avc1.64001f,mp4a.40.2"),
        ("audio-2", "avc1.64001f,ec-3"),
    ]


@given(st.text(max_size=30), st.text(max_size=10))
def test_no_name_breaks_out_of_its_quotes_or_its_line(name: str, language: str) -> None:
    named = replace(AUDIO, name=name, language=language)
    found = read(hls.multivariant(asset(VIDEO, named), "aes"))
    assert attributes(found.tags["EXT-X-MEDIA"][0])["URI"] == "audio/index.m3u8"
    assert len(found.entries) == 1


def test_every_uri_is_relative_and_goes_down() -> None:
    for text in (hls.multivariant(asset(VIDEO, AUDIO), "aes"), hls.media(asset(VIDEO, AUDIO), AUDIO, "aes")):
        uris = [uri for _, uri in read(text).entries] + re.findall(r'URI="([^"]*)"', text.decode())
        assert uris
        assert all(re.fullmatch(r"[a-z0-9-]+(/[a-z0-9.-]+)?(\.m4s|\.mp4)?", uri) for uri in uris)


def test_the_peak_is_over_runs_of_about_a_segment_and_the_average_over_all() -> None:
    sizes, durations = (1000, 3000, 1000, 900), (4000, 4000, 4000, 40)
    peak, average = hls.measure(sizes, durations, 1000)
    assert peak == 8 * 3008 // 4  # not the 182 kbit/s of the last 40 ms
    assert average == -(-8 * (1008 + 3008 + 1008 + 912) * 1000 // 12040)


def test_two_halves_of_a_segment_count_together() -> None:
    peak, _ = hls.measure((400, 100, 400), (4000, 1000, 1000), 1000)
    assert peak == -(-8 * (112 + 416) * 1000 // 2000)


def test_a_rendition_shorter_than_half_a_second_declares_its_average() -> None:
    peak, average = hls.measure((1000,), (40,), 1000)
    assert peak == average == 8 * 1008 * 25
    assert hls.measure((), (), 1000) == (0, 0)
    assert hls.measure((5,), (0,), 1000) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.integers(1, 10_000)), min_size=1, max_size=30))
def test_no_segment_of_full_length_is_denser_than_declared(rows: list[tuple[int, int]]) -> None:
    sizes, durations = [size for size, _ in rows], [ticks for _, ticks in rows]
    peak, _ = hls.measure(sizes, durations, 1000)
    target = 1000 * hls.target_duration(durations, 1000)
    full = [8 * size * 1000 / ticks for size, ticks in rows if target // 2 <= ticks]
    assert peak >= max(full, default=0)


def published(folder: Path, id: str, track: str, stream: bytes, key: bytes) -> Rendition:
    """Writes a rendition as an edge would serve it, one key for all periods; its row of the descriptor."""
    splitter = Splitter()
    init, *pieces = splitter.feed(stream)
    splitter.close()
    segments = [piece for piece in pieces if isinstance(piece, Segment)]
    (folder / id / "key").mkdir(parents=True)
    (folder / id / "init.mp4").write_bytes(init.data)
    for number, segment in enumerate(segments):
        (folder / id / "key" / str(number)).write_bytes(key)
        cipher = Cipher(algorithms.AES128(key), modes.CBC(number.to_bytes(16, "big"))).encryptor()
        padder = PKCS7(128).padder()
        padded = padder.update(segment.data) + padder.finalize()
        (folder / id / segment_object(number)).write_bytes(cipher.update(padded) + cipher.finalize())
    info = read_init(init.data)
    sizes = tuple(len(s.data) for s in segments)
    durations = tuple(s.duration for s in segments)
    peak, average = hls.measure(sizes, durations, info.timescale)
    return Rendition(
        id=id,
        track=track,
        index=0 if track == "video" else 1,
        codecs=info.codecs,
        timescale=info.timescale,
        durations=durations,
        sizes=sizes,
        bandwidth=peak,
        average_bandwidth=average,
        width=info.width,
        height=info.height,
        channels=info.channels,
        sample_rate=info.sample_rate,
    )


def frame_digests(source: str, *options: str) -> list[str]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *options, "-i", source]
    output = subprocess.run([*command, "-f", "framemd5", "-"], check=True, capture_output=True)
    assert not output.stderr, output.stderr.decode()
    rows = [line.split(",") for line in output.stdout.decode().splitlines() if not line.startswith("#")]
    return [row[0] + row[-1] for row in rows]


def test_ffmpeg_decodes_the_encrypted_playlists_to_the_very_frames(
    tmp_path: Path, video_stream: bytes, audio_stream: bytes
) -> None:
    key = bytes(range(16))
    video = published(tmp_path, "180p", "video", video_stream, key)
    audio = published(tmp_path, "audio", "audio", audio_stream, key)
    descriptor = asset(video, audio, period_segments=1)
    for r in (video, audio):
        (tmp_path / r.id / "index.m3u8").write_bytes(hls.media(descriptor, r, "aes"))
    (tmp_path / "main.m3u8").write_bytes(hls.multivariant(descriptor, "aes"))
    (tmp_path / "v.mp4").write_bytes(video_stream)
    (tmp_path / "a.mp4").write_bytes(audio_stream)
    options = ("-protocol_whitelist", "file,crypto", "-allowed_extensions", "ALL", "-extension_picky", "0")
    played = frame_digests(str(tmp_path / "main.m3u8"), *options)
    picture = frame_digests(str(tmp_path / "v.mp4"))
    assert len(picture) == 125
    assert [row for row in played if row[0] == "0"] == picture
    sound = [row[1:] for row in frame_digests(str(tmp_path / "a.mp4"))]
    assert [row[1:] for row in played if row[0] == "1"] == sound


@given(st.text(max_size=80))
def test_any_title_stays_inside_its_quotes(title: str) -> None:
    text = hls.multivariant(replace(asset(VIDEO), title=title), "aes").decode()
    *lines, offered = [line for line in text.split("\n") if line.startswith("#EXT-X-SESSION-DATA")]
    assert offered == '#EXT-X-SESSION-DATA:DATA-ID="sluice.protections",VALUE="aes"'
    assert len(lines) <= 1 and text.count("\n#EXT-X-STREAM-INF") == 1
    for line in lines:
        assert line.count('"') == 4 and line.isprintable()


def test_the_title_reaches_the_player_as_session_data() -> None:
    text = hls.multivariant(asset(VIDEO), "aes").decode()
    assert '#EXT-X-SESSION-DATA:DATA-ID="com.apple.hls.title",VALUE="Film"' in text
