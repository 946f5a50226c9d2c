"""Where the root key is, and what may be asked of it: wrap, unwrap, and be followed by a new version.

The root key wraps the tenant keys and the service's own keys, and nothing is derived from it (SECURITY 3.1),
so whoever keeps it need not hand it out: `keys.root_files` has it in files, `keys.root_transit` leaves it
with an external key management service. What was wrapped says under which version; versions are labels that
only their keeper reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keys.cipher import BadWrap

Context = str | bytes | int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped key as it is stored, and the label of the root key's version that opens it."""

    root: str  # at most 64 characters: "1", "2", … of files, "vault:1", … of a transit key
    data: bytes = field(repr=False)


class RootKeys(Protocol):
    """A keeper of the root key. `context` is a label and what the wrapped key belongs to, bound to it."""

    async def newest(self) -> str:
        """The label of the version that wraps now."""
        ...

    async def wrap(self, plain: bytes, *context: Context) -> Wrapped:
        """Wrapped under the newest version. Problem unavailable when the keeper cannot be asked."""
        ...

    async def unwrap(self, wrapped: Wrapped, *context: Context) -> bytes:
        """What was wrapped. BadWrap for anything else, or when that version is not there (any more)."""
        ...

    async def rotate(self) -> str:
        """Makes a new version, which wraps from now on; its label. Older ones go on opening."""
        ...

    def opens(self, root: str) -> bool:
        """Whether a label is one of this keeper's."""
        ...


class Moved:
    """A root key that moved from one keeper to another: the new one wraps, each opens what it wrapped."""

    def __init__(self, now: RootKeys, before: Sequence[RootKeys]) -> None:
        self._now = now
        self._all = (now, *before)

    async def newest(self) -> str:
        """The label of the new keeper's newest version."""
        return await self._now.newest()

    async def wrap(self, plain: bytes, *context: Context) -> Wrapped:
        """Wrapped by the new keeper."""
        return await self._now.wrap(plain, *context)

    async def unwrap(self, wrapped: Wrapped, *context: Context) -> bytes:
        """What either wrapped."""
        for keeper in self._all:
            if keeper.opens(wrapped.root):
                return await keeper.unwrap(wrapped, *context)
        raise BadWrap(f"nobody here has version {wrapped.root} of the root key")

    async def rotate(self) -> str:
        """A new version at the new keeper."""
        return await self._now.rotate()

    def opens(self, root: str) -> bool:
        """Whether any of them knows the label."""
        return any(keeper.opens(root) for keeper in self._all)
