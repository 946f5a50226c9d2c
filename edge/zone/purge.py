"""What a purge means for what is kept, and for what was on its way when it came (`keys.purge`). Pure.

The host of an entry's URI is its zone's name. A purge concerns all that was asked of the origin before this
worker heard of it, by this worker's clock: nobody else's is needed, and too much is purged rather than too
little. So an answer that comes late is held against the purges heard since it was asked for.
"""

from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from edge.http.entry import Entry
from edge.http.freshness import age
from keys.purge import KEY, PREFIX, URL, ZONE, Purge

RECENT_MOST: Final = 1000  # that late answers are held against; one asked for before those is stale

HARD_MOST: Final = 10_000  # as many as keys tells of,
PREFIXES_MOST: Final = 1000  # and these of prefixes, which are all looked at


def concerns(purge: Purge, uri: str, labels: Collection[bytes]) -> bool:
    """Whether a purge means what is kept by this URI, with these surrogate keys."""
    zone, rest = place(uri)
    if zone != purge.zone:
        return False
    if purge.kind == URL:
        return rest == purge.value
    if purge.kind == PREFIX:
        return rest.startswith(purge.value)
    if purge.kind == KEY:
        return purge.value.encode() in labels
    return purge.kind == ZONE


def place(uri: str) -> tuple[str, str]:
    """(zone, path and query) of `http://zone/path?query`."""
    zone, slash, rest = uri.partition("://")[2].partition("/")
    return zone, slash + rest


def stale(entry: Entry, now: float) -> Entry:
    """The entry as one that has just ceased to be fresh: it is validated, or served within its windows."""
    return replace(entry, lifetime_s=min(entry.lifetime_s, age(entry, now)))


class Recent:
    """The purges this worker heard of lately."""

    def __init__(self) -> None:
        self._heard: deque[tuple[float, Purge | None]] = deque()  # None: a soft one of everything
        self._before = float("-inf")  # nothing is known of what came until then

    def add(self, purge: Purge | None, now: float) -> None:
        """It is heard now."""
        self._heard.append((now, purge))
        if len(self._heard) > RECENT_MOST:
            self._before = self._heard.popleft()[0]

    def verdict(self, entry: Entry, labels: Collection[bytes], doubt_s: float = 0.0) -> bool | None:
        """What the purges heard since an entry was asked for mean for it: True it is stale, False gone.

        `doubt_s`: by so much the clock it was asked for by may be ahead of the one purges are heard by.
        """
        requested = entry.requested - doubt_s
        found = True if requested <= self._before else None
        for heard, purge in reversed(self._heard):
            if heard < requested:
                break
            if purge is None:
                found = True
            elif concerns(purge, entry.uri, labels):
                if not purge.soft:
                    return False
                found = True
        return found


class Hard:
    """When what was purged hard last: for parts of bodies that others stored, which say when that was."""

    def __init__(self) -> None:
        self._named = OrderedDict[tuple[str, str, bytes], float]()
        self._prefixes = OrderedDict[tuple[str, str], float]()
        self._before = float("-inf")  # nothing is known of purges until then

    def add(self, purge: Purge | None, now: float) -> None:
        """It is heard now; soft ones do not count, as then the origin is asked whether all of it holds."""
        if purge is None or purge.soft:
            return
        if purge.kind == PREFIX:
            self._prefixes[purge.zone, purge.value] = now
            self._prefixes.move_to_end((purge.zone, purge.value))
        else:
            name = (purge.kind, purge.zone, purge.value.encode())
            self._named[name] = now
            self._named.move_to_end(name)
        if len(self._named) > HARD_MOST:
            self._before = max(self._before, self._named.popitem(last=False)[1])
        if len(self._prefixes) > PREFIXES_MOST:
            self._before = max(self._before, self._prefixes.popitem(last=False)[1])

    def last(self, uri: str, labels: Collection[bytes]) -> float:
        """When what is kept by this URI, with these surrogate keys, was purged last; -inf: never."""
        zone, rest = place(uri)
        names = [(URL, zone, rest.encode()), (ZONE, zone, b""), *((KEY, zone, label) for label in labels)]
        found = [self._before, *(self._named.get(name, self._before) for name in names)]
        found += [
            heard for (of, begins), heard in self._prefixes.items() if of == zone and rest.startswith(begins)
        ]
        return max(found)
