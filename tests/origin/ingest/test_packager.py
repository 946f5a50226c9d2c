"""A generation is filled with exactly what came, or not at all."""

import hashlib
import io
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from keys.names import b64url
from keys.problems import Problem
from origin.downloads import FileName
from origin.ingest.ladder import AudioRung, Ladder, VideoRung
from origin.ingest.packager import Generation, Packager
from origin.media.asset import read_descriptor
from origin.media.boxes import BadMedia
from origin.media.digests import read_list
from origin.media.seal import SLICE, TAG, Sealer, slice_length
from tests.origin.ingest.bench import AAC, X264, Bench, film, make_clip, tone

VIDEO = VideoRung("720p", 160, 90, 100_000, 120_000, 100_000)
SMALL = VideoRung("360p", 80, 46, 100_000, 120_000, 100_000)
SOUND = AudioRung("audio", 0, 2, 48000, 128_000, "en", "English")
FLAGS = ["-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer", "-f", "mp4"]


def stream(root: Path, seconds: str = "2", interval: str = "25") -> bytes:
    """Fragmented MP4 of a film, a segment a second."""
    clip = make_clip(
        root / f"{seconds}-{interval}.mp4", *film(seconds=seconds), *X264, "-g", interval, *FLAGS
    )
    return clip.read_bytes()


async def packager(bench: Bench, *video: VideoRung, audio: tuple[AudioRung, ...] = ()) -> Packager:
    """A packager of generation 1 of `film`."""
    bench.keys.made["film", 1] = os.urandom(32)
    await bench.catalogue.create(id="film", source_name="film.mp4")
    return again(bench, *video, audio=audio)


def again(bench: Bench, *video: VideoRung, audio: tuple[AudioRung, ...] = ()) -> Packager:
    """Another one of the same generation."""
    return Packager(
        Generation("default", "film", 1, bench.keys.made["film", 1]),
        Ladder(video, audio, Fraction(25), 1),
        blobs=bench.blobs,
        records=bench.catalogue,
        signer=bench.identity.private,
    )


async def test_bytes_in_any_pieces_make_the_same_objects(bench: Bench) -> None:
    data = stream(bench.root)
    packing = await packager(bench, VIDEO)
    for start in range(0, len(data), 997):
        await packing.take("720p", data[start : start + 997])
    descriptor = await packing.finish(title="Film", period_segments=15)
    assert [descriptor.renditions[0].seconds(n) for n in range(2)] == [1.0, 1.0]
    text = await bench.stored("film", 1, "asset", "asset.json")
    assert read_descriptor(text, [bench.identity.private.public_key()], "film", 1) == descriptor
    stored = sum((bench.root / "blobs" / name).stat().st_size for name in bench.left_behind())
    assert packing.stored_bytes == stored


async def test_sound_and_picture_are_described_by_what_they_are(bench: Bench) -> None:
    packing = await packager(bench, VIDEO, audio=(SOUND,))
    await packing.take("720p", stream(bench.root))
    sound = make_clip(
        bench.root / "s.mp4", *tone(), *AAC, "-frag_duration", "1000000", *FLAGS[:1], FLAGS[1], *FLAGS[2:]
    )
    await packing.take("audio", sound.read_bytes())
    film_, audio = (await packing.finish(title="Film", period_segments=15)).renditions
    assert (film_.track, film_.width, film_.frame_rate, film_.channels) == ("video", 160, 25.0, 0)
    assert (audio.track, audio.channels, audio.sample_rate, audio.language) == ("audio", 2, 48000, "en")


async def test_k1_an_object_of_a_generation_is_never_replaced_by_another(bench: Bench) -> None:
    packing = await packager(bench, VIDEO)
    await packing.take("720p", stream(bench.root))
    with pytest.raises(Problem) as refused:
        await again(bench, VIDEO).take("720p", stream(bench.root, interval="50"))
    assert refused.value.code == "conflict"


async def test_a_stream_that_stays_empty_or_is_cut_is_no_rendition(bench: Bench) -> None:
    packing = await packager(bench, VIDEO)
    with pytest.raises(Problem) as refused:
        await packing.finish(title="Film", period_segments=15)
    assert refused.value.code == "not_media"
    await packing.take("720p", stream(bench.root)[:-10])
    with pytest.raises(BadMedia):
        await packing.finish(title="Film", period_segments=15)


async def test_rungs_whose_segments_do_not_line_up_are_refused(bench: Bench) -> None:
    packing = await packager(bench, VIDEO, SMALL)
    await packing.take("720p", stream(bench.root, interval="25"))
    await packing.take("360p", stream(bench.root, interval="50"))
    with pytest.raises(BadMedia, match="line up"):
        await packing.finish(title="Film", period_segments=15)


async def test_a_stream_that_does_not_begin_at_0_or_with_a_keyframe_is_refused(bench: Bench) -> None:
    data = stream(bench.root)
    first, second = (data.index(b"moof", at) - 4 for at in (0, data.index(b"moof") + 4))
    packing = await packager(bench, VIDEO)
    with pytest.raises(BadMedia, match="starts at"):
        await packing.take("720p", data[:first] + data[second:])
    halves = make_clip(bench.root / "h.mp4", *film(), *X264, "-g", "50", "-frag_duration", "500000", *FLAGS)
    with pytest.raises(BadMedia, match="keyframe"):
        await again(bench, SMALL).take("360p", halves.read_bytes())


async def test_what_is_no_mp4_is_refused(bench: Bench) -> None:
    with pytest.raises(BadMedia):
        await (await packager(bench, VIDEO)).take("720p", b"#EXTM3U\n" * 100)


async def test_an_asset_with_sound_we_cannot_protect_is_described_with_aes_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    packing = await packager(bench, VIDEO, audio=(SOUND,))
    await packing.take("720p", stream(bench.root))
    flac = ["-c:a", "flac", "-frag_duration", "1000000", *FLAGS]
    await packing.take("audio", make_clip(bench.root / "s.mp4", *tone(), *flac).read_bytes())
    with caplog.at_level("WARNING", "origin.ingest.packager"):
        descriptor = await packing.finish(title="Film", period_segments=15)
    assert descriptor.protections == ("aes",)
    assert "film/audio has no Common Encryption: " in caplog.text and "'fLaC'" in caplog.text
    listed = await bench.listed(replace(await bench.catalogue.get("film"), generation=1), "audio")
    assert not [name for name in listed if name.startswith("map-")]


FILE = FileName("film.mp4", "A film.mp4", "file-original", "video/mp4")


class Dribbling(io.BytesIO):
    """A file that gives less than it is asked for, as unbuffered ones may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 300_001))


@pytest.mark.parametrize("size", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
async def test_h32_a_file_of_any_size_is_kept_byte_for_byte(bench: Bench, size: int) -> None:
    packing = await packager(bench, VIDEO)
    body = os.urandom(size)
    made = await packing.store_file(Dribbling(body), FILE, 1_700_000_000)
    assert (made.size, made.sha256) == (size, b64url(hashlib.sha256(body).digest()))
    assert (made.name, made.shown, made.media_type, made.stored) == (*FILE_FIELDS, 1_700_000_000)
    public = [bench.identity.private.public_key()]
    text = await bench.stored("film", 1, "file-original", "list")
    listed = read_list(text, public, "film", 1, "file-original")["file"]
    sealed = await bench.stored("film", 1, "file-original", "file")
    sealer = Sealer(bench.keys.made["film", 1], "default", "film", 1, "file-original", "file")
    plain, at = b"", 0
    for index in range(len(listed.slices)):
        stop = at + slice_length(listed.length, index) + TAG
        plain, at = plain + sealer.open(index, sealed[at:stop]), stop
    assert (listed.length, plain, at) == (size, body, len(sealed))


FILE_FIELDS = (FILE.name, FILE.shown, FILE.media_type)


async def test_k1_a_file_is_stored_once(bench: Bench) -> None:
    packing = await packager(bench, VIDEO)
    await packing.store_file(io.BytesIO(b"one"), FILE, 1)
    with pytest.raises(Problem, match="conflict"):
        await again(bench, VIDEO).store_file(io.BytesIO(b"two"), FILE, 1)


async def test_a_rendition_is_read_back_as_it_was_taken(bench: Bench) -> None:
    data = stream(bench.root)
    packing = await packager(bench, VIDEO)
    await packing.take("720p", data)
    found = b"".join([piece async for piece in packing.packaged("720p")])
    assert packing.packaged_bytes("720p") == len(found)
    assert data.startswith(found[:1000]) and found in data
    made = await packing.store_file(io.BytesIO(b"x"), FILE, 1)
    descriptor = await packing.finish(title="Film", period_segments=15, downloads=[made])
    text = await bench.stored("film", 1, "asset", "asset.json")
    found_again = read_descriptor(text, [bench.identity.private.public_key()], "film", 1)
    assert found_again == descriptor and found_again.download("film.mp4") == made
    assert found_again.download("other.mp4") is None
