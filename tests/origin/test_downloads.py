"""What may be taken away, and what it is called: by what is in a file, not by its name."""

import pytest

from keys.names import file_name, rendition_id
from keys.problems import Problem
from origin.downloads import FILES, choice, offered, original, rendition, split_choice

MP4, QT = b"\0\0\0\x20ftypisom", b"\0\0\0\x14ftypqt  "
MATROSKA, WEBM = b"\x1aE\xdf\xa3....matroska", b"\x1aE\xdf\xa3....webm"


@pytest.mark.parametrize(
    ("demuxer", "head", "picture", "name", "kind"),
    [
        ("mov", MP4, True, "film.mp4", "video/mp4"),
        ("mov", MP4, False, "film.m4a", "audio/mp4"),
        ("mov", QT, True, "film.mov", "video/quicktime"),
        ("matroska", MATROSKA, True, "film.mkv", "video/matroska"),
        ("matroska", WEBM, True, "film.webm", "video/webm"),
        ("matroska", WEBM, False, "film.webm", "audio/webm"),
        ("mp3", b"ID3", False, "film.mp3", "audio/mpeg"),
        ("mpegts", b"G", True, "film.ts", "video/mp2t"),
        ("something", b"", True, "film.bin", "application/octet-stream"),
    ],
)
def test_h30_the_type_is_what_was_found_in_the_file(
    demuxer: str, head: bytes, picture: bool, name: str, kind: str
) -> None:
    found = original("film", "My holiday.exe", demuxer, head, picture=picture)
    assert (found.name, found.media_type) == (name, kind)
    assert found.shown == f"My holiday.exe.{name.split('.')[1]}"  # a title is no suffix
    assert file_name(found.name) and rendition_id(found.rendition)


def test_each_rendition_has_a_name_of_its_own() -> None:
    video, sound = (
        rendition("film", "A film", "720p", picture=True),
        rendition("a", "A", "audio-2", picture=False),
    )
    assert (video.name, video.shown, video.rendition) == ("film-720p.mp4", "A film 720p.mp4", "file-720p")
    assert (sound.name, sound.media_type, sound.rendition) == ("a-audio-2.m4a", "audio/mp4", "file-audio-2")


def test_a_choice_is_one_of_three_words_encrypted_or_not_or_nothing() -> None:
    words = ("original", "renditions", "both", "original-ece", "renditions-ece", "both-ece")
    assert [choice(text) for text in ("", "none", *words)] == ["", "", *words]
    for text in ("all", "Original", "original ", "-ece", "original-ece-ece", "original-aes"):
        with pytest.raises(Problem, match="one of original, renditions, both"):
            choice(text)


def test_what_is_offered_protected_never_becomes_plain() -> None:
    """One word holds files and protection; who does not know all of it offers nothing."""
    for files in FILES:
        assert split_choice(offered(files, protect=True)) == (files, "ece")
        assert split_choice(offered(files, protect=False)) == (files, "clear")
        assert offered(files, protect=True) not in FILES
        assert len(offered(files, protect=True)) <= 16  # characters of its column
    assert split_choice(offered("", protect=True)) == ("", "clear")
