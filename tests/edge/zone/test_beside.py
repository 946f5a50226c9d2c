"""Zones beside media in one edge, over real sockets: what reaches the origin, what is kept, who gets it."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Send

from edge.http.entry import GUARDED
from edge.zone.health import LIMIT
from edge.zone.zone import Origin as ZoneOrigin
from edge.zone.zone import Zone
from tests.edge.parts import World, world
from tests.edge.zone.test_serving import Clock, Origin, Seen, answer
from tests.support.serving import served
from tests.support.zone_origins import refusing

FRESH = [(b"cache-control", b"max-age=60"), (b"etag", b'"1"')]
HEADERS = {
    "host": "evil.example",
    "x-forwarded-host": "evil.example",
    "x-forwarded-for": "192.0.2.9",
    "x-forwarded-proto": "gopher",
    "x-forwarded-port": "1",
    "x-forwarded-scheme": "nothttps",
    "x-forwarded-prefix": "/evil",
    "x-forwarded-server": "evil.example",
    "x-host": "evil.example",
    "x-http-host-override": "evil.example",
    "forwarded": "for=192.0.2.9;host=evil.example;proto=gopher",
    "x-original-url": "/evil",
    "x-rewrite-url": "/evil",
    "x-original-host": "evil.example",
    "x-http-method-override": "DELETE",
    "x-http-method": "POST",
    "x-method-override": "PUT",
    "x-real-ip": "192.0.2.9",
    "x-client-ip": "192.0.2.9",
    "true-client-ip": "192.0.2.9",
    "cf-connecting-ip": "192.0.2.9",
    "x-cluster-client-ip": "192.0.2.9",
    "x-wap-profile": "http://evil.example/x",
    "x-arbitrary": "<script>",
    "x-amz-server-side-encryption": "x",
    "x-amz-website-redirect-location": "https://evil.example",
    "x-oss-website": "x",
    "x-api-version": "0",
    "x-timer": "evil",
    "x-backend": "evil",
    "accept": "application/evil",
    "accept-language": "xx",
    "accept-encoding": "evil",
    "accept-charset": "evil",
    "user-agent": "<script>alert(1)</script>",
    "referer": "https://evil.example/",
    "origin": "https://evil.example",
    "cookie": "session=evil; lang=xx",
    "authorization": "Basic ZXZpbA==",
    "max-forwards": "0",
    "transfer-encoding-x": "chunked",
    "via": "1.1 evil",
    "cache-control": "no-store",
    "pragma": "no-cache",
    "content-type": "evil/x",
    "upgrade": "evil",
    "te": "trailers",
}


@dataclass
class Setup:
    """An edge with zones, and their origin."""

    edge: World
    client: httpx.AsyncClient
    origin: Origin
    clock: Clock
    url: str  # of the origin


def zone(url: str, name: str = "press", **how: Any) -> Zone:
    return Zone(f"/z/{name}/", (ZoneOrigin.parse(url),), how.pop("rules", GUARDED), name=name, **how)


@contextlib.asynccontextmanager
async def setup(web: Path, **how: Any) -> AsyncIterator[Setup]:
    origin, clock = Origin(fields=list(FRESH)), Clock()
    async with served(origin) as url:
        zones = [zone(url, **{"hosts": ("press.example",), **how}), zone(url, "closed", signed=True)]
        async with (
            world(web, now=clock, zones=zones) as edge,
            httpx.AsyncClient(base_url=edge.url, timeout=20) as client,
        ):
            yield Setup(edge, client, origin, clock, url)


@pytest.fixture
async def beside(web: Path) -> AsyncIterator[Setup]:
    async with setup(web) as found:
        yield found


@pytest.fixture
def web(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html><title>player</title>")
    return tmp_path


async def echo(origin: Origin, seen: Seen, send: Send) -> None:
    """Answers with all it was told, as an origin that trusts every field would."""
    told = sorted((name, value) for name, value in seen.fields.items() if name != "cdn-loop")
    await answer(send, 200, FRESH, f"{seen.method} {told} {len(seen.body)}".encode())


async def test_a_zone_is_served_by_its_prefix_and_its_host_from_one_copy(beside: Setup) -> None:
    first = await beside.client.get("/z/press/a/b?x=1")
    assert (first.status_code, first.text) == (200, "hello")
    assert first.headers["cache-status"] == "sluice-edge-1; fwd=uri-miss; stored"
    second = await beside.client.get("/a/b?x=1", headers={"host": "press.example"})
    assert "hit" in second.headers["cache-status"]
    assert [seen.target for seen in beside.origin.seen] == ["/a/b?x=1"]
    told = beside.origin.seen[0].fields
    assert told["host"] == beside.url.removeprefix("http://")


async def test_media_and_the_rest_of_the_edge_are_what_they_were(beside: Setup) -> None:
    assert (await beside.client.get(beside.edge.session() + "720p/0.m4s")).status_code == 200
    assert (await beside.client.get("/healthz")).status_code == 200
    assert (await beside.client.get("/z/other/a")).status_code == 404
    assert (await beside.client.get("/a")).status_code == 404
    at_host = {"host": "press.example"}
    for path in ("/healthz", "/metrics", "/v/film/main.m3u8", "/watch/"):
        assert (await beside.client.get(path, headers=at_host)).text == "hello"
    assert not beside.edge.keys.calls.count("open_session")


async def test_an_origin_of_a_zone_that_is_away_is_named_and_makes_no_edge_unhealthy(web: Path) -> None:
    origin = Origin(fields=list(FRESH))
    with refusing() as gone:
        async with served(origin) as url:
            both = replace(zone(url, "both"), origins=(ZoneOrigin.parse(gone), ZoneOrigin.parse(url)))
            zones = [zone(url, "well"), zone(gone, "alone"), both]
            async with world(web, zones=zones) as edge, httpx.AsyncClient(base_url=edge.url) as client:
                assert (await client.get("/healthz")).json()["checks"]["zones"] == "ok"
                for number in range(LIMIT):
                    assert (await client.get(f"/z/alone/{number}")).status_code in (502, 503)
                    assert (await client.get(f"/z/both/{number}")).status_code == 200
                for path in ("/healthz", "/healthz/new"):
                    got = await client.get(path)
                    assert (got.status_code, got.json()["status"]) == (200, "ok")
                    assert got.json()["checks"]["zones"] == (
                        f"alone: {gone} gives no answer; what is cached is served. "
                        f"both: {gone} gives no answer; the others are asked"
                    )


async def test_zones_with_the_same_origin_and_paths_share_nothing(web: Path) -> None:
    origin = Origin(fields=list(FRESH))
    async with served(origin) as url:
        zones = [zone(url, "one"), zone(url, "two")]
        async with world(web, zones=zones) as edge, httpx.AsyncClient(base_url=edge.url) as client:
            for name in ("one", "two"):
                assert "hit" not in (await client.get(f"/z/{name}/a")).headers["cache-status"]
    assert len(origin.seen) == 2


async def test_h29_h37_the_edge_says_what_browsers_may_do_not_the_origin(beside: Setup) -> None:
    beside.origin.fields += [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-credentials", b"true"),
        (b"referrer-policy", b"unsafe-url"),
        (b"strict-transport-security", b"max-age=0"),
        (b"server", b"leaky/1.0"),
        (b"alt-svc", b'h3="evil:443"'),
        (b"vary", b"accept-language"),
    ]
    for origin in ("https://evil.example", beside.edge.url):
        found = (await beside.client.get("/z/press/a", headers={"origin": origin})).headers
        own = origin == beside.edge.url
        assert found.get("access-control-allow-origin") == (origin if own else None)
        assert found.get_list("referrer-policy") == ["no-referrer"]
        assert found.get_list("x-content-type-options") == ["nosniff"]
        assert found.get_list("cross-origin-resource-policy") == ["cross-origin"]
        assert found.get_list("vary") == ["accept-language", "Origin"]
        gone = {"server", "alt-svc", "access-control-allow-credentials", "strict-transport-security"}
        assert not gone & set(found)
    options = await beside.client.options("/z/press/a", headers={"origin": beside.edge.url})
    assert options.status_code == 204
    assert options.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert len(beside.origin.seen) == 1


async def test_a_redirect_of_the_origin_to_itself_stays_in_the_zone(web: Path) -> None:
    async with setup(web, base="/bucket") as found:
        own = found.url
        led = {
            "/bucket/b?x=1": "/z/press/b?x=1",
            f"{own}/bucket/b": "/z/press/b",
            "/elsewhere": "/elsewhere",
            "//evil.example/bucket/b": "//evil.example/bucket/b",
            "https://other.example/bucket/b": "https://other.example/bucket/b",
            "c": "c",
        }
        for number, (said, told) in enumerate(led.items()):
            found.origin.status, found.origin.fields = 302, [(b"location", said.encode())]
            answered = await found.client.get(f"/z/press/{number}", follow_redirects=False)
            assert answered.headers["location"] == told
        at_host = await found.client.get("/x", headers={"host": "press.example"}, follow_redirects=False)
        assert at_host.headers["location"] == "c"
        found.origin.fields = [(b"location", b"/bucket/b")]
        at_host = await found.client.get("/y", headers={"host": "press.example"}, follow_redirects=False)
        assert at_host.headers["location"] == "/b"
        assert found.origin.seen[0].target == "/bucket/0"


async def test_h16_only_the_methods_of_a_zone_are_passed(web: Path) -> None:
    async with setup(web, methods=frozenset({"GET", "HEAD", "POST"}), upload_bytes=1000) as found:
        post = await found.client.post("/z/press/a", content=b"x" * 1000, headers={"content-type": "a/b"})
        assert (post.status_code, found.origin.seen[-1].body) == (200, b"x" * 1000)
        assert found.origin.seen[-1].fields["content-type"] == "a/b"
        assert (await found.client.post("/z/press/a", content=b"x" * 1001)).status_code == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * 500

        assert (await found.client.post("/z/press/a", content=chunks())).status_code == 413
        for method in ("PUT", "DELETE", "TRACE"):
            refused = await found.client.request(method, "/z/press/a")
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        assert (await found.client.request("BREW", "/z/press/a")).status_code == 501
        assert len(found.origin.seen) == 2  # the one that turned out too long was begun


async def test_t6_nothing_a_client_says_but_the_target_changes_what_others_get(beside: Setup) -> None:
    beside.origin.give = echo
    clean = await beside.client.get("/z/press/clean")
    assert len(HEADERS) >= 40
    for number, (name, value) in enumerate(HEADERS.items()):
        path = f"/z/press/{number}?n=1"
        poisoned = await beside.client.get(path, headers={name: value})
        then = await beside.client.get(path)
        assert poisoned.status_code == then.status_code == 200, name
        assert poisoned.content == then.content == clean.content, name
        assert "hit" in then.headers["cache-status"], name
    fat = await beside.client.request("GET", "/z/press/fat", content=b"evil=1")
    assert fat.content == (await beside.client.get("/z/press/fat")).content == clean.content


async def test_t6_what_is_passed_on_tells_answers_apart_though_the_origin_does_not_say_so(web: Path) -> None:
    rules = replace(GUARDED, varies=(b"accept-language", b"x-shape"))
    async with setup(web, rules=rules, forward=frozenset({b"accept-language", b"x-shape"})) as found:
        found.origin.give = echo
        said: list[dict[str, str]] = [
            {},
            {"x-shape": "evil"},
            {"accept-language": "de"},
            {"accept-language": "fr"},
        ]
        for _ in range(2):
            answers = [(await found.client.get("/z/press/a", headers=each)).text for each in said]
            assert len(set(answers)) == len(said)
            assert "evil" not in answers[0]
        assert len(found.origin.seen) == len(said)


DELIMITERS = [
    ";", "/", "%3b", "%3f", "%23", "%2f", "%5c", "%00", "%0a", "%0d", "%09", "%20", "%2e", ".", "..", "!",
    "$", "&", "'", "(", ")", "*", "+", ",", "=", ":", "@", "~", "-", "_", "%26", "%40", "%7c",
]  # fmt: skip
SUFFIXES = ["x.css", "a.mp4", "y.js"]


async def test_t7_what_is_private_is_never_kept_whatever_its_name_ends_with(beside: Setup) -> None:
    secrets = iter(range(10_000))

    async def account(origin: Origin, seen: Seen, send: Send) -> None:
        """Any path that begins with the account's is the account's, as many frameworks have it."""
        how = [(b"cache-control", b"private")] if "me" in seen.target else [(b"set-cookie", b"s=1")]
        await answer(send, 200, how, b"secret %d" % next(secrets))

    beside.origin.give = account
    assert len(DELIMITERS) >= 30
    for path in ("/z/press/api/me", "/z/press/key"):
        for delimiter in DELIMITERS:
            for suffix in SUFFIXES:
                url = f"{beside.edge.url}{path}{delimiter}{suffix}"
                got = [await beside.client.get(url) for _ in range(2)]
                assert got[0].status_code == 400 or got[0].content != got[1].content, url


async def test_t7_the_edges_own_routes_know_no_suffixes(beside: Setup) -> None:
    for route in (
        "/metrics",
        "/healthz",
        "/watch",
        beside.edge.session()[len(beside.edge.url) :] + "720p/key/0",
    ):
        for delimiter in DELIMITERS:
            got = await beside.client.get(f"{beside.edge.url}{route}{delimiter}x.css")
            assert got.status_code in (400, 403, 404), (route, delimiter)
            assert got.headers["cache-control"] == "no-store"
    assert beside.origin.seen == []


@pytest.mark.parametrize(
    "status",
    [
        400, 401, 403, 405, 406, 408, 411, 412, 413, 414, 415, 416, 417, 421, 429, 431, 451,
        500, 501, 502, 503, 504, 505, 507, 508,
    ],
)  # fmt: skip
async def test_t8_an_error_is_gone_with_its_cause(beside: Setup, status: int) -> None:
    beside.origin.status, beside.origin.fields = status, [(b"cache-control", b"public, max-age=600")]
    assert (await beside.client.get("/z/press/a")).status_code == status
    beside.origin.status = 200
    beside.clock.ahead = 0 if status in GUARDED.never_stored else 10.5
    assert (await beside.client.get("/z/press/a")).status_code == 200


@pytest.mark.parametrize("status", [404, 410])
async def test_t8_what_is_missing_is_so_for_ten_seconds_at_most(beside: Setup, status: int) -> None:
    beside.origin.status, beside.origin.fields = status, [(b"cache-control", b"public, max-age=600")]
    for _ in range(2):
        assert (await beside.client.get("/z/press/a")).status_code == status
    assert len(beside.origin.seen) == 1
    beside.origin.status, beside.clock.ahead = 200, 10.5
    assert (await beside.client.get("/z/press/a")).status_code == 200


INDUCERS = {
    "a field too long": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 33_000 + b"\r\n\r\n",
    "fields too many": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\n" + b"x: 1\r\n" * 120 + b"\r\n",
    "a control character": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nx: \x01\r\n\r\n",
    "an expectation": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nexpect: 200-maybe\r\n\r\n",
    "an odd method": b"EVIL /z/press/a HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method that is not passed": b"DELETE /z/press/a HTTP/1.1\r\nhost: x\r\n\r\n",
    "an odd version": b"GET /z/press/a HTTP/7.1\r\nhost: x\r\n\r\n",
    "two hosts": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "a coding": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: evil\r\n\r\n",
    "a range that is none": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nrange: bytes=9999-\r\n\r\n",
    "a condition": b'GET /z/press/a HTTP/1.1\r\nhost: x\r\nif-match: "evil"\r\n\r\n',
    "a condition that holds": b'GET /z/press/a HTTP/1.1\r\nhost: x\r\nif-none-match: "1"\r\n\r\n',
    "an override": b"GET /z/press/a HTTP/1.1\r\nhost: x\r\nx-http-method-override: DELETE\r\n\r\n",
    "a target of another form": b"GET http://y/z/press/a HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("what", INDUCERS)
async def test_t8_a_request_that_induces_an_error_harms_nobody_else(beside: Setup, what: str) -> None:
    async def careful(origin: Origin, seen: Seen, send: Send) -> None:
        """An origin that minds everything, and lets its errors be kept."""
        kept = [(b"cache-control", b"public, max-age=600")]
        if "if-match" in seen.fields:
            await answer(send, 412, kept, b"")
        elif seen.fields.get("if-none-match") == '"1"':
            await answer(send, 304, FRESH, b"")
        elif "range" in seen.fields:
            await answer(send, 416, [*kept, (b"content-range", b"bytes */5")], b"")
        else:
            await answer(send, 200, FRESH, b"hello")

    beside.origin.give = careful
    at = httpx.URL(beside.edge.url)
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(INDUCERS[what])
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    then = await beside.client.get("/z/press/a")
    assert (then.status_code, then.text) == (200, "hello")


async def test_h20_what_is_somebodys_own_is_not_kept(beside: Setup) -> None:
    beside.origin.fields = [(b"cache-control", b"max-age=60"), (b"set-cookie", b"a=1")]
    for _ in range(2):
        assert (await beside.client.get("/z/press/a")).headers["set-cookie"] == "a=1"
    assert len(beside.origin.seen) == 2


async def test_what_the_origin_does_not_date_is_fresh_as_long_as_the_zone_says(web: Path) -> None:
    async with setup(web, rules=replace(GUARDED, default_s=600, stale_if_error_s=1000)) as found:
        found.origin.fields = []
        for ahead, asked in ((0, 1), (590, 1)):
            found.clock.ahead = ahead
            assert (await found.client.get("/z/press/a")).status_code == 200
            assert len(found.origin.seen) == asked
        found.origin.status = 503
        for ahead, status in ((1590, 200), (1610, 503)):
            found.clock.ahead = ahead
            assert (await found.client.get("/z/press/a")).status_code == status
        assert len(found.origin.seen) == 3


@pytest.mark.parametrize("kind", ["of a length", "of no length", "of slices", "in parts"])
async def test_what_is_longer_than_a_zone_keeps_is_passed_on(web: Path, kind: str) -> None:
    body, most = bytes(3 << 20), 2 << 20

    async def give(origin: Origin, seen: Seen, send: Send) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.fields.get("range", ""))
        if kind in ("of slices", "in parts") and found:
            start, stop = int(found[1]), min(len(body), int(found[2] or len(body)) + 1)
            place = b"bytes %d-%d/%d" % (start, stop - 1, len(body))
            await answer(send, 206, [*FRESH, (b"content-range", place)], body[start:stop])
        elif kind == "of no length":
            await send({"type": "http.response.start", "status": 200, "headers": FRESH})
            await send({"type": "http.response.body", "body": body})
        else:
            await answer(send, 200, FRESH, body)

    async with setup(web, rules=replace(GUARDED, body_most=most)) as found:
        found.origin.give = give
        how = {"range": "bytes=0-9"} if kind == "in parts" else {}
        for _ in range(2):
            got = await found.client.get("/z/press/a", headers=how)
            assert got.content == (body[:10] if how else body)
            assert "hit" not in got.headers["cache-status"]


async def test_zones_are_counted(beside: Setup) -> None:
    for path in ("/z/press/a", "/z/press/a", "/z/press/b", "/z/press/%00", "/z/other/a"):
        await beside.client.get(path)
    counted = beside.edge.counted
    names = ("requests", "hits", "misses", "refused", "bytes")
    assert [counted[f"zone_{name}"] for name in names] == [5, 1, 2, 2, 15]
