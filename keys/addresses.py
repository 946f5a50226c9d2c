"""Which addresses a server may be told to connect to: an origin's, a webhook's (SECURITY T17). Pure.

    kind(literal("127.0.0.1"))     "private": only where the operator said so
    kind(literal("192.88.99.1"))   "never"
    literal("0x7f.1")              None: only the usual spelling is an address
    public("1.1.1.1")              True

Public is what the special-purpose registries of RFC 6890 leave over. Private are networks an operator may run
an origin in. Everything else is an origin for nobody: link-local with the metadata services, multicast,
unspecified, reserved, and IPv4 in an IPv6 disguise, which would pass a check for what it is not.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, Literal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Kind = Literal["public", "private", "never"]


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each) for each in text.split())


_PRIVATE: Final = _networks(
    "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 ::1/128 fc00::/7"
)
_METADATA: Final = _networks(  # of clouds, where they are not link-local
    "100.100.100.200/32 168.63.129.16/32 fd00:ec2::/32 fd20:ce::/32"
)
_NEVER: Final = _networks(
    "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24"
    " 224.0.0.0/4 240.0.0.0/4 2001::/23 2001:db8::/32 2002::/16 3fff::/20"
)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator

_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def literal(host: str) -> Address | None:
    """The address this host is, IPv6 with or without brackets; None for a name or another spelling."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def disguised(host: str) -> bool:
    """Whether resolvers take it for an address although it is not spelled as one (decimal, octal, hex)."""
    last = host.lower().removesuffix(".").rpartition(".")[2]
    return literal(host) is None and _NUMBER.fullmatch(last) is not None


def kind(address: Address) -> Kind:
    """What may be done with it."""
    if any(address in network for network in (*_METADATA, *_NEVER)):
        return "never"
    if any(address in network for network in _PRIVATE):
        return "private"
    if isinstance(address, ipaddress.IPv4Address):
        return "public"
    if address in _NAT64:
        inside = kind(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        return "public" if inside == "public" else "never"
    return "public" if address in _GLOBAL_UNICAST and address.scope_id is None else "never"


def allowed(address: Address, *, private: bool) -> bool:
    """Whether an origin may have it; `private` as the operator said of that origin."""
    found = kind(address)
    return found == "public" or (private and found == "private")


def public(address: str) -> bool:
    """Whether this is an address in its usual spelling, of the public internet."""
    return reachable(address, ())


def reachable(address: str, besides: Sequence[Network]) -> bool:
    """Whether it is public, or private and in one of these networks; what is for nobody never is."""
    found = literal(address)
    if found is None or (isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None):
        return False
    named = any(found in network for network in besides)
    return (what := kind(found)) == "public" or (named and what == "private")
