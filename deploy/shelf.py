"""Where the files of a backup lie: a folder, or a bucket. A file is there whole or not at all."""

import asyncio
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Final, Protocol

from keys.problems import Problem

MISSING: Final = "The backup lacks a file its list names. Take another backup."


class Shelf(Protocol):
    """Files by name, such as `snapshots/20261127T190000Z/keys.db`."""

    async def put(self, name: str, path: Path) -> None:
        """Keep a copy of this file."""

    async def get(self, name: str, path: Path) -> None:
        """A copy of it at `path`. Problem not_found."""

    async def names(self) -> list[str]:
        """Every file below `snapshots/`, sorted."""


class FolderShelf:
    """A Shelf in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, path: Path) -> None:
        """Keep a copy of this file, flushed to the disk."""
        await asyncio.to_thread(_copy, path, self._root / name)

    async def get(self, name: str, path: Path) -> None:
        """A copy of it at `path`. Problem not_found."""
        try:
            await asyncio.to_thread(_copy, self._root / name, path)
        except FileNotFoundError:
            raise Problem("not_found", MISSING, detail=name) from None

    async def names(self) -> list[str]:
        """Every file below `snapshots/`, sorted."""
        found = (self._root / "snapshots").rglob("*")
        return sorted(str(path.relative_to(self._root)) for path in found if path.is_file())


class BucketShelf:
    """A Shelf in a bucket. `store` is obstore's, its prefix the backup's."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, name: str, path: Path) -> None:
        """Keep a copy of this file."""
        import obstore

        await obstore.put_async(self._store, name, path)

    async def get(self, name: str, path: Path) -> None:
        """A copy of it at `path`. Problem not_found."""
        import obstore

        try:
            answer = await obstore.get_async(self._store, name)
        except FileNotFoundError:
            raise Problem("not_found", MISSING, detail=name) from None
        with path.open("wb") as file:
            async for chunk in answer.stream(min_chunk_size=1 << 20):
                await asyncio.to_thread(file.write, memoryview(chunk))

    async def names(self) -> list[str]:
        """Every file below `snapshots/`, sorted."""
        import obstore

        found = []
        async for metas in obstore.list(self._store, "snapshots"):
            found += [meta["path"] for meta in metas]
        return sorted(found)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.parent / f".{secrets.token_hex(8)}.part"
    try:
        with source.open("rb") as reading, partial.open("xb") as writing:
            partial.chmod(0o600)
            shutil.copyfileobj(reading, writing, 1 << 20)
            writing.flush()
            os.fsync(writing.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
