"""A body in slices: whatever is there of it and however the rest comes, readers get its bytes, in order."""

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.http.answer import Answer, answer
from edge.http.directives import Directives
from edge.http.entry import PLAIN, Entry, Request
from edge.zone.sliced import Lied, Other, Refusal, Sliced
from edge.zone.sliced_reading import SlicedReading
from edge.zone.upstream import BrokenOff, NoAnswer


@dataclass
class Source:
    """An answer that brings bytes in pieces, and breaks off after some."""

    body: bytes
    piece: int
    most: int | None = None
    closed: bool = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(self.body), self.piece):
            if self.most is not None and at >= self.most:
                raise BrokenOff("as the test wants")
            await asyncio.sleep(0)
            yield self.body[at : at + self.piece]

    async def close(self) -> None:
        self.closed = True


@dataclass
class Shelf:
    """Keeps a number of slices, and drops any when there are more."""

    body: Sliced
    places: int
    dice: random.Random
    kept: set[int] = field(default_factory=set)
    dropped: bool = False

    def keep(self, index: int, size: int) -> bool:
        self.kept.add(index)
        if len(self.kept) > self.places:
            gone = self.dice.choice(sorted(self.kept))
            self.kept.discard(gone)
            self.body.forget(gone)
            return gone != index
        return True

    def use(self, index: int) -> None:
        assert index not in self.kept or self.body.has(index)

    def lose(self, index: int) -> None:
        self.kept.discard(index)

    def drop(self) -> None:
        self.dropped = True


class World:
    """A body, and who brings it."""

    def __init__(self, body: bytes, size: int, seed: int, places: int = 1000, breaks: bool = False) -> None:
        self.body, self.dice, self.breaks = body, random.Random(seed), breaks
        self.tasks: set[asyncio.Task[None]] = set()
        self.sliced = Sliced(len(body), lambda work: self.tasks.add(asyncio.create_task(work)), size)
        self.shelf = self.sliced.shelf = Shelf(self.sliced, places, self.dice)
        self.asked: list[tuple[int, int]] = []
        self.sources: list[Source] = []

    async def ask(self, start: int, stop: int) -> tuple[Source, int]:
        size = self.sliced.size
        assert start % size == 0 and (stop % size == 0 or stop == len(self.body)) and start < stop
        self.asked.append((start, stop))
        await asyncio.sleep(0)
        if self.breaks and self.dice.random() < 0.3:  # some of it comes, never less than a slice
            return self._source(start, stop, max(size, self.dice.randrange(stop - start + 1))), stop
        if self.breaks and stop - start > size and self.dice.random() < 0.3:
            stop = start + size  # fewer slices than were asked for
        return self._source(start, stop, None), stop

    def _source(self, start: int, stop: int, most: int | None) -> Source:
        source = Source(self.body[start:stop], self.dice.randrange(1, 2 * self.sliced.size + 2), most)
        self.sources.append(source)
        return source

    async def put(self, index: int) -> None:
        """Makes a slice resident."""
        size = self.sliced.size
        start, stop = index * size, min(len(self.body), (index + 1) * size)
        if not self.sliced.has(index):
            self.sliced.adopt(Source(self.body[start:stop], size), start, stop)
            await asyncio.gather(*self.tasks)

    async def taken(self, made: Answer) -> bytes:
        """The body of an answer, as `Saying` sends it."""
        spans = ((0, None),) if made.spans is None else made.spans
        readings = [SlicedReading(self.sliced, start, stop, self.ask) for start, stop in spans]
        out = b""
        try:
            for at, reading in enumerate(readings):
                if made.frame is not None:
                    out += made.frame.heads[at]
                out += b"".join([piece async for piece in reading.pieces()])
        finally:
            for reading in readings:
                reading.close()
        return out + (made.frame.end if made.frame is not None else b"")


def entry_of(length: int) -> Entry:
    return Entry(
        "http://a/", 200, [(b"etag", b'"1"')], (), Directives(), 0, 0, 0, 0, 60, b'"1"', None, length=length
    )


def expected(body: bytes, made: Answer) -> bytes:
    """The answer's body, cut out of the whole."""
    if made.spans is None:
        return body
    parts = [body[start:stop] for start, stop in made.spans]
    if made.frame is None:
        return b"".join(parts)
    return b"".join(head + part for head, part in zip(made.frame.heads, parts, strict=True)) + made.frame.end


numbers = st.integers(0, 400)
specs = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    numbers.map(lambda first: f"{first}-"),
    numbers.map(lambda last: f"-{last}"),
)
ranges = st.lists(specs, min_size=1, max_size=9).map(",".join)


@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(1, 300),
    size=st.integers(1, 70),
    wanted=st.lists(st.one_of(st.none(), ranges), min_size=1, max_size=4),
    there=st.sets(st.integers(0, 300), max_size=12),
    places=st.integers(1, 20),
    breaks=st.booleans(),
    seed=st.integers(0, 2**32),
)
@example(length=100, size=10, wanted=["0-0", None], there={0, 5, 9}, places=1, breaks=False, seed=1)
def test_any_range_over_any_slices_is_the_bodys_bytes(
    length: int, size: int, wanted: list[str | None], there: set[int], places: int, breaks: bool, seed: int
) -> None:
    async def run() -> None:
        body = random.Random(seed).randbytes(length)
        world = World(body, size, seed, places, breaks)
        for index in there:
            if index * size < length:
                await world.put(index)
        answers = [
            answer(
                Request("GET", "http://a/", [] if text is None else [(b"range", f"bytes={text}".encode())]),
                entry_of(length),
                0.0,
                PLAIN,
            )
            for text in wanted
        ]
        async with asyncio.timeout(20):
            taken = await asyncio.gather(*(world.taken(made) for made in answers), return_exceptions=True)
        for got, made in zip(taken, answers, strict=True):
            assert got == expected(body, made) or (breaks and isinstance(got, BrokenOff))
        async with asyncio.timeout(20):
            await asyncio.gather(*world.tasks)
        assert all(source.closed for source in world.sources)
        assert not world.sliced._fills and not world.sliced._readers
        assert {index for index in range(length) if world.sliced.has(index)} == world.shelf.kept

    asyncio.run(run())


async def test_only_what_is_missing_is_asked_for_in_runs() -> None:
    world = World(bytes(range(100)), 10, 1)
    for index in (2, 3, 7):
        await world.put(index)
    got = await world.taken(Answer(200, [], None))
    assert got == world.body and world.asked == [(0, 20), (40, 70), (80, 100)]


async def test_a_reader_far_ahead_of_a_fill_asks_for_itself_and_one_close_to_it_waits() -> None:
    world = World(bytes(1000), 10, 1)
    first = SlicedReading(world.sliced, 0, None, world.ask)
    pieces = first.pieces()
    await anext(pieces)
    near, far = (
        SlicedReading(world.sliced, 20, 25, world.ask),
        SlicedReading(world.sliced, 500, 505, world.ask),
    )
    assert b"".join([piece async for piece in near.pieces()]) == bytes(5)
    assert world.asked == [(0, 1000)]
    assert b"".join([piece async for piece in far.pieces()]) == bytes(5)
    assert world.asked == [(0, 1000), (500, 510)]
    await pieces.aclose()
    for reading in (first, near, far):
        reading.close()
    await asyncio.gather(*world.tasks)


async def test_a_fill_goes_no_more_than_a_slice_ahead_of_its_fastest_reader_and_ends_when_all_left() -> None:
    world = World(bytes(1000), 100, 1)
    reading, slower = (
        SlicedReading(world.sliced, 0, None, world.ask),
        SlicedReading(world.sliced, 0, None, world.ask),
    )
    pieces = reading.pieces()
    while reading.at < 350:
        await anext(pieces)
        for _ in range(50):
            await asyncio.sleep(0)
        (fill,) = world.sliced._fills
        assert fill.at <= reading.at + 2 * world.sliced.size + world.sources[0].piece
    await pieces.aclose()
    reading.close()
    slower.close()
    await asyncio.gather(*world.tasks)
    assert world.asked == [(0, 1000)] and world.sources[0].closed
    assert fill.at <= 700


async def test_a_fill_ends_where_slices_begin_that_are_there() -> None:
    world = World(bytes(range(100)), 10, 1)
    source = Source(world.body, 5)
    await world.put(5)
    world.sliced.adopt(source, 0, 100)
    got = await world.taken(Answer(200, [], None))
    assert got == world.body and world.asked == [(60, 100)] and source.closed


async def test_f4_a_slice_that_did_not_come_whole_is_not_kept() -> None:
    world = World(bytes(100), 10, 1)
    world.sliced.adopt(Source(world.body, 5, most=35), 0, 100)
    reading = SlicedReading(world.sliced, 0, 35, world.ask)
    assert b"".join([piece async for piece in reading.pieces()]) == bytes(35)
    reading.close()
    await asyncio.gather(*world.tasks)
    assert world.shelf.kept == {0, 1, 2} and not world.sliced.has(3)


async def test_a_fill_nobody_takes_for_long_is_ended_and_resumed_from_its_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.zone.sliced.PAUSE_S", 0.01)
    world = World(bytes(range(250)) * 4, 100, 1)
    reading = SlicedReading(world.sliced, 0, None, world.ask)
    pieces = reading.pieces()
    got = bytes(await anext(pieces))
    await asyncio.gather(*world.tasks)  # the fill has given up
    assert world.sources[0].closed
    got += b"".join([piece async for piece in pieces])
    reading.close()
    assert got == world.body and [start % 100 for start, _ in world.asked] == [0, 0]


@pytest.mark.parametrize("error", [Other("new"), Lied("more")])
async def test_what_changed_or_lied_is_dropped_as_a_set(error: Exception) -> None:
    world = World(bytes(100), 10, 1)
    await world.put(0)

    async def ask(start: int, stop: int) -> tuple[Source, int]:
        raise error

    ready = SlicedReading(world.sliced, 10, 20, ask)
    with pytest.raises(type(error)):
        await ready.ready()
    assert world.shelf.dropped and not world.sliced.has(0)
    begun = SlicedReading(world.sliced, 0, None, ask)
    with pytest.raises(BrokenOff):
        assert [piece async for piece in begun.pieces()] == []


@pytest.mark.parametrize("error", [Refusal("403"), NoAnswer("connection_refused", "no")])
async def test_what_says_nothing_of_the_body_leaves_what_is_there(error: Exception) -> None:
    world = World(bytes(100), 10, 1)
    await world.put(0)

    async def ask(start: int, stop: int) -> tuple[Source, int]:
        raise error

    with pytest.raises(type(error)):
        await SlicedReading(world.sliced, 10, 20, ask).ready()
    assert not world.shelf.dropped and world.sliced.has(0)
    assert await world.taken(Answer(206, [], ((10, 20),))) == bytes(10)


async def test_more_bytes_than_an_answer_said_are_a_lie() -> None:
    world = World(bytes(100), 10, 1)

    async def ask(start: int, stop: int) -> tuple[Source, int]:
        return Source(bytes(11), 11), stop

    reading = SlicedReading(world.sliced, 0, 20, ask)
    world.sliced.adopt(Source(bytes(15), 15), 20, 30)
    with pytest.raises(BrokenOff):
        assert b"".join([piece async for piece in reading.pieces()])
    assert world.shelf.dropped
