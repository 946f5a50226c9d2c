"""Which of the answers of one URI fits a request: Vary (RFC 9111 §4.1).

Two values of a field are the same when spaces around commas, or how many lines it came in, are the only
difference; in the fields of negotiation, whose syntax is known, also case, the order of members and the
spelling of weights. `*` never matches. A field that is absent matches only where it is absent.
"""

import re
from collections.abc import Sequence
from typing import Final

from edge.http.entry import Entry, Request, Rules, Variant
from edge.http.fields import Fields, combined, list_of, split

_WEIGHTED: Final = frozenset({b"accept-charset", b"accept-encoding", b"accept-language"})
_LANGUAGE: Final = b"accept-language"
_MEMBER = re.compile(
    rb"(?P<what>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    rb"(?:[ \t]*;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def names(fields: Fields) -> tuple[bytes, ...] | None:
    """The request fields a response's Vary nominates, in one order; None: `*`, so nothing will match."""
    listed = {member.lower() for member in list_of(fields, b"vary")}
    return None if b"*" in listed else tuple(sorted(listed))


def variant(nominated: tuple[bytes, ...], request: Fields, rules: Rules) -> Variant:
    """What the request says in the nominated fields, and in those the rules always select by."""
    if rules.varies:
        nominated = tuple(sorted({*nominated, *rules.varies}))
    return tuple((name, normalised(name, request, rules)) for name in nominated)


def variant_key(of: Variant) -> bytes:
    """A variant as bytes that no other variant has: it completes a cache key."""
    return b"".join(
        b"%d:%s%s" % (len(name), name, b"-" if value is None else b"%d:%s" % (len(value), value))
        for name, value in of
    )


def matches(entry: Entry, request: Fields, rules: Rules) -> bool:
    """Whether the entry was chosen by what this request says as well."""
    return all(value == normalised(name, request, rules) for name, value in entry.variant)


def selects(entry: Entry, request: Fields, rules: Rules) -> bool:
    """Whether the entry is in the one language this request wants most, all other nominated fields matching.

    An origin that has it for somebody has it for this request as well, and nothing is wanted more.
    """
    if not rules.language_select or all(name != _LANGUAGE for name, _ in entry.variant):
        return False
    language = list_of(entry.fields, b"content-language")
    wanted = _weights(combined(request, _LANGUAGE) or b"")
    if len(language) != 1 or not wanted:
        return False
    most = max(weight for _, weight in wanted)
    first = [what for what, weight in wanted if weight == most]
    if most == 0 or first != [language[0].lower()]:
        return False
    rest = (pair for pair in entry.variant if pair[0] != _LANGUAGE)
    return all(value == normalised(name, request, rules) for name, value in rest)


def newest(entries: list[Entry]) -> Entry:
    """The most recent of those that match: by Date, then by when it came (RFC 9111 §4)."""
    return max(entries, key=lambda entry: (entry.date, entry.received))


def choose(candidates: Sequence[Entry], request: Request, rules: Rules) -> list[Entry]:
    """The entries of a URI that fit: those that match, else those in the language asked for."""
    fitting = [entry for entry in candidates if matches(entry, request.fields, rules)]
    return fitting or [entry for entry in candidates if selects(entry, request.fields, rules)]


def normalised(name: bytes, request: Fields, rules: Rules) -> bytes | None:
    """A request field in the one spelling of all that mean the same; None when it is absent."""
    value = combined(request, name)
    if value is None:
        return None
    if name in _WEIGHTED and (members := _weights(value)):
        spelled = [b"%s;%d" % member for member in members]
        in_order = name == _LANGUAGE and rules.language_order
        return b",".join(spelled if in_order else sorted(set(spelled)))
    return b",".join(split(value))


def _weights(value: bytes) -> list[tuple[bytes, int]]:
    """(coding or range, lower case; weight in thousandths); nothing when a member cannot be read."""
    members = []
    for member in split(value):
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None:
            return []
        weight = found["weight"] or b"1"
        members.append((found["what"].lower(), round(float(weight) * 1000)))
    return members
