"""What every BlobStore promises, on a local folder and in a bucket alike."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.problems import Problem
from origin.store.blobs import PIECE, BlobStore, LocalBlobs, StoredObject
from origin.store.s3_address import S3Address, S3Login
from origin.store.s3_blobs import PART, S3Blobs
from tests.support.bucket import LOGIN, new_bucket, s3_server, uploads_left

FILM = ("film", 1, "720p", "0.m4s")
LARGE = os.urandom(1 << 20) * 34 + b"the end"  # two parts and a rest


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
async def bucket(endpoint: str) -> AsyncIterator[tuple[str, S3Blobs]]:
    address = new_bucket(endpoint)
    blobs = S3Blobs(S3Address.parse(address), LOGIN)
    yield address, blobs
    await blobs.close()


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs", keep_free_bytes=0)
    found: S3Blobs = request.getfixturevalue("bucket")[1]
    return found


async def everything(blobs: BlobStore, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(*FILM, start, end)])


async def test_what_was_put_is_read_back_whole_and_in_ranges(blobs: BlobStore) -> None:
    data = os.urandom(2 * PIECE + 100)
    assert await blobs.put(*FILM, data) == hashlib.sha256(data).digest()
    assert await blobs.size(*FILM) == len(data)
    assert await everything(blobs) == data
    assert await everything(blobs, 5, PIECE + 9) == data[5 : PIECE + 9]
    assert await everything(blobs, 7, 7) == b""
    assert [len(piece) async for piece in blobs.read(*FILM)] == [PIECE, PIECE, 100]


async def test_a_large_object_appears_whole_at_its_commit(blobs: BlobStore) -> None:
    async with blobs.writer(*FILM) as writer:
        for start in range(0, len(LARGE), 1_000_003):
            await writer.write(memoryview(LARGE)[start : start + 1_000_003])
        assert await blobs.objects("film", 1) == []
        assert await writer.commit() == hashlib.sha256(LARGE).digest()
    assert await everything(blobs) == LARGE
    assert await everything(blobs, PART - 3, PART + 3) == LARGE[PART - 3 : PART + 3]


@pytest.mark.parametrize("data", [b"half", LARGE])
async def test_a_writer_that_is_left_leaves_nothing(blobs: BlobStore, data: bytes) -> None:
    with pytest.raises(RuntimeError):
        async with blobs.writer(*FILM) as writer:
            await writer.write(data)
            raise RuntimeError
    assert await blobs.assets() == []


@pytest.mark.parametrize("data", [b"first", LARGE])
async def test_k1_other_bytes_are_refused_and_the_same_are_fine(blobs: BlobStore, data: bytes) -> None:
    await blobs.put(*FILM, data)
    await blobs.put(*FILM, data)
    for other in (b"other", LARGE + b"!"):
        with pytest.raises(Problem) as refused:
            await blobs.put(*FILM, other)
        assert refused.value.code == "conflict"
    assert await everything(blobs) == data


async def test_f26_of_many_writers_of_one_name_one_wins_and_nothing_mixes(blobs: BlobStore) -> None:
    contents = [bytes([n]) * 100_000 for n in range(6)]
    results = await asyncio.gather(*(blobs.put(*FILM, c) for c in contents), return_exceptions=True)
    won = [c for c, r in zip(contents, results, strict=True) if isinstance(r, bytes)]
    assert await everything(blobs) in won
    assert all(isinstance(r, bytes) or (isinstance(r, Problem) and r.code == "conflict") for r in results)


@pytest.mark.parametrize(
    "name",
    [
        ("../film", 1, "720p", "0.m4s"),
        (".partial", 1, "720p", "0.m4s"),
        ("film", 0, "720p", "0.m4s"),
        ("film", 1, "..", "0.m4s"),
        ("film", 1, "720p", "../../x"),
        ("film", 1, "720p", "a\0b"),
        ("film", 1, "720p", ""),
    ],
)
async def test_t5_a_name_that_is_no_name_opens_nothing(
    blobs: BlobStore, name: tuple[str, int, str, str]
) -> None:
    for ask in (blobs.size(*name), blobs.put(*name, b"x"), anext(blobs.read(*name))):
        with pytest.raises(Problem) as refused:
            await ask
        assert refused.value.code == "bad_request"


async def test_an_absent_object_is_not_found(blobs: BlobStore) -> None:
    for ask in (blobs.size(*FILM), anext(blobs.read(*FILM)), anext(blobs.read(*FILM, 0, 5))):
        with pytest.raises(Problem) as refused:
            await ask
        assert refused.value.code == "not_found"


async def test_bytes_that_are_missing_break_the_read_visibly(blobs: BlobStore) -> None:
    await blobs.put(*FILM, bytes(10))
    with pytest.raises(Problem) as refused:
        await everything(blobs, 0, 1000)
    assert refused.value.code == "bad_upstream"


async def test_a_generation_is_listed_and_deleted_whole(blobs: BlobStore) -> None:
    await blobs.put("film", 1, "audio", "init.mp4", b"abc")
    await blobs.put("film", 1, "asset", "asset.json", b"{}")
    await blobs.put(*FILM, b"x")
    await blobs.put("film", 2, "720p", "0.m4s", b"y")
    await blobs.put("film-2", 10, "720p", "0.m4s", b"z")
    assert await blobs.objects("film", 1) == [
        StoredObject("720p", "0.m4s", 1),
        StoredObject("asset", "asset.json", 2),
        StoredObject("audio", "init.mp4", 3),
    ]
    assert await blobs.assets() == ["film", "film-2"]
    assert await blobs.generations("film") == [1, 2]
    assert abs(await blobs.touched("film", 1) - time.time()) < 3600
    assert await blobs.touched("film", 7) == 0
    await blobs.delete_generation("film", 1)
    await blobs.delete_generation("film", 1)
    assert await blobs.generations("film") == [2]
    await blobs.delete_asset("film")
    await blobs.delete_asset("film")
    assert await blobs.assets() == ["film-2"]


async def test_of_multipart_uploads_none_is_left_and_a_dead_writers_is_swept(
    bucket: tuple[str, S3Blobs],
) -> None:
    address, blobs = bucket
    with pytest.raises(RuntimeError):
        async with blobs.writer(*FILM) as writer:
            await writer.write(LARGE)
            assert uploads_left(address) == 1
            raise RuntimeError
    assert uploads_left(address) == 0
    await blobs.multiparts.begin("media/film/1/720p/1.m4s")
    begun = datetime(2010, 11, 10, 20, 48, 33, tzinfo=UTC).timestamp()  # this server says so of all
    await blobs.sweep(begun + 3600)
    assert uploads_left(address) == 1
    await blobs.sweep(begun + 2 * 86_400)
    assert uploads_left(address) == 0


async def test_a_bucket_that_is_not_there_is_named_so(endpoint: str) -> None:
    blobs = S3Blobs(S3Address.parse(f"s3://nobody-made-this/x?endpoint={endpoint}"), LOGIN)
    for ask in (blobs.put(*FILM, b"x"), blobs.put(*FILM, LARGE), blobs.assets()):
        with pytest.raises(Problem, match="no such bucket"):
            await ask
    await blobs.close()


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3://UPPER/x",
        "s3://bucket/../x",
        "s3://bucket/.partial",
        "s3://user:secret@bucket/x",
        "s3://bucket/x?endpoint=http://192.0.2.1:9000",
        "s3://bucket/x?endpoint=ftp://127.0.0.1",
        "s3://bucket/x?secret=1",
        "s3://bucket/x?region=a&region=b",
        "s3://bucket/x?region=../..",
        "http://bucket/x",
    ],
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        S3Address.parse(text)


def test_credentials_never_show(endpoint: str) -> None:
    login = S3Login.parse("AKIDEXAMPLE very-secret and-a-token")
    assert "very-secret" not in repr(login) and "and-a-token" not in repr(login)
    with pytest.raises(ValueError) as refused:
        S3Login.parse("very-secret")
    assert "very-secret" not in str(refused.value)
