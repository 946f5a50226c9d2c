"""Every refusal on the way: the same bytes for whatever is wrong, codes only after a valid signature."""

import asyncio
import base64
import json
import logging
import time

import httpx
import pytest

from keys import sign_url
from keys.problems import Problem
from keys.signing import SigningKey
from tests.edge.parts import World, until

SEGMENT = "720p/0.m4s"


async def test_t2_a_session_url_used_as_a_link_opens_nothing(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.session().replace("/aes/", "/main.m3u8")
    assert (await client.get(url)).status_code == 403
    assert "open_session" not in edge.keys.calls


async def test_a_link_used_as_a_session_plays_nothing(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.link().replace("main.m3u8", "aes/720p/0.m4s")
    assert (await client.get(url)).status_code == 403


def altered(url: str, change: str) -> str:
    """The URL with the last character of its token's signature changed, or with something added."""
    head, rest = url.split("URISigningPackage=")
    token, _, path = rest.partition("/")
    return f"{head}URISigningPackage={token[:-2]}{'A' if token[-2] != 'A' else 'B'}{token[-1]}{change}/{path}"


async def test_t3_t12_every_bad_token_is_answered_with_the_same_bytes(
    edge: World, client: httpx.AsyncClient
) -> None:
    stranger = SigningKey.generate("site")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    good = edge.session()
    urls = [
        f"{edge.url}/v/film/main.m3u8",
        f"{edge.url}/v/film/aes/{SEGMENT}",
        f"{edge.url}/v;URISigningPackage=a.b.c/film/aes/{SEGMENT}",
        f"{edge.url}/v;URISigningPackage={none}.e30.c2ln/film/main.m3u8",
        sign_url(f"{edge.url}/v/film/main.m3u8", stranger),
        sign_url("http://elsewhere.test/v/film/main.m3u8", edge.keys.site).replace(
            "http://elsewhere.test", edge.url
        ),
        edge.link("film").replace("/film/", "/other/"),
        edge.link("film").replace("/film/main.m3u8", "/other/main.mpd"),
        edge.link("unpublished").replace("main.m3u8", "main.mp4"),
        edge.link("film").replace("main.m3u8", "main.mpd?protection=aes"),
        altered(edge.link(), ""),
        altered(good + SEGMENT, ""),
        good.replace("/film/", "/other/") + SEGMENT,
        edge.session(asset="other") + SEGMENT,
        good + "720p/999.m4s",
        good + "none/0.m4s",
        good + "720p/key/99",
        good + "x.css",
    ]
    answers = [await client.get(url) for url in urls]
    assert {(a.status_code, a.content) for a in answers} == {(403, Problem("forbidden").body())}
    shapes = {tuple(sorted(name for name in a.headers if name != "date")) for a in answers}
    assert len(shapes) == 1


async def test_codes_come_only_after_a_valid_signature(edge: World, client: httpx.AsyncClient) -> None:
    old = edge.link(now=time.time() - 9000, start_within_s=60)
    assert (await client.get(old)).json()["code"] == "expired"
    assert (await client.get(altered(old, ""))).json()["code"] == "forbidden"
    edge.keys.refuse = Problem("limit")
    assert (await client.get(edge.link())).json()["code"] == "limit"
    edge.keys.refuse = Problem("forbidden", "Another sentence.")
    assert (await client.get(edge.link())).content == Problem("forbidden").body()


async def test_a_session_ends_when_its_time_is_over(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(edge.session(ends_in=-1) + SEGMENT)
    assert (answer.status_code, answer.json()["code"]) == (403, "expired")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("sid", "AAAAAAAAAAAAAAAAAAAAAA"), ("lid", "link-1"), ("viewer", "viewer-1"), ("asset", "film")],
)
async def test_t4_a_revoked_session_stops_at_its_next_request(
    edge: World, client: httpx.AsyncClient, kind: str, value: str
) -> None:
    base = edge.session()
    assert (await client.get(base + SEGMENT)).status_code == 200
    edge.keys.revoke(kind, value)
    await until(lambda: len(edge.app.revocations.revoked) == 1)
    for path in (SEGMENT, "720p/key/0", "main.m3u8", "720p/init.mp4"):
        answer = await client.get(base + path)
        assert (answer.status_code, answer.json()["code"]) == (403, "revoked")


async def test_what_keys_thinks_of_this_node_is_not_told_to_viewers(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.refuse = Problem("unauthenticated", "The node is not enrolled.")
    answer = await client.get(edge.link())
    assert (answer.status_code, answer.json()["message"]) == (503, "Unavailable.")


UNKEYED = [
    "host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix",
    "forwarded", "x-original-url", "x-rewrite-url", "x-http-method-override", "x-http-method",
    "x-host", "x-real-ip", "x-forwarded-for", "true-client-ip", "cf-connecting-ip", "pragma",
    "x-forwarded-server", "x-forwarded-scheme", "accept", "accept-encoding", "accept-language",
    "authorization", "cookie", "referer", "user-agent", "cache-control", "if-modified-since", "te",
    "upgrade-insecure-requests", "via", "x-wap-profile", "x-amz-date", "x-original-host", "range",
    "x-backend-host", "proxy-host", "destination", "x-custom", "cdn-loop", "expect-ct",
]  # fmt: skip


async def test_t6_no_header_changes_what_others_get(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.session() + "720p/index.m3u8"
    for name in UNKEYED:
        poisoned = await client.get(url, headers={name: "evil.test"})
        clean = await client.get(url)
        assert (poisoned.status_code, poisoned.content) == (clean.status_code, clean.content)
        assert "evil" not in str(poisoned.headers)
        assert "evil" not in (await client.get(edge.link(), headers={name: "evil.test"})).headers["location"]


async def test_h16_methods(edge: World, client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = await client.request(method, edge.session() + SEGMENT)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_t5_odd_targets_are_400_everywhere(edge: World) -> None:
    host, port = edge.url.removeprefix("http://").split(":")
    for target in (
        "/watch/../secret.html",
        "//watch/",
        "/watch/%00",
        "/v;x/../..",
        "/v%2ffilm",
        "/watch/\\x",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert b" 400 " in await reader.readline()
        writer.close()


async def test_t21_the_log_holds_no_token(
    edge: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sluice")
    urls = [edge.link(), edge.session() + "none/0.m4s", altered(edge.link(), ""), edge.session() + "%00"]
    for url in urls:
        await client.get(url)
    edge.keys.down = True
    await client.get(edge.session(bytes([9] * 16)) + SEGMENT)
    assert caplog.records
    for url in urls:
        token = url.split("URISigningPackage=")[1].split("/")[0]
        assert token not in caplog.text
        assert token.split(".")[2] not in caplog.text


async def test_an_unforeseen_error_is_a_problem_with_the_same_id_in_the_log(
    edge: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    edge.library.assets["film", 3] = None  # type: ignore[assignment]
    edge.library.descriptor = None  # type: ignore[assignment, method-assign]
    answer = await client.get(edge.session() + SEGMENT, headers={"origin": edge.url})
    assert answer.status_code == 500
    assert answer.json()["id"] in caplog.text
    assert answer.headers["access-control-allow-origin"] == edge.url


async def test_t4_a_session_ends_with_the_key_that_signed_its_link(
    edge: World, client: httpx.AsyncClient
) -> None:
    url = edge.session() + SEGMENT
    assert (await client.get(url)).status_code == 200
    edge.keys.revoke("kid", f"{edge.keys.site.iss}/{edge.keys.site.kid}")
    await until(lambda: len(edge.app.revocations.revoked) == 1)
    answer = await client.get(url)  # its token is signed by keys; the lease says who signed its link
    assert (answer.status_code, answer.json()["code"]) == (403, "revoked")


async def test_every_refused_token_has_its_code_in_the_log(
    edge: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluice")
    edge.keys.network = "198.51.100.0/24"
    for url, code in (
        (altered(edge.link(), ""), 400),
        (edge.link(start_within_s=60, now=time.time() - 61), 404),
        (edge.link().replace("/film/", "/other/"), 411),
        (edge.session() + SEGMENT, 410),
        (f"{edge.url}/v/film/main.m3u8", 500),
        (edge.session() + "%00", 500),
    ):
        caplog.clear()
        assert (await client.get(url)).status_code in (400, 403)
        assert f"s-uri-signing={code} s-uri-signing-deny-reason=" in caplog.text
