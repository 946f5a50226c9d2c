"""Which of several caches a thing belongs to: rendezvous hashing (Thaler and Ravishankar, 1998). Pure.

Each name gets a weight for each key; the heaviest owns it. Whoever knows the same names agrees, without a
word between them. When a name goes, only what it owned moves, to the next heaviest; when one comes, it
takes an equal share from each.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from keys.derive import enc

SHIELDS_ASKED: Final = 2  # for one thing, before its origins are


def ranked(names: Iterable[str], key: str) -> list[str]:
    """The names, the owner of the key first, then whoever takes its place; in whatever order they came."""
    return sorted(set(names), key=lambda name: (_weight(name, key), name), reverse=True)


def owner(names: Iterable[str], key: str) -> str:
    """The name that owns the key. ValueError when there is none."""
    return max(set(names), key=lambda name: (_weight(name, key), name))


def _weight(name: str, key: str) -> bytes:
    return hashlib.blake2b(enc("sluice1 owner", name, key), digest_size=16).digest()
