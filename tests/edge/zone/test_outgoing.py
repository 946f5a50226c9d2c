"""The fields of a zone's answer: redirects that lead back, and how long a client of a signed one keeps it."""

import pytest

from edge.http.fields import get
from edge.zone.keying import Target
from edge.zone.outgoing import outgoing, private
from edge.zone.zone import Origin, Zone

ORIGINS = (Origin("https", "a.example", 443), Origin("http", "b.example", 8080))
ZONE = Zone("/z/press/", ORIGINS, name="press")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"/b?x=1", b"/z/press/b?x=1"),
        (b"https://a.example/b", b"/z/press/b"),
        (b"https://a.example", b"/z/press/"),
        (b"http://b.example:8080/b", b"/z/press/b"),
        (b"https://a.example.evil.example/b", b"https://a.example.evil.example/b"),
        (b"https://a.example:444/b", b"https://a.example:444/b"),
        (b"https://a.example@evil.example/b", b"https://a.example@evil.example/b"),
        (b"//evil.example/b", b"//evil.example/b"),
        (b"b", b"b"),
        (b"", b""),
    ],
)
def test_a_redirect_of_an_origin_to_itself_leads_back_to_the_zone(said: bytes, told: bytes) -> None:
    target = Target(ZONE, "/a", "", "https://edge.example/z/press")
    assert get(outgoing([(b"location", said)], [], target), b"location") == told


def test_a_redirect_takes_the_token_along_where_it_stood_in_the_path() -> None:
    for at, told in (
        ("https://edge.example/z/press", b"/z;token=a.b.c/press/b/?x=1"),
        ("https://press.example", b"/b;token=a.b.c/?x=1"),
    ):
        target = Target(ZONE, "/a", "", at, "a.b.c", ";token=a.b.c")
        assert get(outgoing([(b"location", b"/b/?x=1")], [], target), b"location") == told


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (200, [(b"cache-control", b"public, max-age=60")], b"private, max-age=60"),
        (200, [(b"cache-control", b"public, max-age=9000")], b"private, max-age=300"),
        (200, [(b"cache-control", b"no-store")], b"no-store"),
        (200, [(b"cache-control", b"no-cache")], b"private, no-cache"),
        (200, [(b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT")], b"private, max-age=0"),
        (200, [], b"private, max-age=30"),
        (404, [(b"cache-control", b"public, max-age=60")], b"no-store"),
    ],
)
def test_h18_an_answer_of_a_signed_zone_is_one_clients_while_its_link_lasts(
    status: int, said: list[tuple[bytes, bytes]], told: bytes
) -> None:
    found = private(status, [*said, (b"pragma", b"x"), (b"cdn-cache-control", b"max-age=9")], 1000, 1300, 30)
    assert get(found, b"cache-control") == told
    assert [value for name, value in found if name == b"cdn-cache-control"] == [b"no-store"]
    assert get(found, b"expires") is None and get(found, b"pragma") is None
