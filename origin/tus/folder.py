"""Where resumable uploads lie: `<id>.data` with the bytes so far, and `<id>.json` with all else. Blocking.

How far an upload is, is the size of its data: what a killed process had written counts, what it had not does
not. Bytes that come with a checksum are not to be trusted before they were compared: `unproven` is on disk
before the first of them, and says from where on they go at the next start. The data file is made before the
record; a record whose data is gone was handed to an asset.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from origin.incoming import full, sync_directory
from origin.tus.protocol import WHOLE

COPY: Final = 8 << 20  # bytes asked of the kernel at once


@dataclass(slots=True)
class Record:
    """One upload. `offset` is not written down: it is the size of the data."""

    id: str
    kind: str = WHOLE
    length: int | None = None  # bytes; None: not said yet
    metadata: str = ""
    parts: tuple[str, ...] = ()
    unproven: int | None = None  # bytes from here on wait for their checksum
    ended: float | None = None  # seconds since the epoch: when it became an asset or was refused
    asset: str = ""  # what it became
    refused: str = ""  # a sentence: why it became none
    touched: float = 0.0  # seconds since the epoch: when the last bytes came
    offset: int = 0  # bytes durably here

    @property
    def complete(self) -> bool:
        """Whether every byte is here."""
        return self.offset == self.length


class Folder:
    """The directory. Made with the first upload."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def data(self, id: str) -> Path:
        """The file of an upload's bytes."""
        return self._path / f"{id}.data"

    def create(self, record: Record) -> None:
        """An upload without bytes. Problem disk_full."""
        with self._room():
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.data(record.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self.touch(record)
            self.save(record)

    def save(self, record: Record) -> None:
        """Writes the record down, at once or not at all. Problem disk_full."""
        fields = {name: value for name, value in asdict(record).items() if name != "offset"}
        new = self._path / f"{record.id}.new"
        with self._room():
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps(fields).encode())
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._path / f"{record.id}.json")
            sync_directory(self._path)

    def touch(self, record: Record) -> None:
        """Notes on the data when its last bytes came: that needs no writing of the record."""
        os.utime(self.data(record.id), (record.touched, record.touched))

    def drop_data(self, id: str) -> None:
        """Removes the bytes."""
        self.data(id).unlink(missing_ok=True)

    def forget(self, id: str) -> None:
        """Removes the record, durably: before the data, so that no record is without its data by this."""
        (self._path / f"{id}.json").unlink(missing_ok=True)
        if self._path.exists():
            sync_directory(self._path)

    def join(self, record: Record) -> None:
        """Makes the data of a joined upload, durably, then its record. Problem disk_full."""
        with self._room():
            target = os.open(self.data(record.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                for part in record.parts:
                    with self.data(part).open("rb") as source:
                        while os.copy_file_range(source.fileno(), target, COPY):
                            pass
                os.fsync(target)
            finally:
                os.close(target)
            self.touch(record)
        record.offset = self.data(record.id).stat().st_size
        self.save(record)

    def load(self, keep: Set[Path]) -> list[Record]:
        """Every upload an earlier run left, each as far as its data is. Other files go, but those of `keep`.

        Only before uploads run.
        """
        if not self._path.exists():
            return []
        found = {record.id: record for path in self._path.glob("*.json") if (record := _read(path))}
        for path in self._path.iterdir():
            known = found.get(path.stem) if path.suffix in (".json", ".data") else None
            refused = known is not None and known.refused and path.suffix == ".data"
            if path not in keep and (known is None or refused):
                path.unlink()
        for record in found.values():
            self._measure(record)
        return list(found.values())

    def _measure(self, record: Record) -> None:
        if record.ended is not None:
            record.offset = record.length or 0
            return
        data = self.data(record.id)
        if not data.exists():
            record.offset = record.length or 0
            return
        if record.unproven is not None:
            os.truncate(data, record.unproven)
            record.unproven = None
            self.save(record)
        with data.open("rb") as file:
            os.fsync(file.fileno())  # a killed process had written it: before it is told it must be on disk
            found = os.fstat(file.fileno())
        record.offset, record.touched = found.st_size, found.st_mtime

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise full(exc) from exc


class Appending:
    """Bytes being added to an upload's data. `offset` is how far it is; durable only after `settle`."""

    def __init__(self, path: Path, offset: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self.offset = offset

    def write(self, data: bytes) -> None:
        """Adds all of `data`, or nothing of it counts. Problem disk_full."""
        left, at = memoryview(data), self.offset
        try:
            while left:
                written = os.pwrite(self._fd, left, at)
                left, at = left[written:], at + written
        except OSError as exc:
            raise full(exc) from exc
        self.offset = at

    def settle(self, now: float) -> None:
        """Puts on disk what was added; cuts off what does not count. `now`: seconds since the epoch."""
        os.ftruncate(self._fd, self.offset)
        os.utime(self._fd, (now, now))
        os.fsync(self._fd)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._fd)


def _read(path: Path) -> Record | None:
    """The record, or None for a file that is none."""
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        return Record(**fields | {"parts": tuple(fields["parts"]), "id": path.stem})
    except (ValueError, TypeError, KeyError):
        return None
