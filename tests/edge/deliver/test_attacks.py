"""The attack list of SECURITY 4 against an edge that serves: 403 for each, whatever it is sent to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from edge.guard.limits import TARGET_BYTES
from keys.names import b64url
from tests.edge.parts import MemoryKeys, World, world
from tests.support.attacks import VECTORS
from tests.support.forge import GOOD, KEYS, NOW, SITE, TRUST, URI, token

HOST = URI.partition("/v/")[0]
PATH_CHARACTERS = "!$&'()*+,:@=~"  # RFC 3986 §3.3: what a segment may hold as it is, less `;`
SEGMENT = "film/aes/720p/0.m4s"


class ForgersKeys(MemoryKeys):
    """Keys that trusts whom the forged tokens are made for."""

    async def trust(self) -> dict[str, Any]:
        return {**await super().trust(), **TRUST.to_json()}


@pytest.fixture
async def edge(web: Path) -> AsyncIterator[World]:
    async with world(web, ForgersKeys(site=SITE, own=KEYS), now=lambda: NOW, public_url=HOST) as found:
        yield found


class Wire:
    """Requests one after another, targets as they are. Connections are opened anew when they were closed."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))

    async def get(self, target: str) -> tuple[int, bytes]:
        """Status and body of one answer."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(f"GET {target} HTTP/1.1\r\nHost: edge.example\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        return int(head.split(b" ", 2)[1]), body


def targets(text: str) -> list[str]:
    """Everywhere a token may stand: on a link, in the query of one, on a segment, a key, a download."""
    safe = quote(text.encode("utf-8", "surrogateescape"), safe=PATH_CHARACTERS)
    session = (("v", SEGMENT), ("v", "film/aes/720p/key/0"), ("v", "film/cenc/720p/0.m4s"))
    places = ("v", "film/main.m3u8"), *session, ("d", "film/film.mp4")
    return [
        *(f"/{first};URISigningPackage={safe}/{rest}" for first, rest in places),
        f"/v/film/main.m3u8?URISigningPackage={safe}",
        f"/d/film/film.mp4?URISigningPackage={safe}",
    ]


async def test_the_token_the_attacks_are_made_from_is_good(edge: World) -> None:
    wire = Wire(edge.url)
    link, in_query = targets(GOOD)[0], targets(GOOD)[5]
    edge.keys.down = True  # it comes as far as keys, which the edge asks only about a link it believes
    assert [(await wire.get(target))[0] for target in (link, in_query)] == [503, 503]


async def test_t3_every_attack_is_answered_403_wherever_it_is_sent(edge: World) -> None:
    wire, wrong = Wire(edge.url), []
    for name, (text, _) in VECTORS.items():
        for target in targets(text):
            status, body = await wire.get(target)
            if len(target) > TARGET_BYTES:  # refused before anybody reads it as a target
                fine = status in (414, 431)
            else:
                fine = status == 403 and json.loads(body)["code"] in ("forbidden", "expired")
            if not fine:
                wrong.append((name, status, target[:200]))
    assert wrong == []
    assert "open_session" not in edge.keys.calls and "lease" not in edge.keys.calls


RESPELLED = [
    "/v;URISigningPackage={}/Film/main.m3u8",
    "/v;URISigningPackage={}/film/Main.m3u8",
    "/v;URISigningPackage={}/film2/main.m3u8",
    "/v;URISigningPackage={}/film/main.m3u8;URISigningPackage={}",
    "/v;URISigningPackage={};URISigningPackage={}/film/main.m3u8",
    "/v;URISigningPackage={}/film/main.m3u8?URISigningPackage={}",
    "/v/film/main.m3u8?URISigningPackage={}&URISigningPackage={}",
    "/v/film/main.m3u8?a=1;URISigningPackage={};URISigningPackage={}",
    "/v;urisigningpackage={}/film/main.m3u8",
    "/V;URISigningPackage={}/film/main.m3u8",
    "/v;URISigningPackage={}/fil%6d/main.m3u8",
    "/v;URISigningPackage={}/film%2fmain.m3u8",
    "/v;URISigningPackage={}/film//main.m3u8",
    "/v;URISigningPackage={}/./film/main.m3u8",
    "/v;URISigningPackage={}/x/../film/main.m3u8",
    "/v;URISigningPackage={}/film/main.m3u8/",
    "/v;URISigningPackage={}/film/main.m3u8%00",
    "/v;URISigningPackage={}/film/main.mpd%3f",
    "/%76;URISigningPackage={}/film/main.m3u8",
    "/v%3bURISigningPackage={}/film/main.m3u8",
]


async def test_t3_t5_two_tokens_and_other_spellings_of_the_signed_uri_open_nothing(edge: World) -> None:
    wire = Wire(edge.url)
    answers = {target: (await wire.get(target.replace("{}", GOOD)))[0] for target in RESPELLED}
    assert {t for t, status in answers.items() if status not in (400, 403, 404)} == set()
    assert "open_session" not in edge.keys.calls


async def test_t3_the_host_a_client_names_does_not_matter(edge: World) -> None:
    elsewhere = token(cdniuc=r"regex:http://evil\.example/v/film/main\.m3u8")
    reader, writer = await asyncio.open_connection(*edge.url.removeprefix("http://").split(":"))
    writer.write(
        f"GET /v;URISigningPackage={elsewhere}/film/main.m3u8 HTTP/1.1\r\nHost: evil.example\r\n"
        "X-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n".encode()
    )
    assert b" 403 " in await reader.readline()
    writer.close()


async def test_t3_a_session_token_forged_over_a_real_one_is_refused(edge: World) -> None:
    wire, good = Wire(edge.url), edge.keys.session_token(bytes(16))
    head, body, signature = good.split(".")
    for forged in (
        f"{head}.{body}.{b64url(bytes(64))}",
        f"{head}.{body}.{signature[::-1]}",
        f"{body}.{head}.{signature}",
        f"{head}.{token(sid='A' * 22, asset='film').split('.')[1]}.{signature}",
    ):
        for target in targets(forged):
            assert (await wire.get(target))[0] == 403
