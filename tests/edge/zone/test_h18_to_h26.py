"""Caching as SECURITY H18 to H26 ask for it, of a zone over real sockets."""

import asyncio
from email.utils import formatdate

import pytest

from edge.http.entry import GUARDED, Rules
from edge.zone.app import ZoneApp
from edge.zone.store import VARIANTS
from edge.zone.zone import Zone
from tests.edge.zone.raw import raw
from tests.edge.zone.test_serving import Clock, Edge, Fields, Origin, Seen, answer, edge, in_front_of
from tests.support.serving import served

__all__ = ["edge"]  # the fixture

CACHE = "cache-control"


def _says(*lines: tuple[str, str]) -> Fields:
    return [(name.encode(), value.encode()) for name, value in lines]


async def _asks(edge: Edge, *requests: dict[str, str], path: str = "/x") -> int:
    """How many of these requests for one URI reach the origin."""
    before = len(edge.origin.seen)
    for headers in requests:
        await edge.client.get(path, headers=headers)
    return len(edge.origin.seen) - before


async def test_h18_what_an_origin_says_of_caching_is_passed_on_and_errors_of_ours_are_never_stored(
    edge: Edge,
) -> None:
    said = "public, max-age=60, immutable, no-transform"
    edge.origin.fields = _says((CACHE, said), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"))
    for _ in range(2):
        got = await edge.client.get("/film")
        assert (got.headers[CACHE], got.headers["expires"]) == (said, "Thu, 01 Jan 2099 00:00:00 GMT")
    refused = await edge.client.get("/none", headers={CACHE: "only-if-cached"})
    looped = await edge.client.get("/none", headers={"cdn-loop": "edge-a"})
    async with raw(lambda *_: None) as (client, _):
        lost = await client.get("/")
    assert [each.status_code for each in (refused, looped, lost)] == [504, 508, 502]
    assert all(each.headers[CACHE] == "no-store" for each in (refused, looped, lost))


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        ([("cdn-cache-control", "max-age=60"), (CACHE, "no-store")], 1),
        ([("cdn-cache-control", "no-store"), (CACHE, "max-age=60")], 2),
        ([("cdn-cache-control", "private"), (CACHE, "public, max-age=60")], 2),
        ([("cdn-cache-control", "max-age=0"), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT")], 2),
        ([("cdn-cache-control", 'max-age="60"'), (CACHE, "max-age=60")], 1),  # no dictionary of ours
        ([("cdn-cache-control", "max-age=60, &&"), (CACHE, "no-store")], 2),
        ([("surrogate-control", "no-store"), (CACHE, "max-age=60")], 1),  # not a target of this cache
    ],
)
async def test_h19_cdn_cache_control_is_obeyed_and_passed_on(
    edge: Edge, lines: list[tuple[str, str]], asked: int
) -> None:
    edge.origin.fields = _says(*lines)
    assert await _asks(edge, {}, {}) == asked
    assert (await edge.client.get("/x")).headers.get("cdn-cache-control") == dict(lines).get(
        "cdn-cache-control"
    )


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("max-age=60", 2),
        ("max-age=60, public", 1),
        ("max-age=60, must-revalidate", 1),
        ("s-maxage=60", 1),
        ("private, max-age=60", 2),
    ],
)
async def test_h20_what_was_asked_with_authorization_is_stored_only_where_that_is_allowed(
    edge: Edge, said: str, asked: int
) -> None:
    edge.origin.fields = _says((CACHE, said))
    assert await _asks(edge, {"authorization": "Basic YTpi"}, {}) == asked


@pytest.mark.parametrize(("rules", "asked"), [(GUARDED, 2), (Rules(), 1)])
async def test_h20_answers_with_cookies_are_stored_only_by_a_zone_that_is_told_to(
    rules: Rules, asked: int
) -> None:
    origin = Origin(fields=_says((CACHE, "max-age=60"), ("set-cookie", "a=b")))
    async with served(origin) as url:
        parsed = Zone.parse(f"/={url}")
        zone = Zone(parsed.prefix, parsed.origins, rules)
        app = ZoneApp([zone], name="edge-a", memory_bytes=1 << 20, now=Clock())
        async with in_front_of(url, Clock(), app=app) as client:
            for _ in range(2):
                assert (await client.get("/")).headers["set-cookie"] == "a=b"
    assert len(origin.seen) == asked


async def test_h21_age_date_via_and_cache_status_are_right_through_two_caches() -> None:
    shield_clock, clock = Clock(), Clock()
    date = formatdate(clock() - 100, usegmt=True)
    said = f"HTTP/1.1 200 OK\r\n{CACHE}: max-age=500\r\ndate: {date}\r\nage: 30\r\ncontent-length: 0\r\n\r\n"
    async with (
        raw(lambda *_: said.encode(), shield_clock, name="shield") as (shield, origin),
        in_front_of(str(shield.base_url), clock) as client,
    ):
        first = await client.get("/")
        shield_clock.ahead = clock.ahead = 200
        second = await client.get("/")
    assert first.headers["age"] == "30"  # passed on as it came
    assert 300 <= int(second.headers["age"]) < 330  # by its Date, which makes it older than its Age
    assert first.headers["date"] == second.headers["date"] == date
    assert second.headers["via"] == "1.1 shield, 1.1 edge-a"
    first_status, second_status = first.headers["cache-status"], second.headers["cache-status"]
    assert first_status == "shield; fwd=uri-miss; stored, edge-a; fwd=uri-miss; stored"
    assert second_status.startswith("shield; fwd=uri-miss; stored, edge-a; hit; ttl=")
    assert len(origin.heads) == 1
    told = origin.heads[0][1].lower()
    assert b"\r\nvia: 1.1 edge-a, 1.1 shield\r\n" in told and b"\r\ncdn-loop: edge-a, shield\r\n" in told


LONG_AGO = "Thu, 01 Jan 1998 00:00:00 GMT"
FAR = "Thu, 01 Jan 2099 00:00:00 GMT"


@pytest.mark.parametrize(
    ("lines", "fresh"),
    [
        ([(CACHE, "s-maxage=60, max-age=0")], True),
        ([(CACHE, "s-maxage=0, max-age=60")], False),
        ([(CACHE, "max-age=60"), ("expires", LONG_AGO)], True),
        ([(CACHE, "max-age=0"), ("expires", FAR)], False),
        ([("expires", FAR)], True),
        ([("expires", "0")], False),
        ([("expires", "tomorrow")], False),
        ([("expires", "Thu, 01 Jan 2099 00:00:00 UTC")], False),
        ([(CACHE, "MaX-aGe=60")], True),
        ([(CACHE, 'max-age="60"')], True),
        ([(CACHE, "max-age=60"), (CACHE, "max-age=0")], True),  # the first of a directive counts
        ([(CACHE, "max-age=0, max-age=60")], False),
        ([(CACHE, "max-age=-60")], False),
        ([(CACHE, "max-age=60.5")], False),
        ([(CACHE, "max-age=6e1")], False),
        ([(CACHE, "max-age=99999999999999999999")], True),
        ([(CACHE, "max-age=60"), ("age", "61")], False),
        ([(CACHE, "max-age=60"), ("age", "nonsense")], True),
        ([(CACHE, "max-age=60"), ("age", "99999999999999999999")], False),
        ([(CACHE, "x=\"max-age=60\"")], False),
    ],
)  # fmt: skip
async def test_h22_for_how_long_an_answer_is_fresh(
    edge: Edge, lines: list[tuple[str, str]], fresh: bool
) -> None:
    edge.origin.fields = _says(*lines)
    assert await _asks(edge, {}, {}) == (1 if fresh else 2)


@pytest.mark.parametrize("vary", ["*", "*, foo", "foo, *", "foo ,*,", ", *"])
async def test_h23_vary_with_a_star_anywhere_never_matches(edge: Edge, vary: str) -> None:
    edge.origin.fields = _says((CACHE, "max-age=60"), ("vary", vary))
    assert await _asks(edge, {"foo": "1"}, {"foo": "1"}) == 2


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("accept-language", "de, en;q=0.5", "de,en; q=0.500", True),
        ("accept-language", "de", "en", False),
        ("accept-language", "de", "de-CH", False),
        ("accept-encoding", "gzip, br", "br,gzip", True),
        ("accept-encoding", "gzip", "br", False),
        ("accept-encoding", "gzip", "gzip;q=0", False),
        ("accept-encoding", "gzip", "identity", False),
        ("x-plain", "a,b", "a, b", True),
        ("x-plain", "a", "A", False),
    ],
)
async def test_h23_no_two_languages_or_codings_are_one(
    edge: Edge, name: str, one: str, other: str, same: bool
) -> None:
    edge.origin.fields = _says((CACHE, "max-age=60"), ("vary", name.upper()))
    assert await _asks(edge, {name: one}, {name: other}) == (1 if same else 2)
    assert await _asks(edge, {}) == 1  # absent is not any value


async def test_h23_a_uri_has_so_many_variants_and_no_more(edge: Edge) -> None:
    assert VARIANTS <= 32
    edge.origin.fields = _says((CACHE, "max-age=60"), ("vary", "foo"))
    everybody = [{"foo": str(number)} for number in range(VARIANTS + 1)]
    assert await _asks(edge, *everybody) == VARIANTS + 1
    assert await _asks(edge, *everybody[1:]) == 0
    assert await _asks(edge, everybody[0]) == 1


async def _given_after(edge: Edge, said: str, seconds: float) -> int:
    """The status when the origin only fails, so long after it gave this."""
    edge.origin.status, edge.clock.ahead = 200, 0
    edge.origin.fields = _says((CACHE, said))
    path = f"/{said}/{seconds}"
    await edge.client.get(path)
    edge.origin.status, edge.clock.ahead = 503, seconds
    edge.origin.fields = []
    return (await edge.client.get(path)).status_code


@pytest.mark.parametrize(
    ("said", "after", "status"),
    [
        ("max-age=10, stale-if-error=100", 90, 200),
        ("max-age=10, stale-if-error=100", 111, 503),
        ("max-age=10, stale-while-revalidate=100", 90, 200),
        ("max-age=10, stale-while-revalidate=100", 111, 503),
        ("max-age=10, stale-if-error=100, must-revalidate", 20, 503),
        ("max-age=10, stale-if-error=100, proxy-revalidate", 20, 503),
        ("s-maxage=10, stale-if-error=100", 20, 503),
        ("max-age=10, stale-if-error=100, no-cache", 20, 503),
        ("max-age=10", 20, 503),
    ],
)
async def test_h24_the_windows_for_what_is_stale_end_and_may_be_forbidden(
    edge: Edge, said: str, after: float, status: int
) -> None:
    assert await _given_after(edge, said, after) == status


@pytest.mark.parametrize("said", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"])
async def test_h24_what_may_not_be_stale_is_not_even_when_the_origin_hangs_up(said: str) -> None:
    fresh = b"HTTP/1.1 200 OK\r\ncache-control: max-age=2, %s\r\ncontent-length: 5\r\n\r\nstale"
    clock = Clock()
    async with raw(lambda _, n, __: fresh % said.encode() if n == 0 else None, clock) as (client, origin):
        await client.get("/a")
        for writer in origin.writers:
            writer.close()
        origin.say = lambda *_: None
        clock.ahead = 60
        got = await client.get("/a")
    assert (got.status_code, got.json()["code"]) == (502, "bad_upstream") and "age" not in got.headers


async def test_h24_no_cache_is_validated_each_time_and_not_fetched_anew(edge: Edge) -> None:
    async def give(origin: Origin, seen: Seen, send: object) -> None:
        status = 304 if "if-none-match" in seen.fields else 200
        await answer(send, status, origin.fields, b"hello")  # type: ignore[arg-type]

    edge.origin.fields = _says((CACHE, "no-cache, max-age=60"), ("etag", '"1"'))
    edge.origin.give = give
    assert {(await edge.client.get("/x")).text for _ in range(3)} == {"hello"}
    assert [seen.fields.get("if-none-match") for seen in edge.origin.seen] == [None, '"1"', '"1"']


async def test_h25_what_belongs_to_one_hop_stays_on_it() -> None:
    hop = [
        b"connection: x-hop, close",
        b"x-hop: 1",
        b"keep-alive: timeout=5",
        b"proxy-authenticate: Basic",
        b"proxy-authentication-info: a=b",
        b"upgrade: h2c",
        b"te: trailers",
    ]
    said = b"\r\n".join(
        [
            b"HTTP/1.1 200 OK",
            b"cache-control: max-age=60",
            b"x-end: 2",
            *hop,
            b"content-length: 5",
            b"",
            b"hello",
        ]
    )
    sent = {
        "connection": "x-hop",
        "x-hop": "1",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic YTpi",
        "te": "trailers",
    }
    async with raw(lambda *_: said) as (client, origin):
        for got in [await client.get("/", headers=sent), await client.get("/")]:
            names = {line.split(b":")[0].decode() for line in hop}
            assert got.headers["x-end"] == "2" and not names & set(got.headers)
        told = origin.heads[0][1].lower()
    assert len(origin.heads) == 1
    for name in (b"x-hop", b"keep-alive", b"proxy-authorization", b"\r\nte:", b"connection"):
        assert name not in told


async def test_h26_what_a_request_asks_of_caches_is_done(edge: Edge) -> None:
    asked = await edge.client.get("/x", headers={CACHE: "only-if-cached"})
    assert asked.status_code == 504 and edge.origin.seen == []
    assert await _asks(edge, {CACHE: "no-store"}, {CACHE: "no-store"}) == 2
    assert await _asks(edge, {}, {}, {CACHE: "only-if-cached"}) == 1
    assert await _asks(edge, {CACHE: "no-cache"}, {CACHE: "max-age=0, no-cache"}) == 2
    edge.clock.ahead = 30
    assert await _asks(edge, {CACHE: "max-age=40"}, {CACHE: "min-fresh=20"}) == 0
    assert await _asks(edge, {CACHE: "max-age=20"}) == 1
    edge.clock.ahead = 100
    assert await _asks(edge, {CACHE: "max-stale=60"}) == 0
    assert await _asks(edge, {CACHE: "max-stale=5"}) == 1


async def test_h26_many_that_ask_for_nobody_to_be_asked_are_refused_at_once(edge: Edge) -> None:
    got = await asyncio.gather(*(edge.client.get("/y", headers={CACHE: "only-if-cached"}) for _ in range(20)))
    assert {each.status_code for each in got} == {504} and edge.origin.seen == []
