"""A log file of bounded size: when it is full it becomes `<name>.1`, the one before it is dropped."""

from pathlib import Path
from typing import BinaryIO, Final

LIMIT_BYTES: Final = 8 << 20


class LogFile:
    """Appends bytes; keeps at most two files of `limit_bytes`. Mode 0600: logs name viewers and addresses."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._limit = limit_bytes
        self._file = self._open()

    def write(self, data: bytes) -> None:
        """Appends and flushes; rotates before a write that would pass the limit."""
        if self._file.tell() + len(data) > self._limit and self._file.tell() > 0:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._open()
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _open(self) -> BinaryIO:
        file = self._path.open("ab")
        self._path.chmod(0o600)
        return file
