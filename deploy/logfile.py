"""A log file of bounded size: when it is full it becomes `<name>.1`, the one before it is dropped.

On a full disk lines are lost, and counted: what is logged about must go on, and its pipe be read.
"""

from pathlib import Path
from typing import BinaryIO, Final

LIMIT_BYTES: Final = 8 << 20


class LogFile:
    """Appends bytes; keeps at most two files of `limit_bytes`. Mode 0600: logs name viewers and addresses."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._limit = limit_bytes
        self._file: BinaryIO | None = None
        self._lost = 0  # bytes that could not be written since the last that could

    def write(self, data: bytes) -> None:
        """Appends; rotates before a write that would pass the limit. What cannot be written is dropped."""
        try:
            file = self._file = self._ready_for(len(data))
            if self._lost:
                file.write(f"[{self._lost} bytes of log were lost here]\n".encode())
            file.write(data)
        except OSError:
            self._lost += len(data)
        else:
            self._lost = 0

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _ready_for(self, size: int) -> BinaryIO:
        if self._file is not None and self._file.tell() > 0 and self._file.tell() + size > self._limit:
            self.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        return self._file or self._open()

    def _open(self) -> BinaryIO:
        file = self._path.open("ab", buffering=0)  # nothing is held back that could fail to be written later
        if self._path.is_file():
            self._path.chmod(0o600)
        return file
