"""L1: one contract for both memories, then what only the shared one promises."""

import asyncio
import fcntl
import logging
import os
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cache.janitor import LOCK, Kept, allowed_bytes, to_evict
from edge.cache.memory import Memory, PrivateMemory, is_memory
from edge.cache.shared import (
    FIRST_TOUCH_S,
    HEADER,
    SLICE_PREFIX,
    TEMPORARY_PREFIX,
    TOUCH_EVERY_S,
    SharedMemory,
    open_memory,
)
from edge.cache.slices import ObjectId, SliceId

KEY = bytes(range(32))
OBJECT = ObjectId("default", "film", 1, "720p", "7.m4s")
MIB = 1 << 20


def place(index: int) -> SliceId:
    return SliceId(OBJECT, index)


def slice_files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith(SLICE_PREFIX)]


class TestContract:
    def test_what_was_put_is_found_and_read_only(self, memory: Memory) -> None:
        assert memory.get(place(0), KEY) is None
        assert not memory.has(place(0))
        for index, plain in enumerate([b"", b"x", os.urandom(MIB)]):
            assert bytes(memory.put(place(index), KEY, plain)) == plain
            found = memory.get(place(index), KEY)
            assert found is not None
            assert found.readonly
            assert bytes(found) == plain
            assert memory.has(place(index))

    def test_what_was_dropped_is_not_found_and_stays_readable(self, memory: Memory) -> None:
        view = memory.put(place(0), KEY, b"plain")
        memory.drop(place(0))
        memory.drop(place(0))
        assert memory.get(place(0), KEY) is None
        assert bytes(view) == b"plain"

    def test_what_is_larger_than_the_memory_is_handed_back(self, memory: Memory) -> None:
        plain = os.urandom(4 * MIB)
        assert bytes(memory.put(place(0), KEY, plain)) == plain
        assert memory.get(place(0), KEY) is None

    async def test_eviction_honours_the_limit_and_views_stay_readable(self, memory: Memory) -> None:
        bodies = [os.urandom(MIB // 2) for _ in range(20)]
        views = [memory.put(place(i), KEY, body) for i, body in enumerate(bodies)]
        if isinstance(memory, SharedMemory):
            await memory.sweep()
        assert sum(memory.has(place(i)) for i in range(20)) <= 6 + 6  # kept, and still mapped
        if isinstance(memory, SharedMemory):
            await memory.sweep()
        assert 4 <= sum(memory.has(place(i)) for i in range(20)) <= 6
        assert [bytes(view) for view in views] == bodies

    async def test_it_starts_and_closes(self, memory: Memory) -> None:
        await memory.start()
        memory.put(place(0), KEY, b"plain")
        await memory.close()


def test_another_worker_finds_what_one_put(tmpfs: Path) -> None:
    one, other = SharedMemory(tmpfs / "l1", MIB), SharedMemory(tmpfs / "l1", MIB)
    one.put(place(0), KEY, b"plain")
    found = other.get(place(0), KEY)
    assert found is not None
    assert bytes(found) == b"plain"
    assert one.shared


def test_t20_no_other_key_and_no_other_identity_opens_a_file(tmpfs: Path) -> None:
    SharedMemory(tmpfs / "l1", MIB).put(place(0), KEY, b"plain")
    counts: Counter[str] = Counter()
    other = SharedMemory(tmpfs / "l1", MIB, count=lambda name, by: counts.update({name: by}))
    (file,) = slice_files(tmpfs / "l1")
    file.rename(file.with_name(SLICE_PREFIX + place(1).file_name()))
    assert other.get(place(1), KEY) is None
    SharedMemory(tmpfs / "l1", MIB).put(place(0), KEY, b"plain")
    assert other.get(place(0), bytes(32)) is None
    assert counts["bad_l1"] == 2
    assert not slice_files(tmpfs / "l1")


@pytest.mark.parametrize("spot", [0, 8, 12, 20, 24, 40, HEADER, HEADER + 999])
def test_f15_a_file_with_a_flipped_bit_is_not_served(tmpfs: Path, spot: int) -> None:
    SharedMemory(tmpfs / "l1", MIB).put(place(0), KEY, os.urandom(1000))
    (file,) = slice_files(tmpfs / "l1")
    data = bytearray(file.read_bytes())
    data[spot] ^= 1
    file.write_bytes(data)
    assert SharedMemory(tmpfs / "l1", MIB).get(place(0), KEY) is None
    assert not file.exists()


@pytest.mark.parametrize("length", [0, 10, HEADER, HEADER + 999])
def test_f15_a_truncated_file_is_not_served(tmpfs: Path, length: int) -> None:
    SharedMemory(tmpfs / "l1", MIB).put(place(0), KEY, os.urandom(1000))
    (file,) = slice_files(tmpfs / "l1")
    file.write_bytes(file.read_bytes()[:length])
    assert SharedMemory(tmpfs / "l1", MIB).get(place(0), KEY) is None


def test_the_directory_and_its_files_are_ours_alone_and_tell_nothing(tmpfs: Path) -> None:
    (tmpfs / "l1").mkdir(mode=0o755)
    SharedMemory(tmpfs / "l1", MIB).put(place(0), KEY, b"plain")
    (file,) = slice_files(tmpfs / "l1")
    assert (tmpfs / "l1").stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert "film" not in file.name


def test_a_directory_that_is_a_link_is_refused(tmpfs: Path) -> None:
    (tmpfs / "elsewhere").mkdir()
    (tmpfs / "l1").symlink_to(tmpfs / "elsewhere")
    with pytest.raises(PermissionError):
        SharedMemory(tmpfs / "l1", MIB)


def test_no_room_on_the_filesystem_means_not_stored(tmpfs: Path) -> None:
    counts: Counter[str] = Counter()
    memory = SharedMemory(tmpfs / "l1", 8 * MIB, count=lambda name, by: counts.update({name: by}))
    plain = os.urandom(MIB)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))
    try:
        assert bytes(memory.put(place(0), KEY, plain)) == plain
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert counts["l1_unstored"] == 1
    assert list((tmpfs / "l1").iterdir()) == []


def test_maps_hold_no_file_descriptors(tmpfs: Path) -> None:
    memory = SharedMemory(tmpfs / "l1", 8 * MIB)
    before = len(list(Path("/proc/self/fd").iterdir()))
    views = [memory.put(place(i), KEY, b"plain") for i in range(50)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(views) == 50


async def test_a_map_whose_file_was_evicted_is_dropped(tmpfs: Path) -> None:
    memory = SharedMemory(tmpfs / "l1", 8 * MIB)
    memory.put(place(0), KEY, b"plain")
    kept = memory.put(place(1), KEY, b"other")
    assert memory.mapped_bytes == 10
    for file in slice_files(tmpfs / "l1"):
        file.unlink()
    await memory.sweep()
    assert memory.mapped_bytes == 0
    assert memory.get(place(0), KEY) is None
    assert bytes(kept) == b"other"


async def test_what_was_used_lately_outlives_what_was_not(tmpfs: Path, clock: Any) -> None:
    memory = SharedMemory(tmpfs / "l1", 4 * MIB, now=clock)
    for index in range(4):
        memory.put(place(index), KEY, os.urandom(MIB // 2))
        os.utime(memory._path(place(index)), (index, index))
    await memory.sweep()
    clock.time += 11
    memory.get(place(0), KEY)
    for index in range(4, 9):
        memory.put(place(index), KEY, os.urandom(MIB // 2))
    await memory.sweep()
    assert memory._path(place(0)).exists()
    assert not memory._path(place(1)).exists()


async def test_left_over_temporary_files_go_after_a_minute(tmpfs: Path, clock: Any) -> None:
    memory = SharedMemory(tmpfs / "l1", MIB, now=clock)
    left = tmpfs / "l1" / f"{TEMPORARY_PREFIX}dead"
    left.write_bytes(b"half")
    await memory.sweep()
    clock.time += 59
    await memory.sweep()
    assert left.exists()
    clock.time += 1
    await memory.sweep()
    assert not left.exists()


async def test_another_process_becomes_janitor_when_the_first_is_killed(tmpfs: Path) -> None:
    memory = SharedMemory(tmpfs / "l1", MIB)
    holder = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c",
         "import fcntl,os,sys,time; f=os.open(sys.argv[1],os.O_RDWR|os.O_CREAT,0o600);"
         "fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); time.sleep(60)",
         str(tmpfs / "l1" / LOCK)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for index in range(3):
            memory.put(place(index), KEY, os.urandom(MIB))
        await memory.sweep()
        assert len(slice_files(tmpfs / "l1")) == 3
        holder.kill()
    await memory.sweep()
    assert len(slice_files(tmpfs / "l1")) <= 1
    await memory.close()
    with (tmpfs / "l1" / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # handed on


async def test_housekeeping_survives_a_directory_taken_away(
    tmpfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = asyncio.Event()
    monkeypatch.setattr(logging.getLogger("edge.cache.shared"), "warning", lambda *_: said.set())
    memory = SharedMemory(tmpfs / "l1", MIB, sweep_every_s=0.001)
    await memory.start()
    for path in (tmpfs / "l1").iterdir():
        path.unlink()
    (tmpfs / "l1").rmdir()
    for _ in range(2):
        said.clear()
        await said.wait()
    assert bytes(memory.put(place(0), KEY, b"plain")) == b"plain"
    await memory.close()


def test_memory_is_a_tmpfs_and_never_a_disk(tmpfs: Path) -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/vdb /dev/shm/disk ext4 rw 0 0\n"
    assert is_memory(Path("/dev/shm/sluice"), mounts)
    assert not is_memory(Path("/dev/shm/disk/sluice"), mounts)
    assert not is_memory(Path("/var/cache"), mounts)
    assert isinstance(open_memory(tmpfs / "l1", MIB), SharedMemory)
    assert isinstance(open_memory(Path("/proc/sluice"), MIB), PrivateMemory)


FILES = st.lists(st.builds(Kept, st.uuids().map(str), st.integers(1, 100), st.floats(0, 1e9), st.booleans()))


@given(FILES, st.integers(100, 1000))
def test_what_is_left_is_within_the_limit(files: list[Kept], limit: int) -> None:
    going = {kept.name for kept in to_evict(files, limit)}
    assert sum(kept.size for kept in files if kept.name not in going) <= limit
    assert not going or sum(kept.size for kept in files) > limit


def test_a_scan_does_not_push_out_what_is_used_again_and_again() -> None:
    popular = [Kept(f"p{i}", 10, 1.0 + i, again=True) for i in range(7)]
    scan = [Kept(f"s{i}", 10, 100.0 + i) for i in range(20)]
    going = {kept.name for kept in to_evict(popular + scan, 100)}
    assert going == {f"s{i}" for i in range(18)}


def test_the_filesystem_bounds_what_is_kept() -> None:
    assert allowed_bytes(1000, used_bytes=0, free_bytes=10_000, total_bytes=10_000) == 1000
    assert allowed_bytes(1 << 40, used_bytes=100, free_bytes=0, total_bytes=1600) == 0
    assert allowed_bytes(1 << 40, used_bytes=900, free_bytes=700, total_bytes=1600) == 1500


def test_a_use_soon_after_it_came_is_told_then_one_now_and_then(
    tmpfs: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The janitor takes what was used only once, and each second he sweeps."""
    told: list[Path] = []
    memory = SharedMemory(tmpfs / "l1", MIB, now=clock)
    monkeypatch.setattr(memory, "_tell_use", told.append)
    memory.put(place(0), KEY, b"plain")
    came = clock.time
    for after, expected in (
        (FIRST_TOUCH_S / 2, 0),  # the same viewer's, still
        (FIRST_TOUCH_S, 1),
        (TOUCH_EVERY_S / 2, 1),
        (FIRST_TOUCH_S + TOUCH_EVERY_S, 2),
    ):
        clock.time = came + after
        assert memory.get(place(0), KEY) is not None
        assert len(told) == expected
