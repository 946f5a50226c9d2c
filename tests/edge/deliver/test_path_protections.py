"""Which protection a target asks for: in a session's path always, on a link by a parameter, or not at all."""

import pytest

from edge.deliver.path import COMMON, STREAM_PROTECTIONS, Kind, parse
from keys.problems import Problem

T = "aGVhZA.Ym9keQ.c2ln"
V = f"/v;URISigningPackage={T}"
LINK = f"{V}/film/main.m3u8".encode()


@pytest.mark.parametrize("name", STREAM_PROTECTIONS)
def test_a_link_may_name_a_protection_among_other_parameters(name: str) -> None:
    wanted = f"protection={name}".encode()
    for query in (wanted, b"CMCD=x&" + wanted, wanted + b"&xprotection=none", b"a=1;" + wanted):
        route = parse(LINK, query)
        assert (route.kind, route.protection, route.path) == (Kind.LINK, name, "/v/film/main.m3u8")
    in_query = parse(b"/v/film/main.m3u8", wanted + f"&URISigningPackage={T}".encode())
    assert (in_query.protection, in_query.token) == (name, T)
    assert parse(LINK).protection == parse(LINK, b"protections=cenc").protection == ""


@pytest.mark.parametrize(
    "query",
    [
        *(b"protection=", b"protection=clear", b"protection=ece", b"protection=CENC", b"protection=cenc%20"),
        *(b"protection=%63enc", b"protection=cenc/..", b"protection=cenc&protection=cenc"),
        *(b"protection=cenc;protection=aes", b"protection=\xff"),
    ],
)
def test_t5_another_or_two_are_refused(query: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse(LINK, query)
    assert caught.value.code == "forbidden"


def test_a_sessions_protection_is_its_paths_whatever_a_query_says() -> None:
    for name in STREAM_PROTECTIONS:
        route = parse(f"{V}/film/{name}/720p/7.m4s".encode(), b"protection=clear&protection=aes")
        assert (route.kind, route.protection, route.number) == (Kind.SEGMENT, name, 7)


def test_a_license_is_of_common_encryption_alone() -> None:
    for name in COMMON:
        assert parse(f"{V}/film/{name}/license".encode()).kind is Kind.LICENSE
    for path in (
        "aes/license",
        "license",
        "cenc/720p/license",
        "cenc/license/0",
        "cenc/License",
        "ece/license",
    ):
        with pytest.raises(Problem):
            parse(f"{V}/film/{path}".encode())
