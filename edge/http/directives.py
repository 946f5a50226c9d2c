"""Cache-Control and its targeted kin, read into one value for requests and one for responses.

Cache-Control is read leniently (RFC 9111 §5.2): names in any case, arguments as tokens or quoted strings, of
a directive given twice the first counts (§4.2.1). What cannot be read is read as the stricter: a max-age
that is no number makes the response stale, a no-cache whose list is unreadable forbids all of it.
A targeted field (RFC 9213) is a structured dictionary: valid as a whole or as if it were not there, and if
there is one, Cache-Control and Expires say nothing to us.
"""

import re
from dataclasses import dataclass
from typing import Final

from edge.http import structured
from edge.http.fields import Fields, list_of, split, unquoted

MOST_S: Final = 1 << 31  # delta-seconds beyond it are it (RFC 9111 §1.2.2)

_DELTA = re.compile(rb"[0-9]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """What a client asks of caches (RFC 9111 §5.2.1); seconds, None for what it does not say."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None  # MOST_S when any staleness will do
    stale_if_error: int | None = None  # RFC 5861 §4


@dataclass(frozen=True, slots=True)
class Directives:
    """What an origin lets caches do (RFC 9111 §5.2.2, RFC 5861); seconds, None for what it does not say."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    max_age: int | None = None  # 0 when it is unreadable
    s_maxage: int | None = None  # likewise
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    unstored: frozenset[bytes] = frozenset()  # fields that no-cache or private name
    targeted: bool = False  # from a targeted field: Expires does not count

    @property
    def explicit_s(self) -> int | None:
        """Freshness for a shared cache: s-maxage before max-age (RFC 9111 §4.2.1)."""
        return self.max_age if self.s_maxage is None else self.s_maxage


NOTHING_ASKED: Final = RequestDirectives()
NOTHING_SAID: Final = Directives()


def seconds(value: bytes) -> int | None:
    """Delta-seconds; None for anything but digits, and no more than MOST_S."""
    if _DELTA.fullmatch(value) is None:
        return None
    digits = value.lstrip(b"0")
    return min(int(digits or b"0"), MOST_S) if len(digits) <= 10 else MOST_S


def of_request(fields: Fields) -> RequestDirectives:
    """What this request's Cache-Control asks. A number that cannot be read asks nothing."""
    told = _cache_control(fields)
    if not told:
        return NOTHING_ASKED
    return RequestDirectives(
        no_cache=b"no-cache" in told,
        no_store=b"no-store" in told,
        only_if_cached=b"only-if-cached" in told,
        max_age=_optional(told, b"max-age"),
        min_fresh=_optional(told, b"min-fresh"),
        max_stale=MOST_S if told.get(b"max-stale", b"") is None else _optional(told, b"max-stale"),
        stale_if_error=_optional(told, b"stale-if-error"),
    )


def of_response(fields: Fields, targets: tuple[bytes, ...] = ()) -> Directives:
    """What this response lets us do: by the first valid target (RFC 9213 §2.2), else by Cache-Control."""
    for target in targets:
        told = _targeted(fields, target)
        if told is not None:
            return _directives(told, targeted=True)
    told = _cache_control(fields)
    return _directives(told, targeted=False) if told else NOTHING_SAID


def _directives(told: dict[bytes, bytes | None], *, targeted: bool) -> Directives:
    no_cache, unstored = _qualified(told, b"no-cache")
    private, unshared = _qualified(told, b"private")
    return Directives(
        no_store=b"no-store" in told,
        no_cache=no_cache,
        private=private,
        public=b"public" in told,
        must_revalidate=b"must-revalidate" in told,
        proxy_revalidate=b"proxy-revalidate" in told,
        must_understand=b"must-understand" in told,
        max_age=_freshness(told, b"max-age"),
        s_maxage=_freshness(told, b"s-maxage"),
        stale_while_revalidate=_optional(told, b"stale-while-revalidate"),
        stale_if_error=_optional(told, b"stale-if-error"),
        unstored=unstored | unshared,
        targeted=targeted,
    )


def _cache_control(fields: Fields) -> dict[bytes, bytes | None]:
    """Directive: argument as it stands, None for none; the first of each name."""
    told: dict[bytes, bytes | None] = {}
    for member in list_of(fields, b"cache-control"):
        name = _NAME.match(member)
        if name is None:
            continue
        rest = member[name.end() :]
        # `max-age =1` keeps its space and so is no number; `no-store;x` is as good as no-store
        argument = rest[1:] if rest.startswith(b"=") else (rest or None)
        told.setdefault(name[0].lower(), argument)
    return told


def _targeted(fields: Fields, target: bytes) -> dict[bytes, bytes | None] | None:
    """The directives of a targeted field in the form of Cache-Control's; None: none, or it is not valid."""
    parsed = structured.dictionary(fields, target)
    if not parsed:
        return None
    told: dict[bytes, bytes | None] = {}
    for name, value in parsed.items():
        if value is True:
            told[name] = None
        elif value is False:
            continue
        elif isinstance(value, int):
            told[name] = b"%d" % value
        elif isinstance(value, structured.String):
            if name in _NUMBERS:
                return None  # a value of the wrong type
            told[name] = b'"' + value.text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        elif name in _NUMBERS:
            return None
        else:
            told[name] = value.text if isinstance(value, structured.Token) else b""
    return told


_NUMBERS: Final = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})


def _number(argument: bytes) -> int | None:
    quoted = unquoted(argument) if argument.startswith(b'"') else None
    return seconds(argument if quoted is None else quoted)


def _freshness(told: dict[bytes, bytes | None], name: bytes) -> int | None:
    """Seconds; 0 for what cannot be read, which is then stale (RFC 9111 §4.2.1)."""
    if name not in told:
        return None
    return _number(told[name] or b"") or 0


def _optional(told: dict[bytes, bytes | None], name: bytes) -> int | None:
    argument = told.get(name)
    return None if argument is None else _number(argument)


def _qualified(told: dict[bytes, bytes | None], name: bytes) -> tuple[bool, frozenset[bytes]]:
    """Whether the directive holds for all of the response, and else for which fields (§5.2.2.4, §5.2.2.7)."""
    if name not in told:
        return False, frozenset()
    argument = told[name] or b""
    listed = unquoted(argument) if argument.startswith(b'"') else argument
    names = [member.lower() for member in split(listed or b"") if member]
    if not names or not all(_NAME.fullmatch(member) for member in names):
        return True, frozenset()
    return False, frozenset(names)
