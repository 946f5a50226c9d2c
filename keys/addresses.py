"""Which addresses are the public internet's: whom a server may be told by others to call (SECURITY T17).

Pure: names are resolved elsewhere, and what was resolved is what is connected to. An IPv4 address inside an
IPv6 one (mapped, 6to4, NAT64) counts as the IPv4 address it leads to.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is given out (RFC 4291 §2.4)
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291 §2.5.5.1, deprecated


def public(address: str) -> bool:
    """Whether this numeric address is of the public internet; False for what is none in its usual form."""
    found = parsed(address)
    if isinstance(found, ipaddress.IPv6Address) and found not in _UNICAST:
        return False
    return found is not None and found.is_global and not found.is_multicast and not found.is_reserved


def allowed(address: str, besides: Sequence[Network] = ()) -> bool:
    """Whether it is public, or in one of these networks."""
    found = parsed(address)
    if found is None:
        return False
    return public(address) or any(found in network for network in besides)


def parsed(address: str) -> Address | None:
    """The address that is reached by this one; None for what is no address, and for one with a zone index."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found.scope_id is not None:
        return None
    return _inside(found) or found


def _inside(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    if found.sixtofour is not None:
        return found.sixtofour
    if found.teredo is not None:
        return ipaddress.IPv4Address("0.0.0.0")  # noqa: S104 - nobody: a tunnel leads anywhere
    low = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    if any(found in network for network in _NAT64) or (found in _COMPATIBLE and int(found) > 1):
        return low
    return None
