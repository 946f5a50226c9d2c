"""T12 in time: with a bad token, an asset that is there costs an edge the same work as one that is not.

Work is counted, not clocked: what is asked of keys, of the library (memory, Redis and the origin are behind
it), of the pace and of the control store. Where the counts are equal a stopwatch has nothing to read.
"""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from edge.deliver.limit_stores import MemoryLimitStore
from keys import sign_url
from keys.container import quote
from keys.limits import Limits
from keys.signing import SigningKey
from tests.edge.parts import MemoryGate, MemoryKeys, MemoryLibrary, World

THERE, ABSENT = "film", "none"  # as long as each other: so are the requests
BACKGROUND = ("revocations", "trust", "tell_activity")  # by the clock, or once for an unknown key
STREAM = (
    "main.m3u8", "aes/main.m3u8", "aes/720p/index.m3u8", "aes/720p/init.mp4", "aes/720p/0.m4s",
    "aes/720p/99.m4s", "aes/720p/key/0", "aes/leave", "cenc/720p/0.m4s", "cbcs/license",
)  # fmt: skip
POSTED = ("aes/leave", "cbcs/license")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that the edge asks of others, in order."""
    asked: list[str] = []
    noted: list[tuple[type, str, Callable[..., str]]] = [
        (MemoryLibrary, "descriptor", lambda *_: "descriptor"),
        (MemoryLibrary, "open", lambda *_: "object"),
        (MemoryLimitStore, "take", lambda *_: "place"),
        (MemoryGate, "request", lambda *_: "pace"),
        (MemoryKeys, "_asked", lambda _, name: name),
    ]
    for of, method, named in noted:
        monkeypatch.setattr(of, method, _noting(getattr(of, method), named, asked))
    return asked


def _noting(method: Callable[..., Any], named: Callable[..., str], asked: list[str]) -> Callable[..., Any]:
    def noting(*args: Any, **how: Any) -> Any:
        if (name := named(*args)) not in BACKGROUND:
            asked.append(name)
        return method(*args, **how)

    return noting


def bad_tokens(edge: World) -> dict[str, str]:
    """Tokens that allow nothing of either asset."""
    keys, now = edge.keys, time.time()

    def link(key: SigningKey, path: str = "/v/other/main.m3u8", **how: Any) -> str:
        return sign_url(edge.url + path, key, **how).split("URISigningPackage=")[1].split("/")[0]

    def both(**how: Any) -> str:
        """Signed by keys for everything, so that nothing but `how` is wrong with it."""
        return keys.session_token(bytes(16), "other", paths=".*", **how)

    good = both()
    return {
        "none at all": "a.b.c",
        "altered": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBA"),
        "of a link's unknown signer": link(SigningKey.generate("site")),
        "of an unknown site": link(SigningKey.generate("nobody")),
        "a link to another asset": link(keys.site),
        "a link past its time": link(keys.site, now=now - 9000, start_within_s=60),
        "a session of another asset": keys.session_token(bytes(16), "other"),
        "another asset's session, for any path": good,
        "a session that is over": both(ends_in=-1),
        "of another download": keys.session_token(bytes(16), "other", paths=quote("/d/other/film.mp4")),
    }


async def answers(edge: World, client: httpx.AsyncClient, token: str, asset: str) -> list[tuple[int, bytes]]:
    """What a holder of this token is told, whatever he asks for and however he shows it."""
    attribute = f"URISigningPackage={token}"
    asked = [("POST" if p in POSTED else "GET", f"/v;{attribute}/{asset}/{p}", "") for p in STREAM]
    asked += [
        ("HEAD", f"/v;{attribute}/{asset}/main.m3u8", ""),
        ("GET", f"/v/{asset}/main.m3u8?{attribute}", ""),
        ("GET", f"/d;{attribute}/{asset}/film.mp4", ""),
        ("GET", f"/d/{asset}/film.mp4?{attribute}", ""),
        ("GET", f"/d/{asset}/film.mp4", attribute),
        ("HEAD", f"/d;{attribute}/{asset}/film.mp4", ""),
    ]
    found = []
    for method, path, cookie in asked:
        answer = await client.request(method, edge.url + path, headers={"cookie": cookie} if cookie else {})
        found.append((answer.status_code, answer.content))
    return found


@pytest.fixture
async def limited(edge: World, work: list[str]) -> World:
    """An edge whose sessions are under a limit of streams."""
    edge.keys.limits = Limits(streams=1)
    work.clear()
    return edge


async def test_t12_a_bad_token_costs_the_same_work_whether_the_asset_is_there_or_not(
    limited: World, client: httpx.AsyncClient, work: list[str]
) -> None:
    assert (THERE, 3) in limited.library.assets and (ABSENT, 3) not in limited.library.assets
    for what, token in bad_tokens(limited).items():
        there = await answers(limited, client, token, THERE)
        absent = await answers(limited, client, token, ABSENT)
        assert there == absent, what
        assert {status for status, _ in there} == {403}, what
        assert work == [], f"{what}: somebody was asked before it was refused"


async def test_t12_what_is_counted_is_what_a_good_token_costs(
    limited: World, client: httpx.AsyncClient, work: list[str]
) -> None:
    assert (await client.get(limited.session() + "720p/0.m4s")).status_code == 200
    assert work == ["lease", "place", "descriptor", "pace", "object"]


@pytest.mark.parametrize("assets", [(THERE, ABSENT), (ABSENT, THERE)])
async def test_t12_an_unknown_key_is_asked_about_once_whichever_asset_it_is_for(
    limited: World, client: httpx.AsyncClient, work: list[str], assets: tuple[str, str]
) -> None:
    limited.trusted._gap_s = 0.0  # as if keys had been asked for such a key's sake long ago
    for asset in assets:
        limited.keys.calls.clear()
        await client.get(sign_url(f"{limited.url}/v/{asset}/main.m3u8", SigningKey.generate("site")))
        assert limited.keys.calls.count("trust") == 1
    assert work == []
