"""Who is asking: the address a request came from, past the proxies an operator said to trust. Pure.

The socket's address counts, unless it is a trusted proxy's; then the rightmost X-Forwarded-For entry that
is not a trusted proxy does. An entry that is no address ends the walk: what stands left of it proves
nothing.
"""

import functools
import ipaddress
from collections.abc import Iterable, Sequence

from keys import sessions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from CIDR texts or single addresses. ValueError names the first that is neither."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


@functools.lru_cache(maxsize=4096)
def address(text: str) -> Address | None:
    """The address a text names, IPv4-mapped IPv6 as IPv4; None when it names none."""
    try:
        return sessions.client_address(text.strip().strip("[]"))
    except ValueError:
        return None


def client_address(peer: str, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The client's address. `peer` is the socket's, `forwarded` the X-Forwarded-For values in order."""
    current = address(peer)
    if current is None:
        return peer
    hops = [hop for value in forwarded for hop in value.decode("latin-1").split(",")]
    while hops and inside(current, trusted):
        nearer = address(hops.pop())
        if nearer is None:
            break
        current = nearer
    return str(current)


def inside(found: Address, among: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    return any(found.version == n.version and found in n for n in among)
