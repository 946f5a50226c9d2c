"""Whole ways: real clips in, what a viewer decodes out."""

import array
import io
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from origin.ingest.ladder import Wishes
from origin.media.hls import measure
from origin.media.maps import read_map
from tests.origin.ingest.bench import AAC, X264, Bench, decode, film, make_clip, quick, tone


async def test_a_film_with_sound_becomes_aligned_renditions_that_start_at_0(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp4", *film("640x360", "25", "9"), *tone(seconds="9"), *X264, *AAC)
    asset = await bench.ingest(clip)
    assert (asset.state, asset.progress, asset.width, asset.height) == ("published", 1.0, 640, 360)
    descriptor = await bench.descriptor(asset)
    assert [r.id for r in descriptor.renditions] == ["360p", "240p", "audio"]
    assert [r.index for r in descriptor.renditions] == [0, 1, 2]
    for r in descriptor.renditions[:2]:
        assert [r.seconds(n) for n in range(3)] == [4.0, 4.0, 1.0]
        frames = await bench.frames(asset, r.id)
        assert frames.times == pytest.approx([n / 25 for n in range(225)])
        assert frames.sizes == {(r.width, r.height)}
    sound = await bench.frames(asset, "audio")
    assert sound.times[0] == 0.0
    assert sound.seconds == pytest.approx(9.0, abs=0.03)
    assert bench.keys.published == {"film": 1}
    assert not bench.made[0].exists()  # the plain upload goes when the film is published


async def test_every_segment_begins_a_decodable_run_and_follows_the_one_before(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp4", *film("160x90", "30000/1001", "9"), *X264)
    asset = await bench.ingest(clip)
    rendition = (await bench.descriptor(asset)).renditions[0]
    digests = await bench.listed(asset, rendition.id)
    assert list(digests) == ["init.mp4", "0.m4s", "1.m4s", "2.m4s", "map-0"]
    init = await bench.opened(asset, rendition.id, digests["init.mp4"])
    times: list[float] = []
    for number in range(3):
        segment = await bench.opened(asset, rendition.id, digests[f"{number}.m4s"])
        assert len(segment) == rendition.sizes[number]
        times += decode(init + segment).times
    assert times == pytest.approx([n * 1001 / 30000 for n in range(270)], abs=0.001)
    assert rendition.seconds(0) == pytest.approx(4.004)


async def test_declared_bandwidth_is_what_was_measured(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp4", *film("320x180", "25", "9"), *tone(seconds="9"), *X264, *AAC)
    asset = await bench.ingest(clip, settings=quick(Wishes(preset="veryfast")))
    for r in (await bench.descriptor(asset)).renditions:
        listed = await bench.listed(asset, r.id)
        block = await bench.opened(asset, r.id, listed["map-0"])
        maps = [read_map(block, number) for number in range(len(r.sizes))]
        sent = [n - each.payload + len(each.cenc.head) for n, each in zip(r.sizes, maps, strict=True)]
        assert (r.bandwidth, r.average_bandwidth) == measure(sent, r.durations, r.timescale)
        assert measure(r.sizes, r.durations, r.timescale) < (r.bandwidth, r.average_bandwidth)
        assert r.average_bandwidth <= r.bandwidth <= 1.8 * r.average_bandwidth
    stored = sum((bench.root / "blobs" / name).stat().st_size for name in bench.left_behind())
    assert asset.bytes == stored


X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0"]
VP8 = ["-c:v", "libvpx", "-deadline", "realtime"]
INTERLACED = ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-vf", "setfield=tff"]
PQ = "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"
CLIPS: dict[str, tuple[str, Sequence[str], tuple[int, int], int]] = {
    # name: (file, ffmpeg arguments, size of the best rendition, frames)
    "no sound": ("a.mp4", [*film(), *X264], (160, 90), 50),
    "odd sizes": ("a.mkv", [*film("321x241"), "-c:v", "mpeg4", "-q:v", "5"], (320, 240), 50),
    "very small": ("a.mkv", [*film("18x10"), "-c:v", "ffv1"], (18, 10), 50),
    "ten-bit HEVC": (
        "a.mp4",
        [*film(), "-pix_fmt", "yuv420p10le", *X265],
        (160, 90),
        50,
    ),
    "webm": ("a.webm", [*film(), *tone(), *VP8, "-c:a", "libopus"], (160, 90), 50),
    "transport stream": ("a.ts", [*film(), *tone(), *X264, "-bf", "2", "-c:a", "mp2"], (160, 90), 50),
    "avi": ("a.avi", [*film(), *tone(), "-c:v", "mjpeg", "-c:a", "pcm_s16le"], (160, 90), 50),
    "flv": ("a.flv", [*film(), *tone(44100), *X264, *AAC, "-ar", "44100"], (160, 90), 50),
    "program stream": ("a.mpg", [*film(), "-c:v", "mpeg2video", "-f", "mpeg"], (160, 90), 50),
    "anamorphic": ("a.mp4", [*film("72x58"), "-vf", "setsar=64/45", *X264], (102, 58), 50),
    "interlaced": ("a.ts", [*film(), *INTERLACED], (160, 90), 50),
    "fast": ("a.mp4", [*film(rate="120", seconds="1"), *X264], (160, 90), 60),
    "moov in front": ("a.mp4", [*film(), *X264, "-movflags", "+faststart"], (160, 90), 50),
    "fragmented": ("a.mp4", [*film(), *X264, "-movflags", "+frag_keyframe+empty_moov"], (160, 90), 50),
    "high dynamic range": (
        "a.mkv",
        [*film(), "-vf", f"{PQ},format=yuv420p10le", *X265],
        (160, 90),
        50,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
async def test_films_of_every_make_play(bench: Bench, name: str) -> None:
    file, arguments, size, count = CLIPS[name]
    asset = await bench.ingest(make_clip(bench.root / file, *arguments))
    assert asset.state == "published", asset.error
    best = (await bench.descriptor(asset)).renditions[0]
    assert best.codecs.startswith("avc1.")
    frames = await bench.frames(asset, best.id)
    assert frames.sizes == {size}
    assert abs(len(frames.times) - count) <= 1
    assert frames.times[0] == 0.0


async def test_a_turned_film_is_put_upright(bench: Bench) -> None:
    flat = make_clip(bench.root / "flat.mp4", *film("160x90"), *X264)
    turned = make_clip(bench.root / "a.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    asset = await bench.ingest(turned)
    assert (asset.width, asset.height) == (90, 160)
    frames = await bench.frames(asset, asset.renditions[0])
    assert frames.sizes == {(90, 160)}


async def test_a_varying_frame_rate_becomes_the_nearest_standard_one(bench: Bench) -> None:
    uneven = "select='not(mod(n,3))+lt(n,20)'"  # 30 frames a second, then 10: about 13 over the film
    clip = make_clip(
        bench.root / "a.mp4", *film(rate="30", seconds="4"), "-vf", uneven, "-fps_mode", "vfr", *X264
    )
    asset = await bench.ingest(clip)
    rendition = (await bench.descriptor(asset)).renditions[0]
    assert rendition.frame_rate in (12.0, 15.0)
    frames = await bench.frames(asset, rendition.id)
    steps = {round(b - a, 3) for a, b in zip(frames.times, frames.times[1:], strict=False)}
    assert len(steps) == 1
    assert frames.seconds == pytest.approx(4.0, abs=0.2)


async def test_sound_alone_is_an_asset_without_picture_or_poster(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp3", *tone(44100, "5", "mono"), "-c:a", "libmp3lame")
    asset = await bench.ingest(clip)
    assert (asset.state, asset.width, asset.renditions) == ("published", 0, ("audio",))
    assert (await bench.frames(asset, "audio")).sizes == {(44100, 1)}
    assert (await bench.descriptor(asset)).duration == pytest.approx(5.0, abs=0.1)
    assert await bench.catalogue.poster("film") is None


@pytest.mark.parametrize("file", ["a.wav", "a.flac", "a.ogg", "a.aac", "a.m4a", "a.aiff"])
async def test_sound_files_of_every_make_play(bench: Bench, file: str) -> None:
    asset = await bench.ingest(make_clip(bench.root / file, *tone(seconds="1")))
    assert asset.state == "published", asset.error
    assert (await bench.frames(asset, "audio")).seconds == pytest.approx(1.0, abs=0.1)


async def test_each_sound_stream_is_a_rendition_with_its_language(bench: Bench) -> None:
    clip = make_clip(
        bench.root / "a.mkv", *film(), *tone(), *tone(channels="5.1"), "-map", "0", "-map", "1", "-map", "2",
        "-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng", *X264, *AAC,
    )  # fmt: skip
    asset = await bench.ingest(clip)
    sounds = [r for r in (await bench.descriptor(asset)).renditions if r.track == "audio"]
    assert [(r.id, r.language, r.name) for r in sounds] == [
        ("audio", "de", "Deutsch"),
        ("audio-2", "en", "English"),
    ]
    assert (await bench.frames(asset, "audio-2")).sizes == {(48000, 2)}


async def test_sound_that_ends_early_is_silent_to_the_end_of_the_picture(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp4", *film(seconds="6"), *tone(seconds="2"), *X264, *AAC)
    asset = await bench.ingest(clip)
    assert (await bench.frames(asset, "audio")).seconds == pytest.approx(6.0, abs=0.1)


async def test_a_picture_that_begins_late_is_in_time_with_the_sound(bench: Bench) -> None:
    clip = make_clip(
        bench.root / "a.mkv", "-itsoffset", "1", *film(seconds="2"), *tone(seconds="3"), *X264, *AAC
    )
    asset = await bench.ingest(clip)
    frames = await bench.frames(asset, asset.renditions[0])
    assert frames.times[0] == 0.0
    assert frames.seconds == pytest.approx(3.0, abs=0.1)


async def test_a_cut_film_plays_as_far_as_it_goes(bench: Bench) -> None:
    whole = make_clip(
        bench.root / "a.mp4", *film("320x180", seconds="8"), *X264, "-movflags", "+faststart", "-g", "25"
    )
    cut = bench.root / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    asset = await bench.ingest(cut)
    assert asset.state == "published", asset.error
    assert 2.0 < asset.duration < 6.0
    assert (await bench.frames(asset, asset.renditions[0])).seconds == pytest.approx(asset.duration, abs=0.1)


async def test_a_film_has_a_small_poster(bench: Bench) -> None:
    asset = await bench.ingest(make_clip(bench.root / "a.mp4", *film("1280x720", seconds="1"), *X264))
    jpeg = await bench.catalogue.poster(asset.id)
    assert jpeg is not None
    assert decode(jpeg).sizes == {(640, 360)}


async def test_no_plain_media_rests_in_the_store(bench: Bench) -> None:
    clip = make_clip(bench.root / "a.mp4", *film("320x180", seconds="2"), *X264)
    asset = await bench.ingest(clip)
    plain = await bench.media(asset, asset.renditions[0])
    probes = [plain[at : at + 32] for at in range(0, len(plain) - 32, 997)]
    for path in (path for path in Path(bench.root / "blobs").rglob("*") if path.is_file()):
        stored = path.read_bytes()
        assert not any(piece in stored for piece in probes)


async def test_sound_and_picture_stay_in_time(bench: Bench) -> None:
    """Black and silent for a second, then white and loud: both are found at 1 s again, to the frame."""
    clip = make_clip(
        bench.root / "a.mp4",
        *(
            "-f",
            "lavfi",
            "-t",
            "2",
            "-i",
            "color=black:size=160x90:rate=25,drawbox=color=white:t=fill:enable='gte(t,1)'",
        ),
        *("-f", "lavfi", "-t", "2", "-i", "aevalsrc='if(gte(t,1),sin(2764*t),0)':sample_rate=48000"),
        *(*X264, *AAC),
    )
    asset = await bench.ingest(clip)
    with av.open(io.BytesIO(await bench.media(asset, asset.renditions[0])), "r") as video:
        white = next(frame.time for frame in video.decode(video=0) if bytes(frame.planes[0])[0] > 128)
    with av.open(io.BytesIO(await bench.media(asset, "audio")), "r") as audio:
        loud = next(time for frame in audio.decode(audio=0) if (time := _loud_at(frame)) is not None)
    assert white == pytest.approx(1.0)
    assert loud == pytest.approx(1.0, abs=0.005)


def _loud_at(frame: av.AudioFrame) -> float | None:
    """Seconds of the first sample over a twentieth of full scale."""
    samples = array.array("f", bytes(frame.planes[0]))
    found = next((n for n, sample in enumerate(samples) if abs(sample) > 0.05), None)
    return None if found is None or frame.time is None else frame.time + found / frame.sample_rate
