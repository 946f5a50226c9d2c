"""Protection in pieces equals protection done plainly, wherever slices, pieces, samples and ranges end."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.deliver import common_encryption
from edge.deliver.cipher import PIECE, BufferPool
from edge.deliver.common_encryption import ProtectedForm, mapped
from edge.deliver.turns import Turns
from keys.derive import cbcs_iv
from keys.problems import Problem
from origin.media import seal
from origin.media.boxes import BadBox
from origin.media.maps import BadMap
from origin.media.protection import SCHEMES, VIDEO_SKIP, ProtectionMap, Range, SchemeMap
from origin.media.seal import SLICE
from tests.support.cenc import encrypted

KEY = bytes(range(16))
KID = bytes(range(32, 48))
INDEX, POSITION = 3, 77
SMALL_SLICE, SMALL_PIECE = 1024, 544  # for cases with many borders


def made(
    chance: random.Random, size: int, *, largest: int, skip: int, head: int, clear: int
) -> ProtectionMap:
    """A map of `size` bytes of media data: samples of one range or several, up to `largest` bytes each."""
    samples: list[tuple[Range, ...]] = []
    at = 0
    while at < size:
        ranges: list[Range] = []
        for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
            at = min(size, at + chance.choice((0, 0, 1, 7, 30)))
            taken = min(size - at, chance.choice((0, 15, 16, 17, 159, 160, 161, chance.randint(1, largest))))
            ranges.append((at, taken))
            at += taken
        at = min(size, at + chance.choice((0, 5)))
        samples.append(tuple(ranges))
    part = SchemeMap(chance.randbytes(head), tuple(samples))
    return ProtectionMap(clear, skip, part, replace(part, head=part.head[: head // 2]))


def form_of(found: ProtectionMap, scheme: str, length: int) -> ProtectedForm:
    iv = cbcs_iv(KID)
    return ProtectedForm(mapped(found, scheme, length, rendition=INDEX, position=POSITION, iv=iv), KEY)


def reference(segment: bytes, found: ProtectionMap, scheme: str) -> bytes:
    return encrypted(segment, found, scheme, key=KEY, kid=KID, index=INDEX, position=POSITION)


async def pieces(
    form: ProtectedForm,
    segment: bytes,
    start: int,
    stop: int,
    *,
    lead: int = 0,
    pool: BufferPool | None = None,
    size: int = SLICE,
) -> AsyncIterator[memoryview]:
    """Those bytes of the form; slices it did not say it needs are not there."""
    wanted = form.slices(start, stop)

    async def slice_at(index: int) -> memoryview:
        assert index in wanted
        return memoryview(segment)[index * size : (index + 1) * size]

    found = form.pieces(slice_at, pool or BufferPool(), Turns(), start=start, stop=stop, lead=lead)
    async for piece in found:
        yield piece


@contextmanager
def many_borders() -> Iterator[None]:
    """Slices and pieces of a few hundred bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "SLICE", SMALL_SLICE)
        patch.setattr(common_encryption, "SLICE", SMALL_SLICE)
        patch.setattr(common_encryption, "PIECE", SMALL_PIECE)
        yield


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 6 * SMALL_SLICE),
    clear=st.integers(0, 2 * SMALL_SLICE),
    head=st.integers(0, SMALL_SLICE),
    largest=st.sampled_from([16, 200, 5000]),
    skip=st.sampled_from([0, 1, VIDEO_SKIP]),
    scheme=st.sampled_from(SCHEMES),
    lead=st.sampled_from([0, 64]),
)
async def test_pieces_equal_the_plain_reference_wherever_borders_lie(
    seed: int, size: int, clear: int, head: int, largest: int, skip: int, scheme: str, lead: int
) -> None:
    chance = random.Random(seed)
    found = made(chance, size, largest=largest, skip=skip, head=head, clear=clear)
    segment = chance.randbytes(clear + size)
    whole = reference(segment, found, scheme)
    start, stop = sorted((chance.randint(0, len(whole)), chance.randint(0, len(whole))))
    with many_borders():
        form = form_of(found, scheme, len(segment))
        assert form.length == len(whole)
        for a, b, ahead in ((0, len(whole), lead), (start, stop, 0), (start, min(start + 1, stop), 0)):
            got = [bytes(p) async for p in pieces(form, segment, a, b, lead=ahead, size=SMALL_SLICE)]
            assert b"".join(got) == whole[a:b]
            assert all(got)


FILMS = {  # bytes of media data, of the largest range, blocks left clear
    "sound": (70_000, 400, 0),
    "sound of one sample": (SLICE + 99, SLICE + 99, 0),
    "picture": (2 * SLICE + 12_345, 60_000, VIDEO_SKIP),
    "picture of one sample": (SLICE + 4321, SLICE + 4321, VIDEO_SKIP),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", FILMS)
async def test_bodies_of_real_sizes_come_in_few_pieces_that_fit_a_buffer(name: str, scheme: str) -> None:
    size, largest, skip = FILMS[name]
    chance = random.Random(name)
    found = made(chance, size, largest=largest, skip=skip, head=3000, clear=1200)
    if "one sample" in name:
        one = (((7, size - 7),),)
        found = replace(found, cenc=replace(found.cenc, samples=one), cbcs=replace(found.cbcs, samples=one))
    segment = chance.randbytes(1200 + size)
    form = form_of(found, scheme, len(segment))
    whole = reference(segment, found, scheme)
    got = [bytes(piece) async for piece in pieces(form, segment, 0, len(whole))]
    assert b"".join(got) == whole
    assert max(map(len, got)) <= PIECE
    assert len(got) <= -(-len(whole) // PIECE) + 1 + len(segment) // SLICE  # a slice's end is a piece's


async def test_who_still_reads_a_piece_keeps_what_was_in_it() -> None:
    chance = random.Random(1)
    found = made(chance, 3 * SLICE, largest=60_000, skip=VIDEO_SKIP, head=3000, clear=1200)
    segment = chance.randbytes(1200 + 3 * SLICE)
    pool = BufferPool()
    for scheme in SCHEMES:
        form, whole = form_of(found, scheme, len(segment)), reference(segment, found, scheme)
        kept = [piece async for piece in pieces(form, segment, 0, len(whole), pool=pool)]
        assert b"".join(kept) == whole
    del kept
    before = len(pool)
    async for piece in pieces(form, segment, 0, len(whole), pool=pool):
        del piece
    assert len(pool) == before  # buffers that nobody reads are taken again


async def test_a_range_inside_reads_no_slice_before_it() -> None:
    chance = random.Random(2)
    found = made(chance, 3 * SLICE, largest=60_000, skip=VIDEO_SKIP, head=3000, clear=1200)
    for scheme in SCHEMES:
        form = form_of(found, scheme, 1200 + 3 * SLICE)
        assert form.slices(0, form.length) == range(4)
        assert form.slices(0, 1000) == range(1)
        assert form.slices(form.length - SLICE // 2, form.length - SLICE // 4) == range(2, 3)


async def test_a_range_that_ends_at_a_slice_takes_what_its_last_pattern_needs_of_the_next() -> None:
    size = 3 * SMALL_SLICE
    part = SchemeMap(b"head", (((0, size),),))
    found, segment = ProtectionMap(0, VIDEO_SKIP, part, part), random.Random(4).randbytes(size)
    whole = reference(segment, found, "cbcs")
    with many_borders():
        form = form_of(found, "cbcs", size)
        for stop in range(SMALL_SLICE - 200, SMALL_SLICE + 200):
            got = [bytes(piece) async for piece in pieces(form, segment, 0, stop, size=SMALL_SLICE)]
            assert b"".join(got) == whole[:stop]


async def test_two_keys_share_no_protected_block_and_all_that_is_clear() -> None:
    chance = random.Random(3)
    size = 100_000
    one = (((10, size - 30),),)
    part = SchemeMap(b"head", one)
    found, segment = ProtectionMap(100, 0, part, part), bytes(100 + size)  # plain zeros: the worst case
    for scheme in SCHEMES:
        form = form_of(found, scheme, len(segment))
        forms = form, replace(form, key=chance.randbytes(16))
        mine, yours = [
            b"".join([bytes(p) async for p in pieces(each, segment, 0, each.length)]) for each in forms
        ]
        assert mine[:14] == yours[:14] == b"head" + bytes(10) and mine[-20:] == yours[-20:] == bytes(20)
        blocks = [{body[at : at + 16] for at in range(14, 4 + size - 35, 16)} for body in (mine, yours)]
        assert not blocks[0] & blocks[1] and len(blocks[0]) == len(blocks[1]) > 6000


def test_a_map_of_another_segment_is_refused() -> None:
    part = SchemeMap(b"", (((0, 100),), ((100, 50),)))
    found = ProtectionMap(40, VIDEO_SKIP, part, part)
    for scheme in SCHEMES:
        assert form_of(found, scheme, 190).length == 150
        for length in (189, 40, 39, 0):
            with pytest.raises(BadMap):
                form_of(found, scheme, length)
    with pytest.raises(BadBox):  # an IV that would come twice
        mapped(found, "cenc", 190, rendition=1, position=1 << 24, iv=b"")


async def test_a_slice_of_another_length_breaks_the_body_off() -> None:
    part = SchemeMap(b"head", (((0, 100),),))
    form = form_of(ProtectionMap(0, 0, part, part), "cenc", 100)
    with pytest.raises(Problem, match="bad_upstream"):
        async for _ in pieces(form, bytes(99), 0, 104):
            pass


def test_a_key_is_not_shown() -> None:
    part = SchemeMap(b"head", ())
    assert KEY.hex() not in repr(form_of(ProtectionMap(0, 0, part, part), "cenc", 100))
    assert repr(KEY) not in repr(form_of(ProtectionMap(0, 0, part, part), "cenc", 100))
