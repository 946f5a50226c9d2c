"""Several shields of a zone, over real sockets: each object is one shield's, for all edges."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Send

from edge.http.partial import SLICE, Aligned
from edge.zone import spread
from edge.zone.origins import Origins
from edge.zone.spread import BLOCK, places, within_block
from edge.zone.through import SILENT_S, Through
from edge.zone.upstream import Asked, NoAnswer, Reply, Upstream
from edge.zone.zone import Origin as ZoneOrigin
from edge.zone.zone import Zone
from tests.edge.parts import world
from tests.edge.zone.test_beside import web, zone
from tests.edge.zone.test_serving import Origin, Seen, answer
from tests.edge.zone.test_through import FRESH, Shield, by_way_of, shielding
from tests.support.serving import served

__all__ = ["web"]
SHIELDS = [f"https://{name}.example:8444" for name in ("east", "north", "west")]


@dataclass
class Place:
    """Shields beside each other, one origin, and edges that know them all, in whatever order."""

    origin: Origin
    zone: Zone
    web: Path
    shields: dict[str, Shield] = field(default_factory=dict)
    ends: dict[str, contextlib.AsyncExitStack] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def edge(self, *, turned: bool = False) -> AsyncIterator[httpx.AsyncClient]:
        urls = sorted(self.shields, reverse=turned)
        through = Through(lambda: "good")
        async with (
            world(self.web, zones=[by_way_of(urls, self.zone)], zone_upstream=through) as edge,
            httpx.AsyncClient(base_url=f"{edge.url}/z/press", timeout=20) as client,
        ):
            yield client

    @property
    def way(self) -> Zone:
        """The zone as edges have it."""
        return by_way_of(list(self.shields), self.zone)

    def objects(self) -> list[str]:
        """Some of each shield, of which each of the others comes next for some."""
        found: dict[tuple[str, ...], list[str]] = {}
        for number in range(300):
            ranks = tuple(each.url for each in places(self.way, Asked("GET", b"/%d" % number, [])))
            found.setdefault(ranks, []).append(f"/{number}")
        assert len(found) == len(self.shields) * (len(self.shields) - 1)
        return [path for paths in found.values() for path in paths[:2]]

    def owner(self, path: str, block: int) -> ZoneOrigin:
        """Whose a block of a film is."""
        fields = [(b"range", b"bytes=%d-" % (block * spread.BLOCK))]
        return places(self.way, Asked("GET", path.encode(), fields))[0]

    def films(self, blocks: int) -> list[str]:
        """Some whose blocks lie on all shields."""
        return [
            path
            for path in (f"/film-{number}" for number in range(100))
            if len({self.owner(path, block) for block in range(blocks)}) == len(self.shields)
        ]

    def asked(self) -> dict[str, Counter[str]]:
        """What each shield was asked for, and how often; forgotten with that."""
        found = {
            url: Counter(path.removeprefix("/z/press") for path in shield.asked)
            for url, shield in self.shields.items()
        }
        for shield in self.shields.values():
            shield.asked.clear()
        return found


@contextlib.asynccontextmanager
async def place(web: Path, many: int = 3) -> AsyncIterator[Place]:
    origin = Origin(fields=list(FRESH))
    async with served(origin) as url, contextlib.AsyncExitStack() as stack:
        found = Place(origin, zone(url), web)
        for number in range(many):
            mine = await stack.enter_async_context(contextlib.AsyncExitStack())
            shield, at = await mine.enter_async_context(shielding([found.zone], name=f"shield-{number}"))
            found.shields[at], found.ends[at] = shield, mine
        yield found


async def got(edge: httpx.AsyncClient, path: str) -> bytes:
    answered = await edge.get(path)
    assert answered.status_code == 200, answered.text
    return answered.content


async def test_f19_each_object_is_asked_of_one_shield_by_all_edges_and_once_of_the_origin(web: Path) -> None:
    async with place(web) as found, found.edge() as one, found.edge(turned=True) as two:
        objects = found.objects()
        for edge in (one, two, one):
            for path in objects:
                assert await got(edge, path) == b"hello"
        asked = found.asked()
        assert sum(asked.values(), Counter[str]()) == Counter(objects * 2), "each edge keeps what it has"
        assert all(set(each.values()) == {2} for each in asked.values()), "of one, by both; all have some"
        assert Counter(each.target for each in found.origin.seen) == Counter(objects)


async def test_only_the_objects_of_a_shield_that_dies_move_and_to_both_others(web: Path) -> None:
    async with place(web) as found:
        objects = found.objects()
        async with found.edge() as edge:
            for path in objects:
                await got(edge, path)
        before = found.asked()
        gone = next(iter(before))
        await found.ends[gone].aclose()
        found.origin.seen.clear()
        async with found.edge() as edge:
            for path in objects:
                await got(edge, path)
            after = found.asked()
            moved = {url: set(after[url]) - set(before[url]) for url in after if url != gone}
            assert all(set(before[url]) <= set(after[url]) for url in moved), "the others keep theirs"
            assert all(moved.values()) and sum(map(len, moved.values())) == len(before[gone])
            assert {each.target for each in found.origin.seen} == set(before[gone]), "the rest they had"
            for end in found.ends.values():
                await end.aclose()
            found.origin.seen.clear()
            assert await got(edge, "/x") == b"hello", "F1: all are away, and the origin is asked"
            assert len(found.origin.seen) == 1


class Edition:
    """A film of several blocks, of which there is another edition at times; it is served in ranges."""

    def __init__(self, origin: Origin, length: int) -> None:
        self.length, self.number, self.bytes_sent = length, 1, 0
        origin.give = self.give

    @property
    def body(self) -> bytes:
        unit = b"".join(b"%d:%07d;" % (self.number, at) for at in range(1000))
        return (unit * (self.length // len(unit) + 1))[: self.length]

    async def give(self, origin: Origin, seen: Seen, send: Send) -> None:
        etag, whole = f'"{self.number}"', self.body
        fields = [(b"cache-control", b"max-age=600"), (b"etag", etag.encode()), (b"accept-ranges", b"bytes")]
        if seen.fields.get("if-none-match") == etag:
            await answer(send, 304, fields, b"")
            return
        wanted = seen.fields.get("range")
        if wanted is None or seen.fields.get("if-range", etag) != etag:
            await answer(send, 200, fields, whole)
            return
        first, last = wanted.removeprefix("bytes=").split("-")
        part = whole[int(first) : int(last or self.length) + 1]
        told = f"bytes {first}-{int(first) + len(part) - 1}/{self.length}"
        self.bytes_sent += len(part)
        await answer(send, 206, [*fields, (b"content-range", told.encode())], part)


async def test_a_long_film_lies_on_all_shields_and_is_the_same_bytes(
    web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "BLOCK", SLICE)
    async with place(web) as found, found.edge() as one, found.edge(turned=True) as two:
        film = Edition(found.origin, 7 * SLICE + 5)
        path = found.films(8)[0]
        assert await got(one, path) == film.body
        assert all(each[path] for each in found.asked().values())
        found.origin.seen.clear()
        assert await got(two, path) == film.body
        part = await two.get(path, headers={"range": f"bytes={3 * SLICE + 7}-{5 * SLICE}"})
        assert (part.status_code, part.content) == (206, film.body[3 * SLICE + 7 : 5 * SLICE + 1])
        assert found.origin.seen == [], "the shields have it"


async def test_f7_shields_with_different_editions_make_no_mixed_body_and_agree_again(
    web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "BLOCK", SLICE)
    async with place(web, 2) as found:
        film = Edition(found.origin, 6 * SLICE)
        for path, first in zip(found.films(6), (True, False), strict=False):
            others = [index for index in range(6) if found.owner(path, index) != found.owner(path, 0)]
            older = 0 if first else others[0]  # of which block the shield has kept the edition before
            async with found.edge() as edge:
                wanted = f"bytes={older * SLICE}-{older * SLICE + 9}"
                assert (await edge.get(path, headers={"range": wanted})).status_code == 206
            async with httpx.AsyncClient(
                headers={"sluice-node": "good"}, timeout=20
            ) as node:  # and all of it,
                at = found.owner(path, older).url  # as when the other was away
                assert (await node.get(f"{at}/z/press{path}")).content == film.body
            film.number += 1
            async with found.edge() as edge:
                bodies: list[bytes] = []
                while len(bodies) < 3:
                    try:
                        bodies.append(await got(edge, path))
                    except httpx.RemoteProtocolError:  # cut, as it had begun
                        bodies.append(b"")
                assert bodies[1:] == [film.body] * 2
                assert bodies[0] == film.body or (first and not bodies[0])


class Script(Upstream):
    """Answers nothing, as `says` for each place that is asked in turn; each takes as long as it may."""

    def __init__(self, *says: NoAnswer) -> None:
        super().__init__()
        self.says, self.clock = list(says), 0.0
        self.asked: list[tuple[bool, float | None, float | None]] = []

    async def ask(
        self,
        origin: ZoneOrigin,
        asked: Asked,
        *,
        connect_s: float | None = None,
        first_byte_s: float | None = None,
        private: bool = False,
    ) -> Reply:
        self.asked.append((bool(origin.shield_of), connect_s, first_byte_s))
        said = self.says.pop(0)
        if said.late:
            self.clock += min(first_byte_s or 60.0, SILENT_S) if said.sent else connect_s or 60.0
        raise said


REFUSED = NoAnswer("connection_refused", "")
UNREACHED = NoAnswer("connection_timeout", "", late=True)
SILENT = NoAnswer("http_response_timeout", "", late=True, sent=True)


@pytest.mark.parametrize(
    ("says", "kinds"),
    [
        ((REFUSED, REFUSED), "sso"),
        ((UNREACHED, UNREACHED), "sso"),
        ((UNREACHED, SILENT), "sso"),
        ((SILENT,), "so"),  # it may be at work: no third is to ask the origin for the same
    ],
)
async def test_f6_f32_the_origin_is_asked_within_three_seconds_by_two_at_most(
    says: tuple[NoAnswer, ...], kinds: str
) -> None:
    script = Script(*says, REFUSED)
    origins = Origins(script, now=lambda: script.clock)
    with pytest.raises(NoAnswer):
        await origins.ask(by_way_of(SHIELDS, zone("https://origin.example")), Asked("GET", b"/a", []))
    assert "".join("s" if each[0] else "o" for each in script.asked) == kinds
    assert script.clock <= 3.0
    assert script.asked[-1][2] == 5.0, "the origin has the time it always had"


async def test_what_may_not_be_sent_twice_goes_to_the_owner_alone() -> None:
    script = Script(SILENT)
    origins = Origins(script, now=lambda: script.clock)
    way = by_way_of(SHIELDS, zone("https://origin.example"))
    with pytest.raises(NoAnswer):
        await origins.ask(way, Asked("POST", b"/a", []))
    assert script.asked == [(True, 1.0, None)]


@given(st.integers(0, 1 << 40), st.one_of(st.none(), st.integers(1, 200)))
def test_what_one_shield_is_asked_for_is_in_one_block(start: int, many: int | None) -> None:
    way = by_way_of(SHIELDS, zone("http://127.0.0.1:1"))
    first = start // SLICE * SLICE
    wanted = Aligned(first, None if many is None else first + many * SLICE)
    found = within_block(way, wanted)
    assert found is not None and found.stop is not None and found.start == first < found.stop
    assert first // BLOCK == (found.stop - 1) // BLOCK and found.stop % SLICE == 0
    assert found.stop == wanted.stop or found.stop % BLOCK == 0
    assert within_block(by_way_of(SHIELDS[:1], way), wanted) is not None


def test_objects_are_spread_evenly() -> None:
    way = by_way_of(SHIELDS, zone("https://origin.example"))
    owners = Counter(places(way, Asked("GET", b"/a/%d" % number, []))[0].host for number in range(3000))
    assert len(owners) == 3 and all(900 < many < 1100 for many in owners.values())


@given(st.permutations(SHIELDS), st.text("abc/", max_size=8), st.integers(0, 5 * BLOCK))
def test_who_knows_the_same_shields_asks_the_same_whatever_their_order(
    order: list[str], path: str, start: int
) -> None:
    made = zone("https://origin.example")
    asked = Asked("GET", f"/{path}".encode(), [(b"range", b"bytes=%d-" % start)])
    found = places(by_way_of(order, made), asked)
    assert found == places(by_way_of(SHIELDS, made), asked)
    assert [bool(each.shield_of) for each in found] == [True, True, False]
    block = [(b"range", b"bytes=%d-%d" % (start // BLOCK * BLOCK, start))]
    assert found == places(by_way_of(SHIELDS, made), replace(asked, fields=block))
    alone = by_way_of(order[:1], made)
    assert places(alone, asked) == alone.origins
