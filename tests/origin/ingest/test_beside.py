"""A film gets its captions, those inside and those given beside, and a storyboard of its own pictures."""

import io
from pathlib import Path

import av
import pytest

from keys.problems import Problem
from origin.captions import Shelf, told
from origin.ingest.jobs import Jobs
from origin.ingest.storyboard import Layout, split
from origin.media.asset import Descriptor
from origin.media.captions import Cue, write_webvtt
from origin.media.captions_reading import MAX_BYTES
from origin.store.catalogue import Asset
from tests.origin.ingest.bench import AAC, X264, Bench, film, make_clip, tone

SRT = "1\n00:00:00,200 --> 00:00:01,000\nHello <i>there</i> {}\n"
GERMAN = b"1\n00:00:00,500 --> 00:00:01,500\n<script>x()</script>Guten Tag\n"


def clip(root: Path, name: str, codec: str) -> Path:
    """A film with two languages of captions inside."""
    texts = []
    for language in ("eng", "fra"):
        path = root / f"{language}.srt"
        path.write_text(SRT.format(language))
        texts += ["-i", str(path)]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:s", codec]
    said = ["-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=fra"]
    return make_clip(root / name, *film(), *tone(), *texts, *maps, *X264, *AAC, *said)


async def ingested(bench: Bench, path: Path, shelf: Shelf) -> tuple[Asset, Descriptor]:
    jobs = Jobs(
        catalogue=bench.catalogue,
        blobs=bench.blobs,
        keys=bench.keys,
        identity=bench.identity,
        settings=bench.settings,
        shelf=shelf,
    )
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(path))
        asset = await bench.ended("film")
    assert asset.state == "published", asset.error
    return asset, await bench.descriptor(asset)


async def plain(bench: Bench, asset: Asset, rendition: str, name: str) -> bytes:
    """An object as a viewer would get it who trusts nothing."""
    listed = await bench.listed(asset, rendition)
    return await bench.opened(asset, rendition, listed[name])


@pytest.mark.parametrize(
    ("name", "codec"),
    [("film.mp4", "mov_text"), ("film.mkv", "subrip"), ("film.mkv", "webvtt"), ("film.mkv", "ass")],
)
async def test_captions_inside_become_renditions(bench: Bench, name: str, codec: str) -> None:
    asset, descriptor = await ingested(bench, clip(bench.root, name, codec), Shelf(bench.root / "captions"))
    assert [(each.id, each.language, each.name) for each in descriptor.captions] == [
        ("captions", "en", "English"),
        ("captions-2", "fr", "Français"),
    ]
    for each, language in zip(descriptor.captions, ("eng", "fra"), strict=True):
        text = (await plain(bench, asset, each.id, "0.vtt")).decode()
        assert f"00:00:00.200 --> 00:00:01.000\nHello <i>there</i> {language}\n" in text
        assert len(text.encode()) == each.sizes[0]


async def test_captions_given_beside_come_first_and_are_cleaned(bench: Bench) -> None:
    shelf = Shelf(bench.root / "captions")
    assert shelf.put("film", told("de", default=True), GERMAN) == 1
    shelf.put("film", told("eng"), SRT.format("beside").encode())
    asset, descriptor = await ingested(bench, clip(bench.root, "film.mp4", "mov_text"), shelf)
    assert [each.language for each in descriptor.captions] == ["de", "en", "fr"]
    assert [each.default for each in descriptor.captions] == [True, False, False]
    whole = (await plain(bench, asset, "captions", "captions.vtt")).decode()
    assert "x()Guten Tag" in whole and "script" not in whole
    assert "beside" in (await plain(bench, asset, "captions-2", "captions.vtt")).decode()
    assert shelf.read("film") == []  # published: they are in the asset now


async def test_the_storyboard_shows_the_film(bench: Bench) -> None:
    """Each picture is of the moment it stands for: a film that is red, then blue."""
    inputs: list[str] = []
    for colour in ("red", "blue"):
        inputs += ["-f", "lavfi", "-i", f"color={colour}:s=320x180:r=25:d=8"]
    path = make_clip(bench.root / "two.mp4", *inputs, "-filter_complex", "[0][1]concat=n=2", *X264)
    asset, descriptor = await ingested(bench, path, Shelf(bench.root / "captions"))
    board = descriptor.storyboard
    assert board is not None and (board.width, board.height) == (160, 90)
    assert board.count == round(16 / board.interval_s)
    jpeg = await plain(bench, asset, "storyboard", "0.jpg")
    with av.open(io.BytesIO(jpeg), "r") as file:
        picture = next(file.decode(video=0)).reformat(format="rgb24")
    assert (picture.width, picture.height) == (800, 450)
    pixels, line = bytes(picture.planes[0]), picture.planes[0].line_size
    for number in range(board.count):
        y, x = number // 5 * 90 + 45, number % 5 * 160 + 80
        red, _, blue = pixels[y * line + 3 * x :][:3]
        assert (red > blue) == (number * board.interval_s < 8), (number, red, blue)


def test_a_long_film_has_its_pictures_further_apart() -> None:
    layout = Layout.of(426, 240, 4.0, 24 * 3600)
    assert layout.count <= 1500 and layout.interval_s % 4 == 0
    assert (Layout.of(136, 240, 4.0, 60).width, Layout.of(136, 240, 4.0, 60).height) == (90, 160)


def test_what_is_no_jpeg_is_no_sheet() -> None:
    jpeg = b"\xff\xd8\xff\xe0data\xff\xd9"
    assert split(jpeg + jpeg) == [jpeg, jpeg]
    assert split(jpeg + b"<svg>" + jpeg) == [jpeg]
    assert split(jpeg[:-1]) == []


@pytest.mark.parametrize("language", ["", "english", "../../etc", "e", "en-", "en/../x", "12"])
def test_a_language_that_is_none_is_refused(language: str) -> None:
    with pytest.raises(Problem):
        told(language)


def test_languages_are_told_by_their_shortest_tag() -> None:
    assert [told(text).language for text in ("eng", "pt_br", "zh-hant-tw")] == ["en", "pt-BR", "zh-Hant-TW"]


async def test_captions_that_would_fill_the_store_are_left_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(bench.root / "captions")
    shelf.put("film", told("de"), write_webvtt([Cue(0, 1000, "long " * 100)] * 3))
    shelf.put("film", told("it"), write_webvtt([Cue(0, 1000, "short")]))
    monkeypatch.setattr("origin.ingest.beside.MOST_BYTES", 1000)
    made = make_clip(bench.root / "film.mp4", *film(), *X264)
    _, descriptor = await ingested(bench, made, shelf)
    assert [each.language for each in descriptor.captions] == ["it"]


async def test_captions_that_cannot_be_read_any_more_fail_no_film(bench: Bench) -> None:
    shelf = Shelf(bench.root / "captions")
    shelf.put("film", told("de"), GERMAN)
    shelf.put("film", told("it"), GERMAN)
    (bench.root / "captions" / "film" / "de.vtt").write_bytes(b"nothing")
    made = make_clip(bench.root / "film.mp4", *film(), *X264)
    _, descriptor = await ingested(bench, made, shelf)
    assert [each.language for each in descriptor.captions] == ["it"]


def test_captions_that_grow_over_the_limit_are_refused_at_once(tmp_path: Path) -> None:
    """UTF-16 is shorter than UTF-8 for most of the world."""
    long = "\u5b57" * 1000
    cues = "".join(f"{n}\n00:00:01,000 --> 00:00:02,000\n{long}\n\n" for n in range(1, 1500))
    data = cues.encode("utf-16")
    assert len(data) < MAX_BYTES < len(cues.encode())
    with pytest.raises(Problem, match="MiB"):
        Shelf(tmp_path).put("film", told("ja"), data)
    assert Shelf(tmp_path).read("film") == []


async def test_a_store_that_fails_while_pictures_are_made_fails_no_film(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr("origin.ingest.storyboard.feed", broken)
    made = make_clip(bench.root / "film.mp4", *film(), *X264)
    _, descriptor = await ingested(bench, made, Shelf(bench.root / "captions"))
    assert descriptor.storyboard is None
