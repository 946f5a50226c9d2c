"""Which server of a Redis Cluster has a key: addresses, slots, and the map from one to the other. Pure.

Formats are those of the Redis Cluster specification: 16384 slots, CRC16 of the key (or of what is in its
braces), and the answer of CLUSTER SLOTS, `[[first, last, [host, port, …], …replicas], …]`.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from redis.crc import key_slot

SLOTS: Final = 16384
SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_PORT: Final = 6379
Place = tuple[str, int]  # host and port


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """`redis+cluster://[user:password@]host:port,host:port[?option=value]`; `rediss+cluster://` with TLS.

    The hosts are those asked first: what they say of the others is believed. User and options go for all.
    """

    scheme: str  # redis or rediss
    user: str  # user:password, as written; empty for none
    seeds: tuple[Place, ...]
    options: str  # as written after ?

    @classmethod
    def parse(cls, url: str) -> "ClusterAddress":
        """ValueError when it is not such an address."""
        scheme, mark, rest = url.partition("://")
        if scheme not in SCHEMES or not mark:
            raise ValueError("a cluster's address begins with redis+cluster:// or rediss+cluster://")
        rest, _, options = rest.partition("?")
        user, _, hosts = rest.rstrip("/").rpartition("@")
        if "/" in hosts:
            raise ValueError("a cluster has no numbered databases")
        return cls(SCHEMES[scheme], user, tuple(_place(host) for host in hosts.split(",")), options)

    def url(self, place: Place) -> str:
        """The address of one server of it."""
        host, port = place
        user, options = self.user and f"{self.user}@", self.options and f"?{self.options}"
        return f"{self.scheme}://{user}{f'[{host}]' if ':' in host else host}:{port}{options}"


def is_cluster(url: str) -> bool:
    """Whether an address is a cluster's."""
    return url.partition("://")[0] in SCHEMES


def slot_of(key: str) -> int:
    """The slot of a key."""
    return key_slot(key.encode())


def read_slots(answer: Any, asked: Place) -> list[Place | None]:
    """The primary of each slot by CLUSTER SLOTS; None: nobody has it. ValueError: it is no such answer.

    A server that does not know its own address leaves it empty: it is the one that was asked.
    """
    found: list[Place | None] = [None] * SLOTS
    if not isinstance(answer, list):
        raise ValueError("not an answer of CLUSTER SLOTS")
    try:
        for first, last, primary, *_ in answer:
            host, port = _text(primary[0]) or asked[0], int(primary[1])
            if not 0 <= first <= last < SLOTS:
                raise ValueError("slots that there are not")
            found[first : last + 1] = [(host, port)] * (last + 1 - first)
    except (TypeError, IndexError) as error:
        raise ValueError("not an answer of CLUSTER SLOTS") from error
    return found


def _place(text: str) -> Place:
    split = urlsplit(f"//{text}")
    if not split.hostname or split.path or split.query:
        raise ValueError("a cluster's address names hosts and ports like a:6379,b:6379")
    return split.hostname, split.port or _PORT


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else ""
