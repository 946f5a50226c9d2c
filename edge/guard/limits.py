"""The numbers a client must keep to (SECURITY T11), as one table. Pure."""

from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 32 << 10  # request line and fields
TARGET_BYTES: Final = 8 << 10  # RFC 9112 §3 asks for 8,000 octets at least
FIELDS: Final = 100
TRAILER_BYTES: Final = 4 << 10
CHUNK_LINE_BYTES: Final = 256  # a chunk's size and its extensions
EXTENSION_BYTES: Final = 4 << 10  # of all chunk extensions of a body together
SMALL_CHUNKS: Final = 1024  # this many chunks may be of any size,
CHUNK_BYTES: Final = 64  # the others hold so much on average: each costs us as much work as a large one


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may take for what, and how many may come. The defaults are what we serve with."""

    head_s: float = 10.0  # from connecting, or from a request's first byte, to the end of its head
    body_s: float = 10.0  # a body has this long before its rate counts
    body_rate: int = 1024  # bytes a second of a request's body, from then on
    body_credit_s: float = 20.0  # what a fast body may pause later
    stall_s: float = 30.0  # for a client that takes nothing of an answer; one that takes little may go on
    idle_s: float = 60.0  # between an answer and the next request (F22)
    linger_s: float = 2.0  # for reading on after a refusal, so that the client gets to see it
    drain_s: float = 1.0  # for a request already on its way when the service is to end
    look_every_s: float = 1.0  # how often connections are looked at: what every time above is exact to
    body_bytes: int | None = None  # a request's body; None: the application decides
    connections: int = 10_000  # of one process, all clients together
    connections_per_client: int = 500  # of one process with one address (IPv6: one /64)
    write_buffer: int = 64 << 10  # bytes of an answer that wait for the client before its maker waits too
    any_method: bool = False  # also those nothing here knows: an origin may
