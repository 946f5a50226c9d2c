"""What goes when memory is full: three queues, so that what is asked for once pushes out nothing. Pure.

New keys wait in a small queue. Who is asked for again meanwhile moves to the main queue when his turn comes;
who is not goes, and is remembered by his hash alone for as long as as many bytes again have gone: coming back
by then, he is taken into the main queue at once. The main queue gives those another round that were asked for
since the last. So a scan, and all that is asked for once, passes through the small queue. The idea is that of
S3-FIFO (Yang et al., SOSP 2023), here in bytes.

A touch is a look-up and an addition; nothing is moved, and no queue is ever sorted.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

SMALL: Final = 0.1  # share of the limit that what is new may hold against the rest
MOST_ROUNDS: Final = 3  # that a key may have earned: what was asked for long ago goes in the end

K = TypeVar("K", bound=Hashable)


class _Item:
    __slots__ = ("main", "size", "touched")

    def __init__(self, size: int, *, main: bool) -> None:
        self.size = size  # bytes
        self.main = main
        self.touched = 0


class Eviction(Generic[K]):
    """Which of the keys that are kept are to go. Holds their sizes, never what is kept under them."""

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit = limit_bytes
        self._small_limit = int(limit_bytes * SMALL)
        self._small_bytes = 0
        self._items: dict[K, _Item] = {}
        self._small: OrderedDict[K, _Item] = OrderedDict()  # the next to go first, as in all of them
        self._main: OrderedDict[K, _Item] = OrderedDict()
        self._gone: OrderedDict[int, int] = OrderedDict()  # hash of a key: its bytes
        self._gone_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def size(self, key: K) -> int:
        """Bytes of a key; 0 when it is not kept."""
        item = self._items.get(key)
        return 0 if item is None else item.size

    def touch(self, key: K) -> None:
        """It was asked for. Nothing happens when it is not kept."""
        item = self._items.get(key)
        if item is not None and item.touched < MOST_ROUNDS:
            item.touched += 1

    def add(self, key: K, size: int) -> None:
        """It is kept from now on; one that is kept already has another size."""
        if key in self._items:
            self.grow(key, size - self._items[key].size)
            return
        again = self._gone.pop(hash(key), None)
        self._gone_bytes -= again or 0
        item = self._items[key] = _Item(0, main=again is not None)
        (self._main if item.main else self._small)[key] = item
        self.grow(key, size)

    def grow(self, key: K, by: int) -> None:
        """It takes so many bytes more, or less. KeyError when it is not kept."""
        item = self._items[key]
        item.size += by
        self.used_bytes += by
        if not item.main:
            self._small_bytes += by

    def remove(self, key: K) -> None:
        """It is not kept any more, for a reason that says nothing of its use. Fine when it is not kept."""
        item = self._items.pop(key, None)
        if item is not None:
            del (self._main if item.main else self._small)[key]
            self.used_bytes -= item.size
            if not item.main:
                self._small_bytes -= item.size

    def victims(self, *spare: K) -> Iterator[K]:
        """What has to go so that the rest is within the limit, one by one as it is asked for: taken out here.

        Never what is to be spared, so that what is just coming may stay; larger than the limit, that is left.
        """
        spared = frozenset(spare)
        while self.used_bytes > self._limit:
            key = self._victim(spared)
            if key is None:
                return
            yield key

    def _victim(self, spare: frozenset[K]) -> K | None:
        """The next to go; the hands of both queues move on to it."""
        while True:
            small, main = _others(self._small, spare), _others(self._main, spare)
            if small and (self._small_bytes > self._small_limit or not main):
                key, item = self._small.popitem(last=False)
                if key in spare:
                    self._small[key] = item
                elif item.touched:
                    item.main, item.touched = True, 0
                    self._small_bytes -= item.size
                    self._main[key] = item
                else:
                    self._small_bytes -= item.size
                    self._goes(key, item)
                    return key
            elif main:
                key, item = self._main.popitem(last=False)
                if key not in spare and not item.touched:
                    del self._items[key]
                    self.used_bytes -= item.size
                    return key
                item.touched = max(0, item.touched - 1)
                self._main[key] = item
            else:
                return None

    def _goes(self, key: K, item: _Item) -> None:
        """Out of the small queue, and remembered for a while."""
        del self._items[key]
        self.used_bytes -= item.size
        name = hash(key)
        self._gone_bytes += item.size - self._gone.pop(name, 0)
        self._gone[name] = item.size
        most = 64 + 2 * len(self._items)
        while self._gone and (self._gone_bytes > self._limit or len(self._gone) > most):
            self._gone_bytes -= self._gone.popitem(last=False)[1]


def _others(queue: OrderedDict[K, _Item], spare: frozenset[K]) -> bool:
    """Whether anything else is in it."""
    return len(queue) > sum(key in queue for key in spare)
