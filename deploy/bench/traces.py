"""Traces of requests: read from a file, or made up. Pure, but for the reading.

A file has a line a request, `time key size`: seconds (a decimal number; only its order in the file counts),
any text without spaces, bytes of the whole object. What follows on a line, empty lines and lines that begin
with `#` are passed over.
"""

import random
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

SEED: Final = 9111


class Asked(NamedTuple):
    """One request."""

    key: str
    size: int  # bytes


class BadTrace(ValueError):
    """What is wrong with a trace, and where."""


def read(lines: Iterable[str]) -> Iterator[Asked]:
    """The requests of a trace file. BadTrace."""
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            at, key, size = fields[:3]
            float(at)
            asked = Asked(key, int(size))
        except ValueError as error:
            raise BadTrace(f"line {number} is not `time key size`") from error
        if asked.size < 0:
            raise BadTrace(f"line {number} has a size below 0")
        yield asked


def zipf(memory_bytes: int, requests: int = 200_000) -> list[Asked]:
    """Objects of 4 KiB to 1 MiB by Zipf's law (exponent 0.9), ten times the memory in all; each third request
    is for one that nobody asks for again."""
    draw = random.Random(SEED)
    sizes: list[int] = []
    while sum(sizes) < 10 * memory_bytes:
        sizes += [_size(draw) for _ in range(100)]
    weights = list(accumulate(1 / rank**0.9 for rank in range(1, len(sizes) + 1)))
    popular = iter(draw.choices(range(len(sizes)), cum_weights=weights, k=requests))
    return [
        Asked(f"once-{number}", _size(draw)) if number % 3 == 2 else Asked(f"z-{which}", sizes[which])
        for number, which in enumerate(popular)
    ]


def scan(memory_bytes: int, requests: int = 200_000) -> list[Asked]:
    """A hot set of 0.6 of the memory, each object as likely as another, in slices of a 256th of the memory;
    every other request goes on through a film of the long tail that never ends."""
    draw = random.Random(SEED)
    size = memory_bytes // 256
    hot = range(int(0.6 * memory_bytes) // size)
    return [
        Asked(f"tail-{number}", size) if number % 2 else Asked(f"hot-{draw.choice(hot)}", size)
        for number in range(requests)
    ]


def _size(draw: random.Random) -> int:
    return int(4096 * 256 ** draw.random())
