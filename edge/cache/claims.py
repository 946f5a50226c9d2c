"""Who fills an object: one worker of a node, one node of a region.

Between the workers of a node, the claim is a flock on a file: the kernel frees it when its process dies.
Between nodes it is a key in Redis that expires after 5 s and is renewed every second. Claims only save
fetches (SECURITY 1.1): when Redis is gone every node has its own, and two fillers do no harm, because slices
are immutable and checked. A holder that brings nothing for PATIENCE_S is not waited for any more, nor is a
file that cannot be had.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import random
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from edge.cache.counters import Count, ignore
from edge.cache.slices import ObjectId, claim_key
from keys.problems import Problem
from keys.tasks import end_tasks

TTL_MS: Final = 5000
HEARTBEAT_S: Final = 1.0
PATIENCE_S: Final = 30.0  # a holder that lives but brings nothing for so long is not waited for any more
POLL_S: Final = (0.01, 0.05)  # who waits for somebody else's fill looks again after between these
_LOG: Final = logging.getLogger(__name__)
_FAILED: Final = struct.Struct(">d")  # monotonic seconds, one clock for all processes of a node


class ClaimStore(Protocol):
    """What claims between nodes need. Each answers None when it cannot say."""

    async def claim(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Take it if nobody has it."""

    async def extend(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Keep it if it is ours."""

    async def release(self, key: str, owner: bytes) -> bool | None:
        """Give it up if it is ours."""


class NodeClaim:
    """The right of this process to fill one object on this node. Close it, or die, to free it."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd, self._path = fd, path
        text = os.pread(fd, _FAILED.size, 0)
        # monotonic seconds at which the last holder failed, if it did
        self.failed_at: float | None = _FAILED.unpack(text)[0] if len(text) == _FAILED.size else None

    def close(self, *, failed_at: float | None = None) -> None:
        """Free the claim; `failed_at` tells those who wait that there is no use, if the disk has room."""
        try:
            if failed_at is None:
                self._path.unlink(missing_ok=True)  # while locked: others look again, see NodeClaims.take
            else:
                os.pwrite(self._fd, _FAILED.pack(failed_at), 0)
        except OSError as exc:
            _LOG.warning("claim %s is freed without a word: %s", self._path.name, exc)
        finally:
            os.close(self._fd)


class NodeClaims:
    """Claims between the workers of a node, as locked files in a directory they share."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def take(self, object_id: ObjectId) -> NodeClaim | None:
        """The claim, or None: another worker has it. OSError: there can be none (a full disk, no folder)."""
        return self._lock(self._directory / object_id.file_name())

    def _lock(self, path: Path) -> NodeClaim | None:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            except OSError:
                os.close(fd)
                raise
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(fd).st_ino:
                    return NodeClaim(fd, path)
            os.close(fd)  # its last holder removed the file between our open and our lock

    def tidy(self) -> None:
        """Remove the files nobody holds: they only say that a fill failed, some time ago."""
        for path in list(self._directory.iterdir()):
            with contextlib.suppress(OSError):
                claim = self._lock(path)
                if claim is not None:
                    claim.close()


class Claims:
    """Both kinds. `store` None: this node is alone."""

    def __init__(
        self,
        directory: Path,
        store: ClaimStore | None,
        *,
        ttl_ms: int = TTL_MS,
        heartbeat_s: float = HEARTBEAT_S,
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_ms, self._heartbeat_s = ttl_ms, heartbeat_s
        self._node, self._store, self._count = NodeClaims(directory), store, count
        self.now = now

    @contextmanager
    def node_turn(self, object_id: ObjectId, since: float) -> Iterator[bool]:
        """Whether it is this worker's turn on its node, for as long as the block runs.

        `since`, monotonic seconds: when the caller last saw the object get on. A Problem that leaves the
        block is told to the workers that wait meanwhile: whose `since` is before it gets Problem unavailable
        instead of a turn, so that a herd is not refused one by one. After PATIENCE_S it is anybody's turn,
        and at once where there can be no claim.
        """
        try:
            claim = self._node.take(object_id)
        except OSError as exc:
            _LOG.warning("%s is filled without a claim: %s", object_id.text(), exc)
            yield True
            return
        if claim is None:
            yield self.now() - since >= PATIENCE_S
            return
        failed_at = claim.failed_at if claim.failed_at is not None and claim.failed_at >= since else None
        try:
            if failed_at is not None:
                raise Problem("unavailable", detail=f"{object_id.text()}: another worker has just failed")
            yield True
        except Problem:
            failed_at = failed_at or self.now()
            raise
        finally:
            claim.close(failed_at=failed_at)

    @asynccontextmanager
    async def fleet_turn(self, object_id: ObjectId, since: float) -> AsyncIterator[bool]:
        """Whether this node has the claim among the nodes, for the block. True when Redis cannot say.

        `since` as for `node_turn`: a node whose heart beats but that brings nothing is waited for no longer.
        """
        if self._store is None:
            yield True
            return
        key, owner = claim_key(object_id), secrets.token_bytes(16)
        taken = await self._store.claim(key, owner, self._ttl_ms)
        if not taken:
            yield taken is None or self.now() - since >= PATIENCE_S
            return
        beat = asyncio.create_task(self._beats(self._store, key, owner), name="claim heartbeat")
        try:
            yield True
        finally:
            await end_tasks([beat])
            await self._store.release(key, owner)

    def tidy(self) -> None:
        """Remove what failed fills left. Call at start."""
        self._node.tidy()

    async def pause(self) -> None:
        """A moment before looking again whether somebody else's fill got further."""
        await asyncio.sleep(random.uniform(*POLL_S))

    async def _beats(self, store: ClaimStore, key: str, owner: bytes) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if await store.extend(key, owner, self._ttl_ms) is False:
                self._count("claims_lost", 1)  # the fill goes on: its slices are as good as anybody's
                return
