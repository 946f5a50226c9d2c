"""What one worker keeps: entries and their bodies in memory, bounded in bytes; the least recently used go.

An entry is there from when its head came, its body may still be coming. Who reads a body that is dropped
reads it to its end.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from edge.http.entry import Entry
from edge.zone.body import Body

OVERHEAD_BYTES: Final = 1024  # what an entry costs besides its fields and body
VARIANTS: Final = 64  # of one URI; the oldest goes


class Held:
    """An entry and its body."""

    __slots__ = ("body", "bytes", "entry")

    def __init__(self, entry: Entry, body: Body) -> None:
        self.entry = entry
        self.body = body
        self.bytes = OVERHEAD_BYTES + len(entry.uri) + sum(len(n) + len(v) for n, v in entry.fields)


class Store:
    """Entries by URI."""

    def __init__(self, limit_bytes: int, object_bytes: int) -> None:
        """Keeps `limit_bytes` in all, and no body larger than `object_bytes`."""
        self.object_bytes = object_bytes
        self.used_bytes = 0
        self._limit = limit_bytes
        self._uris: OrderedDict[str, list[Held]] = OrderedDict()

    def get(self, uri: str) -> Sequence[Held]:
        """What is held of a URI, as its latest use."""
        found = self._uris.get(uri)
        if found is None:
            return ()
        self._uris.move_to_end(uri)
        return found

    def add(self, entry: Entry, body: Body) -> Held:
        """Keeps an entry in the place of those it is newer than."""
        held = Held(entry, body)
        for old in tuple(self._uris.get(entry.uri, ())):
            if old.entry.variant == entry.variant and not _completes(old.entry, entry):
                self.remove(old)
        beside = self._uris.setdefault(entry.uri, [])
        self._uris.move_to_end(entry.uri)
        beside.append(held)
        self.used_bytes += held.bytes
        if len(beside) > VARIANTS:
            self.remove(beside[0])
        self._make_room(held)
        return held

    def grow(self, held: Held, by: int) -> None:
        """Its body is larger by that; one that is too large is not kept."""
        if not self._has(held):
            held.body.drop()
            return
        held.bytes += by
        self.used_bytes += by
        if held.body.size + by > self.object_bytes or held.bytes > self._limit:
            self.remove(held)
            held.body.drop()
        else:
            self._make_room(held)

    def update(self, held: Held, entry: Entry) -> None:
        """The same body, with what was learnt of it."""
        held.entry = entry

    def finish(self, held: Held) -> None:
        """Its body is whole, so its length is known."""
        held.entry = replace(held.entry, length=held.body.size)

    def remove(self, held: Held) -> None:
        """Keeps it no longer."""
        if not self._has(held):
            return
        beside = self._uris[held.entry.uri]
        beside.remove(held)
        self.used_bytes -= held.bytes
        if not beside:
            del self._uris[held.entry.uri]

    def _has(self, held: Held) -> bool:
        return held in self._uris.get(held.entry.uri, ())

    def _make_room(self, wanted: Held) -> None:
        while self.used_bytes > self._limit:
            oldest = next(iter(self._uris.values()))
            victim = next((each for each in oldest if each is not wanted), None)
            if victim is None:
                if len(self._uris) == 1:
                    return
                self._uris.move_to_end(wanted.entry.uri)
                continue
            self.remove(victim)


def _completes(old: Entry, new: Entry) -> bool:
    """Whether both can stand beside each other: other bytes of the very same representation."""
    same = old.etag is not None and old.etag == new.etag and not old.etag.startswith(b"W/")
    return same and old.span != new.span and (old.span is not None or new.span is not None)
