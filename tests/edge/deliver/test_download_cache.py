"""Downloads through the real cache from a real origin: right bytes for any range, and no byte too many."""

import asyncio
import hashlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Send

from edge.cache import fill, slices
from edge.cache.claims import Claims
from edge.cache.library import Library
from edge.cache.memory import PrivateMemory
from edge.cache.slices import BLOCK
from edge.cache.upstream import OriginClient
from edge.deliver import download
from edge.deliver.activity import Activity
from edge.deliver.answer import Request
from edge.deliver.download import Downloads
from edge.deliver.first_byte import FirstByte
from edge.deliver.path import Kind, Route
from edge.deliver.serving import Serving
from keys.leases import Lease
from keys.names import b64url
from origin.media import seal
from origin.media.asset import Descriptor, Download, write_descriptor
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.seal import SLICE, Sealer, sealed_offset, slice_count
from tests.edge.cache.faulty_origin import ASSET, GENERATION, TENANT, Published, TestOrigin
from tests.edge.parts import MemoryKeys

NAME, RENDITION = "film.mp4", "file-original"
BLOB = f"{RENDITION}/file"
DIGEST = b64url(bytes(32))


class Sparse(bytes):
    """Stored bytes of which only some are there: what a test does not ask for is not made."""

    spots: dict[int, bytes]
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: object) -> bytes:  # type: ignore[override]
        assert isinstance(key, slice)
        found = b""
        while len(found) < key.stop - key.start:
            found += self.spots[key.start + len(found)]
        return found[: key.stop - key.start]


def published(body: bytes) -> Published:
    """A film of one download, sealed and signed."""
    found = Published()
    sealer = Sealer(found.storage_key, TENANT, ASSET, GENERATION, RENDITION, "file")
    sealed = list(sealer.seal_all(body))
    found.stored[BLOB] = b"".join(sealed)
    describe(found, len(body), [digest_of(each) for each in sealed], b64url(hashlib.sha256(body).digest()))
    return found


def describe(found: Published, size: int, digests: list[bytes], sha256: str) -> None:
    listed = ObjectDigest("file", size, tuple(digests))
    found.stored[f"{RENDITION}/list"] = write_list(found.packager, ASSET, GENERATION, RENDITION, [listed])
    file = Download(NAME, "A film.mp4", "video/mp4", size, sha256, RENDITION, 1_750_000_000)
    film = Descriptor(TENANT, ASSET, GENERATION, "Film", 16.0, 3, (), downloads=(file,))
    found.stored["asset/asset.json"] = write_descriptor(found.packager, film)


def published_sparse(size: int, body: dict[int, bytes]) -> Published:
    """A film of one long download, of which only these slices were ever made."""
    found = Published()
    sealer = Sealer(found.storage_key, TENANT, ASSET, GENERATION, RENDITION, "file")
    sealed = {index: sealer.seal(index, plain) for index, plain in body.items()}
    digests = [
        digest_of(sealed[n]) if n in sealed else secrets.token_bytes(32) for n in range(slice_count(size))
    ]
    blob = Sparse()
    blob.size = seal.sealed_length(size)
    blob.spots = {sealed_offset(index): each for index, each in sealed.items()}
    found.stored[BLOB] = blob
    describe(found, size, digests, DIGEST)
    return found


@dataclass
class Answer:
    """What went out."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def parts(self) -> dict[tuple[int, int], bytes]:
        """Bytes by span, of a 206 of one part or several."""
        kind = self.headers[b"content-type"]
        if not kind.startswith(b"multipart"):
            return {_span(self.headers[b"content-range"]): self.body}
        boundary = kind.split(b"boundary=")[1]
        pieces = self.body.split(b"\r\n--" + boundary)
        assert (pieces[0], pieces[-1]) == (b"", b"--\r\n")
        found = {}
        for piece in pieces[1:-1]:
            head, _, content = piece.partition(b"\r\n\r\n")
            found[_span(head.split(b"content-range: ")[1])] = content
        return found


def _span(content_range: bytes) -> tuple[int, int]:
    first, last = content_range.removeprefix(b"bytes ").split(b"/")[0].split(b"-")
    return int(first), int(last) + 1


@dataclass
class Bench:
    """An edge's downloads over its cache, and the origin behind it."""

    origin: TestOrigin
    library: Library
    lease: Lease

    async def get(self, value: str | None = None) -> Answer:
        """The answer to a GET with this Range."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            if isinstance(message.get("body"), memoryview):
                message = {**message, "body": bytes(message["body"])}
            sent.append(message)

        status = await self.serve(value, send)
        body = b"".join(message["body"] for message in sent[1:])
        assert sent[-1]["more_body"] is False
        assert all(message["more_body"] for message in sent[1:-1])
        fields = dict(sent[0]["headers"])
        assert int(fields[b"content-length"]) == len(body)
        return Answer(status, fields, body)

    async def serve(self, value: str | None, send: Send) -> int:
        """Answers a GET with this Range into `send`; the status."""

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("a client that stays")

        activity = Activity(MemoryKeys(), now=lambda: 0.0)
        downloads = Downloads(
            Serving(self.library, activity, lambda lease: None, "edge", lambda: 1e9, FirstByte(lambda: 0.0))
        )
        headers = {} if value is None else {b"range": value.encode()}
        route = Route(Kind.DOWNLOAD, "", "", ASSET, file=NAME)
        return await downloads.serve(route, Request("GET", headers, ""), self.lease, receive, send, [])

    def fetched(self) -> int:
        """Bytes of the file the origin was asked for."""
        return self.origin.sent[BLOB]


@asynccontextmanager
async def opened(found: Published) -> AsyncIterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="downloads-"))
    origin = TestOrigin(found)
    await origin.start()
    try:
        client = OriginClient(origin.url, lambda: "node-token")
        async with Library(
            PrivateMemory(64 << 20), None, Claims(folder, None), client, found.public
        ) as library:
            lease = replace(
                MemoryKeys().lease_of(b64url(bytes(16))), generation=GENERATION, sk=found.storage_key
            )
            yield Bench(origin, library, lease)
    finally:
        await origin.stop()
        shutil.rmtree(folder)


@contextmanager
def slicing(size: int) -> Iterator[None]:
    """Slices of `size` bytes, everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (seal, slices, fill, download):
            patch.setattr(module, "SLICE", size)
        yield


ranges = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2100), st.integers(0, 400)).map(lambda pair: f"{pair[0]}-{sum(pair)}"),
        st.integers(0, 2100).map(lambda first: f"{first}-"),
        st.integers(1, 900).map(lambda last: f"-{last}"),
    ),
    min_size=1,
    max_size=8,
).map(lambda specs: "bytes=" + ",".join(specs))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2000), st.integers(3, 700), st.lists(ranges, min_size=1, max_size=6))
def test_any_range_over_any_slicing_is_those_bytes(length: int, slice_size: int, asked: list[str]) -> None:
    body = secrets.token_bytes(length)

    async def ask() -> None:
        async with opened(published(body)) as bench:
            answers = await asyncio.gather(*(bench.get(value) for value in asked))
            for answer in answers:
                if answer.status == 200:
                    assert answer.body == body
                elif answer.status == 206:
                    for (start, stop), part in answer.parts().items():
                        assert part == body[start:stop]
                    assert len(answer.body) <= length
                else:
                    assert (answer.status, answer.body) == (416, b"")
            assert (await bench.get()).body == body

    with slicing(slice_size):
        asyncio.run(ask())


async def test_t10_h08_one_byte_of_a_cold_file_costs_the_origin_one_slice() -> None:
    last = 3000 * SLICE + 5
    async with opened(published_sparse(last + 1, {3000: bytes(6), 7: b"s" * SLICE})) as bench:
        assert (await bench.get(f"bytes={7 * SLICE + 3}-{7 * SLICE + 3}")).body == b"s"
        assert bench.fetched() == SLICE + 16
        assert (await bench.get("bytes=-1")).body == b"\0"
        assert bench.fetched() == SLICE + 16 + 6 + 16
        assert bench.origin.requests[BLOB] == 2


async def test_t10_bytes_far_apart_do_not_pay_for_what_lies_between() -> None:
    wanted = {1: b"a" * SLICE, 14: b"b" * SLICE, 900: b"c" * SLICE}
    async with opened(published_sparse(1000 * SLICE, wanted)) as bench:
        answers = await asyncio.gather(
            *(bench.get(f"bytes={index * SLICE}-{index * SLICE}") for index in wanted),
            bench.get(f"bytes={SLICE}-{SLICE},{900 * SLICE}-{900 * SLICE + 4}"),
        )
        assert [answer.body for answer in answers[:3]] == [b"a", b"b", b"c"]
        assert list(answers[3].parts().values()) == [b"a", b"ccccc"]
        assert bench.fetched() == 3 * (SLICE + 16)


async def test_h32_ranges_beyond_four_gigabytes_are_those_bytes() -> None:
    """Of the 5 GiB only the slices that are asked for were made: what lies between was never written."""
    size, at = (5 << 30) + 3, 4 << 30
    first = at // SLICE
    body = {first - 1: secrets.token_bytes(SLICE), first: secrets.token_bytes(SLICE), 5 << 10: b"end"}
    async with opened(published_sparse(size, body)) as bench:
        answer = await bench.get(f"bytes={at - 10}-{at + 9}")
        assert answer.body == body[first - 1][-10:] + body[first][:10]
        assert answer.headers[b"content-range"] == f"bytes {at - 10}-{at + 9}/{size}".encode()
        several = await bench.get(f"bytes=-2,{at}-{at}")
        assert list(several.parts().items()) == [((size - 2, size), b"nd"), ((at, at + 1), body[first][:1])]
        assert (await bench.get(f"bytes={size}-")).headers[b"content-range"] == f"bytes */{size}".encode()
        assert bench.fetched() == 2 * (SLICE + 16) + 3 + 16


async def test_t10_a_slow_reader_has_no_more_fetched_than_the_block_it_reads() -> None:
    size, body = 200 * SLICE, {index: bytes(SLICE) for index in range(BLOCK)}
    async with opened(published_sparse(size, body)) as bench:
        got, stuck = [0], asyncio.Event()

        async def send(message: Message) -> None:
            got[0] += len(message.get("body", b""))
            if got[0] >= SLICE:
                stuck.set()
                await asyncio.Event().wait()

        reading = asyncio.create_task(bench.serve(None, send))
        waiting = asyncio.create_task(stuck.wait())
        await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert stuck.is_set()
        await bench.library.settled()
        assert bench.fetched() == BLOCK * (SLICE + 16)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
