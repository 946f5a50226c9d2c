"""How well a cache could do that knew all requests to come.

`belady` takes out, or does not take in, what is asked for again latest (Belady 1966, with bypass): among
objects of one size no cache does better. Among objects of many sizes the best cannot be worked out in any
reasonable time; `belady` is then an offline policy that does well, and `bound` what none can exceed.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from deploy.bench.traces import Asked

NEVER: Final = 1 << 62


def next_uses(trace: Sequence[Asked]) -> list[int]:
    """For each request the number of the next for the same key, or NEVER."""
    found = [NEVER] * len(trace)
    last: dict[str, int] = {}
    for number in range(len(trace) - 1, -1, -1):
        key = trace[number].key
        found[number] = last.get(key, NEVER)
        last[key] = number
    return found


def belady(trace: Sequence[Asked], memory_bytes: int) -> list[bool]:
    """Which requests are hits."""
    after = next_uses(trace)
    kept: dict[str, tuple[int, int]] = {}  # key: (next use, bytes)
    latest: list[tuple[int, str]] = []  # a heap of (-next use, key); outdated ones are passed over
    used, hits = 0, []
    for number, (key, size) in enumerate(trace):
        held = kept.pop(key, None)
        hits.append(held is not None)
        used -= held[1] if held else 0
        if after[number] == NEVER or size > memory_bytes:
            continue
        kept[key] = (after[number], size)
        used += size
        heappush(latest, (-after[number], key))
        while used > memory_bytes:
            use, last = heappop(latest)
            if last in kept and kept[last][0] == -use:
                used -= kept.pop(last)[1]
    return hits


def bound(trace: Sequence[Asked], memory_bytes: int) -> float:
    """The byte hit ratio that no cache exceeds, whatever it knows (PFOO-L: Berger et al., SIGMETRICS 2018).

    A hit takes its object's bytes from the request before to this one. All hits together cannot take more
    than the memory times the length of the trace; the shortest waits give most hits for it.
    """
    waits = []
    for number, after in enumerate(next_uses(trace)):
        if after != NEVER and trace[number].size <= memory_bytes:
            waits.append((after - number, trace[after].size))
    room, hit = float(memory_bytes) * len(trace), 0.0
    for wait, size in sorted(waits):
        part = min(1.0, room / (wait * size)) if size else 0.0
        hit += part * size
        room -= part * wait * size
        if part < 1:
            break
    return hit / max(1, sum(asked.size for asked in trace))
