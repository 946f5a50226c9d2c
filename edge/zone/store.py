"""One worker's entries and bodies in memory, bounded in bytes; `edge.cache.eviction` says what goes.

An entry is there from when its head came, its body may still be coming. Who reads a body that is dropped
reads it to its end. Slices of a large body are kept and let go each for itself, under a name of its own, and
all of them with their entry.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from edge.cache.eviction import Eviction
from edge.http import vary
from edge.http.entry import Entry
from edge.http.freshness import expired
from edge.http.invalidation import labels
from edge.http.partial import validator
from edge.zone.body import Body
from edge.zone.labels import Labels, cost
from edge.zone.purge import Hard, Recent, concerns, stale
from edge.zone.sliced import Sliced
from keys.derive import enc
from keys.purge import KEY, URL, Purge

OVERHEAD_BYTES: Final = 1024  # what an entry costs besides its fields and body
VARIANTS: Final = 32  # of one URI (SECURITY H23); the oldest goes
STEP: Final = 500  # URIs that are looked at in one step of a purge: some milliseconds


class Held:
    """An entry and its body."""

    __slots__ = ("body", "bytes", "change", "entry", "labels", "slices")

    def __init__(self, entry: Entry, body: Body | Sliced) -> None:
        self.entry = entry
        self.body = body
        self.slices: dict[int, Slice] = {}
        self.change = 0  # of the store, that was the last of this
        self.labels = labels(entry.fields)
        self.bytes = OVERHEAD_BYTES + len(entry.uri) + sum(len(n) + len(v) for n, v in entry.fields)
        self.bytes += cost(self.labels)

    @property
    def name(self) -> str:
        """Under which it is kept."""
        return self.entry.uri


class Slice:
    """A place for slice `index` of what is held, whose bytes are its body's."""

    __slots__ = ("bytes", "held", "index", "name")

    def __init__(self, held: Held, index: int, size: int) -> None:
        self.held, self.index, self.bytes = held, index, size
        self.name = f"slice:{slices_name(held.entry)}/{index}"  # no URI begins like that


class Store:
    """Entries by URI."""

    def __init__(self, limit_bytes: int, object_bytes: int) -> None:
        """Keeps `limit_bytes` in all, and no body larger than `object_bytes`."""
        self.object_bytes = object_bytes
        self._limit = limit_bytes
        self._by_host: Counter[str] = Counter()  # bytes
        self._names: dict[str, list[Held | Slice]] = {}
        self._order = Eviction[str](limit_bytes)
        self._labels = Labels[Held]()
        self._purged, self._hard = Recent(), Hard()
        self._changes = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of all that is kept."""
        return self._order.used_bytes

    def bytes_of(self, host: str) -> int:
        """Bytes of all that is kept of URIs with this host: of a zone's name."""
        return self._by_host[host]

    def get(self, uri: str) -> Sequence[Held]:
        """What is held of a URI, as its latest use."""
        self._order.touch(uri)
        return [unit for unit in self._names.get(uri, ()) if isinstance(unit, Held)]

    def add(self, entry: Entry, body: Body | Sliced, *, doubt_s: float = 0.0) -> Held:
        """Keeps an entry in the place of those it is newer than; not one that was purged on its way.

        `doubt_s`: so much earlier than it says it may have been asked for, by our clock.
        """
        held = Held(entry, body)
        verdict = self._purged.verdict(entry, held.labels, doubt_s)
        if verdict is False:
            return held
        if verdict:
            held.entry = stale(entry, entry.received)
        beside = self._put(held)
        self._changed(held)
        self._labels.add(held, held.labels)
        for old in tuple(beside):  # now that the URI stays: what is known of its use goes with the last of it
            if isinstance(old, Held) and old is not held and _replaces(entry, old.entry):
                self.remove(old)
        if len(beside) > VARIANTS:
            self.remove(beside[0])
        if isinstance(body, Sliced):
            body.shelf = _Shelf(self, held)
        self._make_room(held)
        return held

    def grow(self, held: Held, body: Body, by: int) -> None:
        """Its body is larger by that; one that is too large is not kept."""
        if not self._has(held):
            body.drop()
            return
        held.bytes += by
        self._order.grow(held.name, by)
        self._weighs(held, by)
        if body.size + by > self.object_bytes or held.bytes > self._limit:
            self.remove(held)
            body.drop()
        else:
            self._make_room(held)

    def add_slice(self, held: Held, index: int, size: int) -> bool:
        """Keeps a slice of what is held, if that is kept."""
        if not self._has(held):
            return False
        old = held.slices.get(index)
        if old is not None:
            self.remove(old)
        unit = held.slices[index] = Slice(held, index, size)
        self._put(unit)
        self._order.touch(held.name)
        self._make_room(unit)
        return index in held.slices

    def use_slice(self, held: Held, index: int) -> None:
        """It is read."""
        if index in held.slices:
            self._order.touch(held.slices[index].name)
            self._order.touch(held.name)

    def update(self, held: Held, entry: Entry) -> None:
        """The same body, with what was learnt of it."""
        now_labelled = labels(entry.fields)
        if now_labelled != held.labels:
            if self._has(held):
                self._labels.remove(held, held.labels)
                self._labels.add(held, now_labelled)
            held.labels = now_labelled
        purged = self._purged.verdict(entry, held.labels) is not None
        held.entry = stale(entry, entry.received) if purged else entry
        self._changed(held)

    def purged(self, entry: Entry) -> float:
        """When slices of this representation were last purged, by our clock; what is older is not good."""
        return self._hard.last(entry.uri, labels(entry.fields))

    def doubt(self, uri: str, until: float | None) -> None:
        """What is held of a URI and was asked for by then is validated before it is given to anybody."""
        if until is None:
            return
        for held in self.get(uri):
            if held.entry.requested <= until:
                held.entry = expired(held.entry)

    def finish(self, held: Held, size: int) -> None:
        """Its body is whole, so its length is known."""
        held.entry = replace(held.entry, length=size)

    def remove(self, unit: Held | Slice) -> None:
        """Keeps it no longer: an entry with all its slices, or one slice."""
        if not self._has(unit):
            return
        beside = self._names[unit.name]
        beside.remove(unit)
        if beside:
            self._order.grow(unit.name, -unit.bytes)
        else:
            del self._names[unit.name]
            self._order.remove(unit.name)
        self._went(unit)

    def purge(self, purges: Sequence[Purge] | None, now: float) -> Iterator[int]:
        """Takes away what purges concern, or makes it stale, in steps: others have their turn between them.

        Each step tells how many it concerned. What comes later, but was asked for by `now`, is held against
        them from the first step on. None: all of it is stale.
        """
        told: Sequence[Purge | None] = (None,) if purges is None else purges
        for purge in told:
            self._purged.add(purge, now)
            self._hard.add(purge, now)
        until = self._changes
        for purge in told:
            for step in self._steps(purge):
                found = [held for held in step if held.change <= until]
                for held in found:
                    if purge is None or purge.soft:
                        held.entry = stale(held.entry, now)
                    else:
                        self.remove(held)
                yield len(found)

    def _steps(self, purge: Purge | None) -> Iterator[list[Held]]:
        """What a purge concerns. URIs are compared as text: there may be very many."""
        if purge is not None and purge.kind == KEY:
            having = self._labels.having(purge.value.encode())
            for at in range(0, len(having), STEP):
                yield [
                    held for held in having[at : at + STEP] if concerns(purge, held.entry.uri, held.labels)
                ]
            return
        begins: tuple[str, ...] = ("http://", "https://")
        if purge is not None:
            begins = tuple(f"{each}{purge.zone}{purge.value or '/'}" for each in begins)
        uris = list(begins) if purge is not None and purge.kind == URL else list(self._names)
        for at in range(0, len(uris), STEP):
            fitting = [uri for uri in uris[at : at + STEP] if uri.startswith(begins)]
            yield [held for uri in fitting for held in self._names.get(uri, ()) if isinstance(held, Held)]

    def _changed(self, held: Held) -> None:
        self._changes += 1
        held.change = self._changes

    def _weighs(self, unit: Held | Slice, by: int) -> None:
        host = _host(unit)
        self._by_host[host] += by
        if not self._by_host[host]:
            del self._by_host[host]

    def _went(self, unit: Held | Slice) -> None:
        """What goes with it: with an entry its slices; of a slice its bytes."""
        self._weighs(unit, -unit.bytes)
        if isinstance(unit, Held):
            self._labels.remove(unit, unit.labels)
            for part in tuple(unit.slices.values()):
                self.remove(part)
            return
        unit.held.slices.pop(unit.index, None)
        if isinstance(unit.held.body, Sliced):
            unit.held.body.forget(unit.index)

    def _put(self, unit: Held | Slice) -> list[Held | Slice]:
        beside = self._names.setdefault(unit.name, [])
        beside.append(unit)
        self._order.add(unit.name, self._order.size(unit.name) + unit.bytes)
        self._weighs(unit, unit.bytes)
        return beside

    def _has(self, unit: Held | Slice) -> bool:
        return unit in self._names.get(unit.name, ())

    def _make_room(self, wanted: Held | Slice) -> None:
        entry = wanted if isinstance(wanted, Held) else wanted.held  # with which all its slices would go
        for name in self._order.victims(wanted.name, entry.name):
            for unit in self._names.pop(name):
                self._went(unit)
        beside = [*self._names.get(entry.name, ()), wanted]
        for unit in beside:  # those alone are left: other variants go, the oldest first, then the slice
            if self.used_bytes <= self._limit:
                return
            if unit is not entry:
                self.remove(unit)


class _Shelf:
    """Where the slices of one entry are kept (`sliced.Shelf`)."""

    def __init__(self, store: Store, held: Held) -> None:
        self._store, self._held = store, held

    def keep(self, index: int, size: int) -> bool:
        """Whether it is kept."""
        return self._store.add_slice(self._held, index, size)

    def use(self, index: int) -> None:
        """It is read."""
        self._store.use_slice(self._held, index)

    def lose(self, index: int) -> None:
        """It did not come whole."""
        if index in self._held.slices:
            self._store.remove(self._held.slices[index])

    def drop(self) -> None:
        """Nothing of it is good any more."""
        self._store.remove(self._held)


def held_of(found: Sequence[Held], entry: Entry) -> Held:
    """The one of these that has this very entry."""
    return next(held for held in found if held.entry is entry)


def slices_name(entry: Entry) -> str:
    """64 hex digits that stand for one representation: with an index, the name of a slice on every edge."""
    length = entry.length or 0
    told = enc(
        "sluice1 zone slices", entry.uri, vary.variant_key(entry.variant), validator(entry) or b"", length
    )
    return hashlib.sha256(told).hexdigest()


def _replaces(new: Entry, old: Entry) -> bool:
    return old.variant == new.variant and not _completes(old, new)


def _host(unit: Held | Slice) -> str:
    held = unit if isinstance(unit, Held) else unit.held
    return held.entry.uri.partition("://")[2].partition("/")[0]


def _completes(old: Entry, new: Entry) -> bool:
    """Whether both can stand beside each other: other bytes of the very same representation."""
    same = old.etag is not None and old.etag == new.etag and not old.etag.startswith(b"W/")
    return same and old.span != new.span and (old.span is not None or new.span is not None)
