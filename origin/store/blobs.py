"""Where the stored bytes of assets lie: write-once objects under <asset>/<generation>/<rendition>/<object>.

What is stored is sealed already (`origin.media.seal`), except descriptors and digest lists. An object is
absent or whole: it is written under a temporary name, flushed to the disk, then linked to its own name if
that is free. Another object of that name with other bytes is refused (SECURITY K1). A full disk is a Problem
and leaves nothing behind. File work happens in threads; a reader holds no file open between pieces, so one
that leaves leaks nothing.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from keys.names import asset_id, object_name, rendition_id
from keys.problems import Problem
from origin.store import files
from origin.store.files import OnceFile

PIECE: Final = 256 << 10  # bytes handed to a reader at once
PARTIAL: Final = ".partial"  # no asset ID begins with a dot


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a generation."""

    rendition: str
    name: str
    size: int  # stored bytes


class BlobWriter(Protocol):
    """An object being written. Leaving its `async with` without `commit` leaves nothing behind."""

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Problem disk_full."""

    async def commit(self) -> bytes:
        """Make the object visible; its SHA-256. Problem conflict when the name has other bytes, disk_full."""

    async def abort(self) -> None:
        """Throw it away. Harmless after `commit`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class BlobStore(Protocol):
    """What origin needs of a place for bytes. Names are checked by `keys.names`: Problem bad_request."""

    async def sweep(self, now: float) -> None:
        """Remove what dead writers left; running ones keep theirs. `now` is seconds since the epoch."""

    def writer(self, asset: str, generation: int, rendition: str, name: str) -> BlobWriter:
        """A writer for one object of unknown length."""

    async def put(self, asset: str, generation: int, rendition: str, name: str, data: bytes) -> bytes:
        """Store a small object whole; its SHA-256. Problem conflict, disk_full."""

    async def size(self, asset: str, generation: int, rendition: str, name: str) -> int:
        """Stored bytes of an object. Problem not_found."""

    def read(
        self, asset: str, generation: int, rendition: str, name: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Bytes `start` up to `end`, in pieces. Problem not_found, or bad_upstream when bytes are missing."""

    async def objects(self, asset: str, generation: int) -> list[StoredObject]:
        """What a generation holds, by name."""

    async def generations(self, asset: str) -> list[int]:
        """The generations of an asset that hold anything."""

    async def assets(self) -> list[str]:
        """The assets that hold anything, by name."""

    async def touched(self, asset: str, generation: int) -> float:
        """When the newest object of a generation was written, seconds since the epoch; 0 for none."""

    async def delete_generation(self, asset: str, generation: int) -> None:
        """Remove all of a generation at once. Harmless when it is gone."""

    async def delete_asset(self, asset: str) -> None:
        """Remove every generation of an asset."""


class LocalBlobs:
    """A BlobStore in a directory of this machine. `keep_free_bytes` of the disk are never used."""

    def __init__(self, root: Path, *, keep_free_bytes: int = 64 << 20) -> None:
        self._root = root
        self._keep_free = keep_free_bytes
        (root / PARTIAL).mkdir(mode=0o700, parents=True, exist_ok=True)

    def writer(self, asset: str, generation: int, rendition: str, name: str) -> "LocalWriter":
        """A writer for one object of unknown length."""
        target = self._path(asset, generation, rendition, name)
        return LocalWriter(OnceFile(target, self._partial(), self._keep_free))

    async def put(self, asset: str, generation: int, rendition: str, name: str, data: bytes) -> bytes:
        """Store a small object whole; its SHA-256. Problem conflict, disk_full."""
        async with self.writer(asset, generation, rendition, name) as writer:
            await writer.write(data)
            return await writer.commit()

    async def size(self, asset: str, generation: int, rendition: str, name: str) -> int:
        """Stored bytes of an object. Problem not_found."""
        path = self._path(asset, generation, rendition, name)
        try:
            return (await asyncio.to_thread(path.stat)).st_size
        except (FileNotFoundError, NotADirectoryError):
            raise files.absent(path) from None

    async def read(
        self, asset: str, generation: int, rendition: str, name: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Bytes `start` up to `end`, in pieces. Problem not_found, or bad_upstream when bytes are missing."""
        path = self._path(asset, generation, rendition, name)
        stop = await self.size(asset, generation, rendition, name) if end is None else end
        while start < stop:
            piece = await asyncio.to_thread(files.read_piece, path, start, min(PIECE, stop - start))
            yield piece
            start += len(piece)

    async def objects(self, asset: str, generation: int) -> list[StoredObject]:
        """What a generation holds, by name."""
        return await asyncio.to_thread(_stored, self._generation_path(asset, generation))

    async def generations(self, asset: str) -> list[int]:
        """The generations of an asset that hold anything."""
        return await asyncio.to_thread(_numbers, self._root / asset_id(asset))

    async def assets(self) -> list[str]:
        """The assets that hold anything, by name."""
        return await asyncio.to_thread(_assets, self._root)

    async def touched(self, asset: str, generation: int) -> float:
        """When the newest object of a generation was written, seconds since the epoch; 0 for none."""
        return await asyncio.to_thread(_newest, self._generation_path(asset, generation))

    async def delete_generation(self, asset: str, generation: int) -> None:
        """Remove all of a generation at once. Harmless when it is gone."""
        await asyncio.to_thread(
            files.remove_folder, self._generation_path(asset, generation), self._partial()
        )

    async def delete_asset(self, asset: str) -> None:
        """Remove every generation of an asset."""
        await asyncio.to_thread(files.remove_folder, self._root / asset_id(asset), self._partial())

    async def sweep(self, now: float) -> None:
        """Remove what dead writers left; running ones keep theirs. `now` is seconds since the epoch."""
        await asyncio.to_thread(files.sweep, self._root / PARTIAL, now)

    def _generation_path(self, asset: str, generation: int) -> Path:
        if generation < 1:
            raise Problem("bad_request", "A generation is a number from 1.", detail=f"got {generation}")
        return self._root / asset_id(asset) / str(generation)

    def _path(self, asset: str, generation: int, rendition: str, name: str) -> Path:
        return self._generation_path(asset, generation) / rendition_id(rendition) / object_name(name)

    def _partial(self) -> Path:
        return self._root / PARTIAL / secrets.token_hex(16)


class LocalWriter:
    """Writes one object of `LocalBlobs`. Not for two tasks at once."""

    def __init__(self, file: OnceFile) -> None:
        self._file = file

    async def __aenter__(self) -> Self:
        """Open the temporary file."""
        await asyncio.to_thread(self._file.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Throw away what was not committed."""
        await self.abort()

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Problem disk_full."""
        await asyncio.to_thread(self._file.write, data)

    async def commit(self) -> bytes:
        """Make the object visible; its SHA-256. Problem conflict when the name has other bytes, disk_full."""
        return await asyncio.to_thread(self._file.commit)

    async def abort(self) -> None:
        """Throw it away. Harmless after `commit`."""
        await asyncio.to_thread(self._file.discard)


def _stored(folder: Path) -> list[StoredObject]:
    """Every object below the folder of a generation."""
    found = [
        StoredObject(path.parent.name, path.name, path.stat().st_size)
        for path in folder.glob("*/*")
        if path.is_file()
    ]
    return sorted(found, key=lambda each: (each.rendition, each.name))


def _numbers(folder: Path) -> list[int]:
    """The generations below the folder of an asset."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir())


def _assets(root: Path) -> list[str]:
    """The folders of assets below the root."""
    return sorted(path.name for path in root.iterdir() if path.is_dir() and path.name != PARTIAL)


def _newest(folder: Path) -> float:
    """When the newest file below the folder of a generation was written."""
    return max((path.stat().st_mtime for path in folder.glob("*/*")), default=0.0)
