"""What delivery needs of the cache and of the pace behind it.

`edge.cache.library.Library` and `edge.deliver.pace.PaceGate` fit; tests bring others.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from keys.pace import Pace
from origin.media.asset import Descriptor


class Opened(Protocol):
    """One stored object, its slices opened as they arrive."""

    @property
    def length(self) -> int:
        """Plain bytes."""
        ...

    @property
    def source(self) -> str:
        """Where it began to come from: `l1`, `l2` or `origin`."""
        ...

    @property
    def stored(self) -> bool:
        """Whether what came from the origin is kept."""
        ...

    def close(self) -> None:
        """No more slices are wanted."""
        ...

    async def slice(self, index: int) -> memoryview:
        """Plain slice `index`, as soon as it is there. Problem when it will not be."""
        ...


class Grant(Protocol):
    """Leave to send one segment. Leaving the `with` block before it is given charges nothing."""

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was given within so many seconds; may be asked again."""
        ...

    def may_drip(self) -> bool:
        """Whether a few bytes may go out before it is given."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PaceGate(Protocol):
    """Who knows every viewer's pace; `edge.deliver.pace.PaceGate` fits."""

    def request(
        self,
        bucket: str,
        media_type: str,
        pace: Pace,
        item: str,
        number: int,
        seconds: float,
        following: Sequence[float] = (),
    ) -> Grant:
        """Asks for `seconds` of media: segment `number` of `item` (`asset:generation`).

        `following`: seconds of the segments after it, which will likely be asked for next.
        """
        ...


class Library(Protocol):
    """Everything published, by name."""

    async def descriptor(self, asset: str, generation: int) -> Descriptor:
        """What the asset consists of, its signature checked. Problem when there is none."""
        ...

    async def open(
        self,
        tenant: str,
        asset: str,
        generation: int,
        rendition: str,
        name: str,
        storage_key: bytes,
        *,
        wanted: range | None = None,
    ) -> Opened:
        """The object of that name. `wanted`: the slices to be read, all when None. Problem when absent."""
        ...
