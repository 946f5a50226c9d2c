"""Who is asking: the address a request came from, past the proxies an operator said to trust. Pure.

The socket's address counts, unless it is a trusted proxy's; then the rightmost X-Forwarded-For entry that
is not a trusted proxy does. Entries are `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, and may name a port
after an IPv4 address or brackets. One that is no address ends the walk: what stands left of it proves
nothing.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from keys import sessions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HOPS: Final = 16  # proxies in a row that are believed

_HOP: Final = re.compile(
    rb"[ \t]*(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)(?=:[0-9])|([0-9A-Fa-f:.]+))(:[0-9]{1,5})?[ \t]*"
)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from CIDR texts or single addresses. ValueError names the first that is neither."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


@functools.lru_cache(maxsize=4096)
def address(text: str) -> Address | None:
    """The address a text names, IPv4-mapped IPv6 as IPv4; None when it names none."""
    try:
        return sessions.client_address(text)
    except ValueError:
        return None


def client_address(peer: str, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The client's address. `peer` is the socket's, `forwarded` the X-Forwarded-For values in order."""
    return _walked(peer, forwarded, trusted) if trusted else _spelled(peer)


@functools.lru_cache(maxsize=4096)
def _spelled(peer: str) -> str:
    """An address as all compare it."""
    found = address(peer)
    return peer if found is None else str(found)


def _walked(peer: str, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str:
    current = address(peer)
    if current is None:
        return peer
    hops = _from_the_right(forwarded)
    for _ in range(HOPS):
        if not inside(current, trusted):
            break
        nearer = _address_of(next(hops, b""))
        if nearer is None:
            break
        current = nearer
    return str(current)


def _from_the_right(forwarded: Sequence[bytes]) -> Iterator[bytes]:
    """The entries of all field lines, the last one first."""
    for value in reversed(forwarded):
        rest, comma = value, b","
        while comma:
            rest, comma, hop = rest.rpartition(b",")
            yield hop


def _address_of(hop: bytes) -> Address | None:
    found = _HOP.fullmatch(hop)
    if not found:
        return None
    bracketed, with_port, bare, port = found.groups()
    text = bracketed or with_port or bare
    if bare and port:  # the port of an IPv6 address without brackets could be a part of it
        text += port
    return address(text.decode())


def inside(found: Address, among: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    return any(found.version == n.version and found in n for n in among)


def nowhere(text: str) -> str:
    """The country of any address where no file says it (`deliver.countries`): none."""
    return ""
