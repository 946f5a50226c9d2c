"""A file's bytes in place: a read-only view of a mapped file that holds no file descriptor.

Python's own `mmap` keeps a descriptor for each map, and a worker maps thousands of slices. The map lives as
long as any view of it does, also after the file was unlinked; nobody may truncate a mapped file (that would
be SIGBUS).
"""

import ctypes
import mmap
import os
import weakref
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_LIBC.munmap.restype = ctypes.c_int
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED: Final = ctypes.c_void_p(-1).value
_FLAGS: Final = mmap.MAP_SHARED | mmap.MAP_POPULATE  # prefaulted: the reader will read all of it at once


def map_readonly(fd: int, size: int) -> memoryview:
    """A view of the first `size` ≥ 1 bytes of an open file, which may then be closed. OSError if not."""
    address = _LIBC.mmap(None, size, mmap.PROT_READ, _FLAGS, fd, 0)
    if address == _FAILED or address is None:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    block = (ctypes.c_ubyte * size).from_address(address)
    # Every view holds `block`; when the last one goes, so does the map. Not at exit: views may be in use.
    weakref.finalize(block, _LIBC.munmap, address, size).atexit = False
    return memoryview(block).cast("B").toreadonly()
