"""What a shield counts besides what its cache does."""

from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "requests": "requests of edges for stored objects, refused ones left out",
    "bytes": "body bytes sent to edges",
    "refused": "requests of strangers, of nodes of another role, or for what has no name",
    "loops": "requests that had been here before",
}
