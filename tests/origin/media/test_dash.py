"""Manifests: what ISO/IEC 23009-1 demands of them, and whose keys they name.

That ffmpeg and browsers play by them is shown with real films (test_common_encryption, test_dash_players).
"""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keys.derive import key_id
from origin.media import dash
from origin.media.asset import Descriptor, Rendition
from origin.media.protection import SCHEMES
from tests.support.manifests import read

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
SMALL = replace(VIDEO, id="360p", index=2, width=640, height=360, bandwidth=800_000)
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
GERMAN = replace(AUDIO, id="audio-2", index=3, language="de", name="Deutsch")


def asset(*renditions: Rendition, title: str = "Film") -> Descriptor:
    return Descriptor("default", "film", 1, title, 13.5, 3, renditions, ("aes", *SCHEMES))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_manifest_lists_every_track_with_its_renditions_segments_and_key(scheme: str) -> None:
    found = read(dash.manifest(asset(VIDEO, AUDIO, SMALL, GERMAN), scheme))
    assert (found.title, found.protections) == ("Film", ["aes", *SCHEMES])
    assert [(t.attributes["contentType"], t.label, t.role) for t in found.tracks] == [
        ("video", "", "main"),
        ("audio", "English", "main"),
        ("audio", "Deutsch", "alternate"),
    ]
    assert [t.attributes.get("lang") for t in found.tracks] == [None, "en", "de"]
    picture, sound, _ = found.tracks
    assert picture.representations == [
        {
            "id": "720p",
            "codecs": "avc1.64001f",
            "bandwidth": "2000000",
            "width": "1280",
            "height": "720",
            "frameRate": "30000/1001",
        },
        {
            "id": "360p",
            "codecs": "avc1.64001f",
            "bandwidth": "800000",
            "width": "640",
            "height": "360",
            "frameRate": "30000/1001",
        },
    ]
    assert picture.attributes["segmentAlignment"] == "true"
    assert picture.addresses["360p"] == ["360p/init.mp4", *(f"360p/{n}.m4s" for n in range(4))]
    assert sound.durations["audio"] == list(AUDIO.durations)
    assert sound.timescales["audio"] == 48000
    for track in found.tracks:
        kind = track.attributes["contentType"]
        assert track.attributes["mimeType"] == f"{kind}/mp4"
        assert track.scheme == scheme
        assert bytes.fromhex(track.kid) == key_id("default", "film", 1, scheme, kind, "-", 0)
        assert track.systems == ["urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"]


@pytest.mark.parametrize("protection", ["clear", "aes", "ece", ""])
def test_a_protection_dash_does_not_carry_is_refused(protection: str) -> None:
    with pytest.raises(ValueError, match="DASH carries"):
        dash.manifest(asset(VIDEO), protection)


DURATIONS = st.lists(st.integers(1, 40_000) | st.just(4000), min_size=1, max_size=60)


@given(DURATIONS, DURATIONS, st.integers(1, 1 << 20))
def test_durations_are_exact_and_add_up_to_the_film(
    first: list[int], second: list[int], timescale: int
) -> None:
    a = replace(VIDEO, timescale=timescale, durations=tuple(first), sizes=(1,) * len(first))
    b = replace(AUDIO, durations=tuple(second), sizes=(1,) * len(second))
    found = read(dash.manifest(asset(a, b), "cenc"))
    assert [t.durations for t in found.tracks] == [{"720p": first}, {"audio": second}]
    lasts = max(sum(first) / timescale, sum(second) / 48000)
    assert lasts - 1e-9 <= found.seconds <= lasts + 2e-6


def test_renditions_that_do_not_line_up_have_their_own_segments() -> None:
    odd = replace(SMALL, durations=(2000,) * 6 + (1500,), sizes=(1,) * 7)
    (track,) = read(dash.manifest(asset(VIDEO, odd), "cbcs")).tracks
    assert "segmentAlignment" not in track.attributes
    assert track.durations == {"720p": list(VIDEO.durations), "360p": list(odd.durations)}


def test_pictures_of_two_codecs_are_two_choices_under_one_key() -> None:
    av1 = replace(VIDEO, id="720p-av1", index=4, codecs="av01.0.05M.08")
    found = read(dash.manifest(asset(VIDEO, av1, SMALL), "cenc"))
    ids = [[row["id"] for row in track.representations] for track in found.tracks]
    assert ids == [["720p", "360p"], ["720p-av1"]], "in the order the packager has them"
    assert len({track.kid for track in found.tracks}) == 1


def test_sound_alone_is_a_manifest_too() -> None:
    found = read(dash.manifest(asset(AUDIO), "cenc"))
    assert [track.attributes["contentType"] for track in found.tracks] == ["audio"]


def test_tracks_schemes_and_generations_have_different_keys() -> None:
    kids = [
        track.kid
        for number in (1, 2)
        for scheme in SCHEMES
        for track in read(dash.manifest(replace(asset(VIDEO, AUDIO), generation=number), scheme)).tracks
    ]
    assert len(set(kids)) == 8


HOSTILE = "</Title></ProgramInformation><BaseURL>https://elsewhere.example/</BaseURL>"


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=12))
@example(HOSTILE, '"><Label y="', 'en" x="')
@example("]]>&amp;\0\ud800\ufffe", "\u202e\x0b", "de-")
def test_no_title_name_or_language_breaks_out_of_its_place(title: str, name: str, language: str) -> None:
    named = replace(AUDIO, name=name, language=language)
    found = read(dash.manifest(asset(VIDEO, named, title=title), "cenc"))
    assert [list(track.addresses) for track in found.tracks] == [["720p"], ["audio"]]
    for said, wanted in ((found.title, title), (found.tracks[1].label, name)):
        assert said == "".join(c for c in " ".join(wanted.split()) if c.isprintable())
    assert found.tracks[1].attributes.get("lang", "") in ("", language)
