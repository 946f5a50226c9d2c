"""A file of countries of a few networks, in MaxMind's DB format (its specification 2.0)."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Number:
    """An unsigned number of so many bytes."""

    value: int
    size: int


_MARKER = b"\xab\xcd\xefMaxMind.com"


def write_countries(path: Path, networks: Mapping[str, Any]) -> Path:
    """Writes a file that has a record for each IPv4 network."""
    nodes: list[list[int | None]] = [[None, None]]
    data, places = b"", {}
    for number, (network, record) in enumerate(networks.items()):
        places[-1 - number] = len(data)
        data += _value(record)
        _put(nodes, ipaddress.IPv4Network(network), -1 - number)
    count = len(nodes)

    def pointer(to: int | None) -> bytes:
        value = count if to is None else to if to >= 0 else count + 16 + places[to]
        return value.to_bytes(3, "big")

    tree = b"".join(pointer(side) for node in nodes for side in node)
    about = {
        "node_count": Number(count, 4),
        "record_size": Number(24, 2),
        "ip_version": Number(4, 2),
        "database_type": "Test-Country",
        "languages": [],
        "binary_format_major_version": Number(2, 2),
        "binary_format_minor_version": Number(0, 2),
        "build_epoch": Number(1_750_000_000, 8),
        "description": {"en": "test"},
    }
    path.write_bytes(tree + bytes(16) + data + _MARKER + _value(about))
    return path


def _put(nodes: list[list[int | None]], network: ipaddress.IPv4Network, leaf: int) -> None:
    at, bits = 0, int(network.network_address)
    for depth in range(network.prefixlen):
        side = bits >> (31 - depth) & 1
        if depth == network.prefixlen - 1:
            nodes[at][side] = leaf
            return
        below = nodes[at][side]
        if below is None:
            nodes.append([None, None])
            below = nodes[at][side] = len(nodes) - 1
        at = below


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _head(2, len(value.encode())) + value.encode()
    if isinstance(value, Number):
        number = value.value.to_bytes(value.size, "big")
        return {2: b"\xa2", 4: b"\xc4", 8: b"\x08\x02"}[value.size] + number
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(map(_value, value))
    return _head(7, len(value)) + b"".join(_value(name) + _value(inner) for name, inner in value.items())


def _head(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size])
