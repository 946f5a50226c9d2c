"""What the cache counts. Parts take `count(name, by)`; whoever assembles them renders these names."""

from collections.abc import Callable
from typing import Final

Count = Callable[[str, int], None]

COUNTERS: Final[dict[str, str]] = {
    "l1_hits": "objects opened whose slices were all in memory",
    "l2_hits": "objects opened from the second level",
    "misses": "objects opened that needed the origin, or somebody's fill from it",
    "fills": "fills this worker did itself, one for each object",
    "fill_resumes": "requests to the origin for the rest of a body that was cut or altered",
    "fills_abandoned": "fills stopped because nobody waited any more",
    "fills_failed": "fills that ended in a refusal",
    "origin_requests": "requests sent to the origin",
    "origin_bytes": "body bytes received from the origin",
    "origin_errors": "requests the origin did not answer, refused or cut",
    "shield_requests": "requests sent to shields",
    "shield_bytes": "body bytes received from shields",
    "shield_errors": "requests a shield did not answer, refused or cut",
    "failovers": "requests that went on to another shield or to the origin, as one before gave no bytes",
    "failovers_refused": "requests that did not, because too many had been sent a second time",
    "bad_slices": "slices from the origin that were not what the signed list says",
    "bad_l1": "files in the shared memory that were altered, cut or swapped",
    "bad_l2": "values in the second level that were altered, cut or swapped",
    "bad_documents": "descriptors and digest lists no known packager signed",
    "l1_unstored": "slices the memory had no room for",
    "l2_unstored": "slices the second level did not take",
    "l2_errors": "operations on the second level that failed or were too slow",
    "evictions": "slices evicted from memory",
    "evicted_bytes": "bytes evicted from memory",
    "claims_lost": "claims between nodes that somebody else took before the fill was done",
    "trust_refreshes": "times a signature made us ask for the packagers' keys again",
}


def ignore(name: str, by: int) -> None:
    """Counts nothing: for tools and tests that do not ask."""
