"""Header fields as pairs of bytes, and which of them stay on this hop (RFC 9110 §5, §7.6.1).

Names are lower case wherever `Fields` are made; order is kept. Nothing here knows what a field means, but
for the ones that belong to one connection.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

Fields = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
PROXY_ONLY: Final = frozenset(  # spoken with the proxy, not with the origin behind it (RFC 9111 §3.1)
    {b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization"}
)
_OURS: Final = HOP_BY_HOP | PROXY_ONLY

_OWS: Final = b" \t"
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_STOP = re.compile(rb'[,"]')


def get(fields: Fields, name: bytes) -> bytes | None:
    """The first line of that name; None when there is none."""
    for field, value in fields:
        if field == name:
            return value
    return None


def get_all(fields: Fields, name: bytes) -> list[bytes]:
    """Every line of that name, in order."""
    return [value for field, value in fields if field == name]


def combined(fields: Fields, name: bytes) -> bytes | None:
    """All lines of that name as one value (RFC 9110 §5.3); None when there is none."""
    values = get_all(fields, name)
    return b", ".join(values) if values else None


def list_of(fields: Fields, name: bytes) -> list[bytes]:
    """The members of a list field, over all its lines, without empty ones (RFC 9110 §5.6.1)."""
    return [member for value in get_all(fields, name) for member in split(value) if member]


def split(value: bytes) -> list[bytes]:
    """Cut at the commas that stand outside quoted strings; no space around the members, empty ones kept.

    A quote that is never closed quotes nothing: what follows it is cut at every comma. Linear.
    """
    if b'"' not in value:
        return [member.strip(_OWS) for member in value.split(b",")]
    members, start, at = [], 0, 0
    while (stop := _STOP.search(value, at)) is not None:
        if stop[0] == b",":
            members.append(value[start : stop.start()].strip(_OWS))
            start = at = stop.end()
            continue
        quoted = _QUOTED.match(value, stop.start())
        if quoted is None:
            return members + [member.strip(_OWS) for member in value[start:].split(b",")]
        at = quoted.end()
    return [*members, value[start:].strip(_OWS)]


def unquoted(value: bytes) -> bytes | None:
    """What a quoted string says (RFC 9110 §5.6.4); None for anything else."""
    if _QUOTED.fullmatch(value) is None:
        return None
    return re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)


def lowered(lines: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Fields as this package wants them, from lines as they came."""
    return [(name.lower(), value.strip(_OWS)) for name, value in lines]


def without(fields: Fields, names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields but those of these names."""
    return [field for field in fields if field[0] not in names]


def replaced(fields: Fields, name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """The fields with one line of that name, at the end."""
    return [*(field for field in fields if field[0] != name), (name, value)]


def end_to_end(fields: Fields) -> list[tuple[bytes, bytes]]:
    """What goes beyond this hop: none of the connection's own, none that Connection names.

    For a request that is forwarded and for an answer that is passed on or stored. Whoever decides by a
    request's fields decides by what is left here, so that nothing is hidden from the origin but not from us.
    """
    named = {option.lower() for option in list_of(fields, b"connection")}
    gone = _OURS | named if named else _OURS
    return [field for field in fields if field[0] not in gone]
