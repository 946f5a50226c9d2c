"""That a worker of this machine is alive, told to the others on it by a lock that dies with its process.

A lease has to end before another machine may say that a worker is dead; on its own machine the kernel knows
at once. One file a worker in one folder, locked (flock) for as long as it runs.
"""

import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_NAME_BYTES: Final = 6


class Presence:
    """One worker's. `holder` is its name in the catalogue. There while entered."""

    def __init__(self, folder: Path | None, node: str) -> None:
        """Without a folder nobody is told, and nobody is known to be dead."""
        self._folder = folder
        self._node = node
        self._name = f"{os.getpid()}-{secrets.token_hex(_NAME_BYTES)}"
        self._fd = -1
        self.holder = f"{node}/{self._name}"

    def __enter__(self) -> Self:
        """Be there. OSError when the folder cannot be had."""
        if self._folder is None:
            return self
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(self._folder / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be gone."""
        if self._folder is None:
            return
        (self._folder / self._name).unlink(missing_ok=True)
        os.close(self._fd)  # also unlocks

    def dead(self, holder: str) -> bool:
        """Whether that worker, of this machine, is not there any more. False for another machine's."""
        node, _, name = holder.rpartition("/")
        if self._folder is None or node != self._node or not name or name == self._name:
            return False
        try:
            fd = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            (self._folder / name).unlink(missing_ok=True)
            return True
        finally:
            os.close(fd)
