"""Names of downloads on a viewer's disk: every hostile one comes out harmless (SECURITY H30, T14)."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.disposition import MAX_BYTES, attachment, safe_name

HOSTILE = [
    "../../etc/passwd", "..\\..\\windows\\system32.dll", "/etc/passwd", "a/b/c.mp4", "C:\\film.mp4",
    "con.mp4", "NUL", "film\r\nset-cookie: a=b.mp4", "film\0.mp4", 'film".mp4', "film';.mp4",
    "film`id`.mp4", "film|x.mp4", "film?.mp4", "film*.mp4", "<script>.mp4", "film%0d%0a.mp4",
    "film\u202e4pm.exe", "\u200ffilm.mp4", "fi\u200blm.mp4", "film\ufeff.mp4", "\x1b[31mfilm.mp4",
    ".", "..", "...", "", "   ", ".htaccess", "film.mp4. .", "film\t\n.mp4", "x" * 500 + ".mp4",
    "\u00e9" * 300 + ".mp4", "\U0001d54f" * 90, "film\x7f.mp4", "film\x85.mp4", "a:b.mp4",
    "film.mp4\u2028.exe", "\ud800.mp4",
]  # fmt: skip


def check(value: bytes) -> str:
    """The name a browser would write, from a header that has one reading only."""
    text = value.decode("ascii")
    assert re.fullmatch(
        r"attachment; filename=\"[ !#-\[\]-~]+\"(; filename\*=UTF-8''[A-Za-z0-9._~%-]+)?", text
    )
    extended = re.search(r"filename\*=UTF-8''(.*)$", text)
    plain = re.search(r'filename="([^"]*)"', text)
    assert plain is not None
    for name in (plain[1], unquote(extended[1], errors="strict") if extended else plain[1]):
        assert 0 < len(name.encode()) <= MAX_BYTES
        assert not set(name) & set("/\\\"'`<>:|?*%;")
        assert name.isprintable()
        assert not name.startswith(".") and name == name.strip(" .")
        assert name.split(".")[0].lower() not in ("con", "prn", "aux", "nul")
    return unquote(extended[1]) if extended else plain[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_h30_no_name_does_harm(name: str) -> None:
    check(attachment(name, "film.mp4"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A film.mp4", "A film.mp4"),
        ("Été à Nice.mp4", "Été à Nice.mp4"),
        ("映画 720p.mp4", "映画 720p.mp4"),
        ("../secret/film.mp4", "film.mp4"),
        ("film.tar.gz", "film.tar.gz"),
        ("x" * 300 + ".mp4", "x" * (MAX_BYTES - 4) + ".mp4"),
        ("", "fallback.mp4"),
    ],
)
def test_h30_an_honest_name_stays_what_it_is(name: str, shown: str) -> None:
    assert check(attachment(name, "fallback.mp4")) == shown


def test_h30_old_clients_get_a_name_in_ascii() -> None:
    header = attachment("\u00c9t\u00e9 \u00e0 Nice.mp4", "film.mp4")
    assert header.startswith(b'attachment; filename="Ete a Nice.mp4"; filename*=UTF-8')


@given(st.text(max_size=300))
def test_h30_any_text_is_a_harmless_name(name: str) -> None:
    check(attachment(name, "film.mp4"))
    assert safe_name(safe_name(name)) == safe_name(name)
