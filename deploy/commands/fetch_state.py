"""How far a download has come: which bytes are there, kept beside the partial file so that it can go on.

    FILE.part        the bytes, each at its place
    FILE.part.json   {"etag": "…", "size": n, "done": [[start, stop], …]}

What the state says of a crash it did not see may be too much; the digest at the end finds that out.
"""

import bisect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PIECE: Final = 16 << 20  # bytes of one request: as many as an edge fetches at once


@dataclass
class Done:
    """The bytes there are, as spans (start ≤ i < stop) that neither touch nor overlap, in order."""

    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, stop: int) -> None:
        """These bytes are there now."""
        if start >= stop:
            return
        first = bisect.bisect_left(self.spans, start, key=lambda span: span[1])
        last = bisect.bisect_right(self.spans, stop, key=lambda span: span[0])
        touched = self.spans[first:last]
        if touched:
            start, stop = min(start, touched[0][0]), max(stop, touched[-1][1])
        self.spans[first:last] = [(start, stop)]

    def size(self) -> int:
        """How many bytes are there."""
        return sum(stop - start for start, stop in self.spans)

    def missing(self, size: int, piece: int = PIECE) -> list[tuple[int, int]]:
        """What is still to be fetched of `size` bytes, in order, cut at every multiple of `piece`."""
        holes, at = [], 0
        for start, stop in [*self.spans, (size, size)]:
            while at < start:
                end = min(start, (at // piece + 1) * piece)
                holes.append((at, end))
                at = end
            at = max(at, stop)
        return holes


@dataclass
class State:
    """A partial download of the file with this mark and size. The mark of a plain one is its entity tag."""

    mark: str
    size: int
    done: Done = field(default_factory=Done)

    def save(self, path: Path) -> None:
        """Writes it in one step."""
        spans = [list(span) for span in self.done.spans]
        new = path.with_name(path.name + ".new")
        new.write_text(json.dumps({"etag": self.mark, "size": self.size, "done": spans}) + "\n")
        new.replace(path)


def load(path: Path) -> State | None:
    """What was saved there; None when nothing was, or nothing that makes sense."""
    try:
        found = json.loads(path.read_text())
        state = State(str(found["etag"]), int(found["size"]))
        for start, stop in found["done"]:
            if not 0 <= int(start) <= int(stop) <= state.size:
                return None
            state.done.add(int(start), int(stop))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state
