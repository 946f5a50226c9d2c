"""Names from strangers become one harmless line, and an asset ID."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.names import asset_id
from origin.filenames import MAX_NAME, display_name, id_of, title_of


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("film.mp4", "film.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Films\\a b.mov", "a b.mov"),
        ("a\r\nSet-Cookie: x=1.mp4", "a Set-Cookie: x=1.mp4"),
        ("gpj.\u202e4pm.mp4", "gpj.4pm.mp4"),
        ("a\x00b\u200b.mp4", "ab.mp4"),
        ("..", "Untitled"),
        ("", "Untitled"),
        ("x" * 500, "x" * MAX_NAME),
    ],
)
def test_t14_a_file_name_is_shown_without_paths_and_hidden_characters(sent: str, shown: str) -> None:
    assert display_name(sent) == shown


@given(st.text(max_size=300))
def test_t14_any_name_is_one_visible_line_and_gives_an_asset_id(sent: str) -> None:
    shown = display_name(sent)
    assert 1 <= len(shown) <= MAX_NAME
    assert "/" not in shown and "\\" not in shown
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert asset_id(id_of(sent)) == id_of(sent)


def test_title_and_id_read_like_the_name() -> None:
    assert title_of("my_holiday-2024.mp4") == "my holiday-2024"
    assert id_of("Été à Nice.mp4") == "ete-a-nice"
    assert id_of("東京.mp4") == "film"
