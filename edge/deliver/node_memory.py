"""The memory that the workers of one edge share: leases, and what was last heard of keys.

It is an anonymous memory file (memfd): it has no name in any file system, is inherited by the workers of one
edge only, and is gone with the last of them, so leases are still in memory only (SECURITY 3.4).
"""

import fcntl
import io
import os
from typing import Final

from edge.deliver import heard, lease_shelf
from edge.deliver.heard import Heard
from edge.deliver.lease_shelf import LeaseShelf

_TRUST: Final = lease_shelf.SIZE
_REVOCATIONS: Final = _TRUST + heard.SIZE
_SIZE: Final = _REVOCATIONS + heard.SIZE
_SEALS: Final = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def new_memory() -> io.FileIO:
    """The memory of one edge, empty. Whoever starts the workers holds it and hands it to each."""
    memory = io.FileIO(os.memfd_create("sluice-edge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")
    memory.truncate(_SIZE)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)  # nobody can make it shorter under a reader
    return memory


class NodeMemory:
    """One worker's view of what lies in the memory file `fd`."""

    def __init__(self, fd: int) -> None:
        self.leases = LeaseShelf(fd)
        self.trust = Heard(fd, _TRUST)
        self.revocations = Heard(fd, _REVOCATIONS)
