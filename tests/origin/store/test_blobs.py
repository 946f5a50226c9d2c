"""Blobs: whole or absent, never changed, never outside their root, and a full disk is said."""

import asyncio
import errno
import hashlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.problems import Problem
from origin.store.blobs import PIECE, BlobStore, LocalBlobs, StoredObject

FILM = ("film", 1, "720p", "0.m4s")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root: Path) -> LocalBlobs:
    return LocalBlobs(root, keep_free_bytes=0)


async def everything(blobs: BlobStore, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(*FILM, start, end)])


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_what_was_put_is_read_back_whole_and_in_ranges(blobs: LocalBlobs) -> None:
    data = os.urandom(2 * PIECE + 100)
    assert await blobs.put(*FILM, data) == hashlib.sha256(data).digest()
    assert await blobs.size(*FILM) == len(data)
    assert await everything(blobs) == data
    assert await everything(blobs, 5, PIECE + 9) == data[5 : PIECE + 9]
    assert await everything(blobs, 7, 7) == b""
    pieces = [len(piece) async for piece in blobs.read(*FILM)]
    assert pieces == [PIECE, PIECE, 100]


async def test_an_object_lies_where_its_name_says(blobs: LocalBlobs, root: Path) -> None:
    await blobs.put(*FILM, b"x")
    assert files(root) == ["film/1/720p/0.m4s"]


async def test_an_object_written_in_parts_appears_whole_at_its_commit(blobs: LocalBlobs, root: Path) -> None:
    async with blobs.writer(*FILM) as writer:
        await writer.write(b"one ")
        await writer.write(memoryview(b"two"))
        assert await blobs.objects("film", 1) == []
        with pytest.raises(Problem, match="no such object"):
            await blobs.size(*FILM)
        assert await writer.commit() == hashlib.sha256(b"one two").digest()
    assert await everything(blobs) == b"one two"
    assert len(files(root)) == 1


async def test_a_writer_that_is_left_leaves_nothing(blobs: LocalBlobs, root: Path) -> None:
    with pytest.raises(RuntimeError):
        async with blobs.writer(*FILM) as writer:
            await writer.write(b"half")
            raise RuntimeError
    async with blobs.writer(*FILM) as writer:
        await writer.write(b"half")
        await writer.abort()
    assert files(root) == []


async def test_k1_a_name_with_other_bytes_is_refused_and_with_the_same_bytes_is_fine(
    blobs: LocalBlobs, root: Path
) -> None:
    await blobs.put(*FILM, b"first")
    await blobs.put(*FILM, b"first")
    with pytest.raises(Problem) as refused:
        await blobs.put(*FILM, b"other")
    assert refused.value.code == "conflict"
    assert await everything(blobs) == b"first"
    assert len(files(root)) == 1


async def test_f26_of_many_writers_of_one_name_one_wins_and_nothing_mixes(blobs: LocalBlobs) -> None:
    contents = [bytes([n]) * 100_000 for n in range(6)]
    results = await asyncio.gather(*(blobs.put(*FILM, c) for c in contents), return_exceptions=True)
    won = [c for c, r in zip(contents, results, strict=True) if isinstance(r, bytes)]
    assert len(won) == 1
    assert await everything(blobs) == won[0]
    assert all(r.code == "conflict" for r in results if isinstance(r, Problem))


@pytest.mark.parametrize(
    "name",
    [
        ("../film", 1, "720p", "0.m4s"),
        (".partial", 1, "720p", "0.m4s"),
        ("film", 0, "720p", "0.m4s"),
        ("film", -1, "720p", "0.m4s"),
        ("film", 1, "..", "0.m4s"),
        ("film", 1, "720p", "../../x"),
        ("film", 1, "720p", "/etc/passwd"),
        ("film", 1, "720p", "a\0b"),
        ("film", 1, "720p", ""),
    ],
)
async def test_t5_a_name_that_is_no_name_opens_nothing(
    blobs: LocalBlobs, name: tuple[str, int, str, str]
) -> None:
    for ask in (blobs.size(*name), blobs.put(*name, b"x"), anext(blobs.read(*name))):
        with pytest.raises(Problem) as refused:
            await ask
        assert refused.value.code == "bad_request"


async def test_an_absent_object_is_not_found(blobs: LocalBlobs) -> None:
    for ask in (blobs.size(*FILM), anext(blobs.read(*FILM)), anext(blobs.read(*FILM, 0, 5))):
        with pytest.raises(Problem) as refused:
            await ask
        assert refused.value.code == "not_found"


async def test_a_file_cut_behind_our_back_breaks_the_read_visibly(blobs: LocalBlobs, root: Path) -> None:
    await blobs.put(*FILM, bytes(1000))
    os.truncate(root / "film/1/720p/0.m4s", 10)
    with pytest.raises(Problem) as refused:
        await everything(blobs, 0, 1000)
    assert refused.value.code == "bad_upstream"


async def test_a_generation_is_listed_and_deleted_whole(blobs: LocalBlobs, root: Path) -> None:
    await blobs.put("film", 1, "audio", "init.mp4", b"abc")
    await blobs.put(*FILM, b"x")
    await blobs.put("film", 2, "720p", "0.m4s", b"y")
    assert await blobs.objects("film", 1) == [
        StoredObject("720p", "0.m4s", 1),
        StoredObject("audio", "init.mp4", 3),
    ]
    assert await blobs.generations("film") == [1, 2]
    await blobs.delete_generation("film", 1)
    await blobs.delete_generation("film", 1)
    assert await blobs.generations("film") == [2]
    await blobs.delete_asset("film")
    await blobs.delete_asset("film")
    assert await blobs.generations("film") == []
    assert files(root) == []


async def test_a_sweep_removes_what_dead_writers_left_and_nothing_else(blobs: LocalBlobs, root: Path) -> None:
    (root / ".partial/dead").write_bytes(b"left by a writer that was killed")
    (root / ".partial/gone").mkdir()
    await blobs.put("film", 1, "audio", "0.m4s", b"stored")
    async with blobs.writer(*FILM) as writer:
        await writer.write(b"still being written")
        await blobs.sweep(now=(root / ".partial/dead").stat().st_mtime + 30)
        assert (root / ".partial/dead").exists()
        await blobs.sweep(now=(root / ".partial/dead").stat().st_mtime + 3600)
        await writer.commit()
    assert files(root) == ["film/1/720p/0.m4s", "film/1/audio/0.m4s"]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process may not grow past 64 KiB: the kernel says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_f23_a_full_disk_is_said_and_leaves_what_was_there(
    blobs: LocalBlobs, root: Path, small_disk: None
) -> None:
    await blobs.put("film", 1, "audio", "0.m4s", b"intact")
    with pytest.raises(Problem) as refused:
        await blobs.put(*FILM, bytes(100_000))
    assert refused.value.status == 507
    assert "full" in refused.value.message
    assert files(root) == ["film/1/audio/0.m4s"]
    await blobs.put(*FILM, bytes(1000))


async def test_f23_the_last_of_the_disk_is_never_used(root: Path) -> None:
    blobs = LocalBlobs(root, keep_free_bytes=1 << 62)
    with pytest.raises(Problem) as refused:
        await blobs.put(*FILM, b"x")
    assert refused.value.code == "disk_full"
    assert files(root) == []


async def test_trouble_that_is_not_a_full_disk_is_not_called_one(blobs: LocalBlobs, root: Path) -> None:
    (root / "film").write_bytes(b"a file where a folder should be")
    with pytest.raises(OSError) as trouble:
        await blobs.put(*FILM, b"x")
    assert trouble.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert files(root) == ["film"]
