"""Does a token's URI container (RFC 9246 §2.1.15) allow this URI?

URIs are compared in one form: the token taken out (RFC 9246 §2.1), then RFC 3986 §6.2.2 and §6.2.3. Two
containers are known: `hash:` (RFC 6920) and `regex:`, a POSIX extended regular expression. Patterns come
from strangers, so they are translated piece by piece, anything POSIX leaves undefined is refused, the whole
URI must match, and RE2 runs them: its time grows with the length of the URI and of the pattern, never with
their product's powers.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import re2

from keys.ere import translate
from keys.names import b64url

ATTRIBUTE: Final = "URISigningPackage"
LINK_PATTERN: Final = 512  # characters of a pattern a site may sign
SESSION_PATTERN: Final = 4096  # of one that keys minted: it names every public edge host
ENGINE_BYTES: Final = 1 << 20  # memory RE2 may use for one pattern

_RESERVED: Final = r"[:/?#\[\]@!$&'()*+,;=]"
_DELIMITER: Final = "[!$&'()*+,;=]"
_PARTS = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]*))?(/[^?#]*|)(\?[^#]*)?", re.I)
_LEGAL = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
# What nearly every request's URI looks like, and what normalising would leave as it is.
_CANONICAL = re.compile(r"https?://[a-z0-9.-]+(?::[1-9][0-9]{3,4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
# Alternatives in one group, a text, and `.*`, or not: all characters stand for themselves or are quoted.
_TEXT: Final = r"(?:[A-Za-z0-9/:_~%@,;=&!'-]|\\[.\[\]{}()*+?^$])+"
_FIXED = re.compile(rf"(?:\((?P<hosts>{_TEXT}(?:\|{_TEXT})*)\))?(?P<rest>{_TEXT})(?P<open>\.\*)?")
_QUOTED = re.compile(r"\\(.)")


class BadContainer(ValueError):
    """A URI container of no known form, or with a pattern we do not run."""


def split_token(uri: str, attribute: str = ATTRIBUTE) -> tuple[str, str]:
    """The URI without its token, and the token ("" when there is none). ValueError when there are two."""
    name = re.escape(attribute)
    found = list(re.finditer(f"({_RESERVED}){name}=([A-Za-z0-9_.-]*)({_DELIMITER}?)", uri))
    if not found:
        return uri, ""
    if len(found) > 1 or uri.count(f"{attribute}=") > 1:
        raise ValueError("two tokens in one URI")
    match = found[0]
    # Followed by a sub-delimiter, the token goes with that one; else with the character before it.
    before = uri[: match.start() + (1 if match[3] else 0)]
    return before + uri[match.end() :], match[2]


def canonical_uri(uri: str) -> str:
    """The one form in which URIs are signed and compared. ValueError for what is no plain http(s) URI."""
    if _CANONICAL.fullmatch(uri):
        return uri
    parts = _PARTS.fullmatch(uri)
    if not parts or not _LEGAL.fullmatch(uri):
        raise ValueError("not a plain http or https URI")
    scheme, host, port = parts[1].lower(), parts[2].lower(), (parts[3] or "").lstrip("0")
    authority = host if port in ("", _DEFAULT_PORT[scheme]) else f"{host}:{port}"
    path, query = (_ESCAPE.sub(_normal_escape, part or "") for part in (parts[4], parts[5]))
    canonical = f"{scheme}://{authority}{_without_dots(path)}{query}"
    if f"{ATTRIBUTE}=" in canonical:  # looked for last: escapes and dots may have hidden it
        raise ValueError("a token in the URI")
    return canonical


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4 for an absolute path; empty becomes `/`."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    if parts and parts[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def hash_container(uri: str) -> str:
    """The container that allows exactly this URI."""
    return f"hash:sha-256;{_digest(canonical_uri(uri))}"


def _digest(uri: str) -> str:
    return b64url(hashlib.sha256(uri.encode("ascii")).digest())


def regex_container(bases: tuple[str, ...], path_pattern: str) -> str:
    """The container for one path pattern (POSIX ERE) at each of these base URLs, such as `http://edge:8010`."""
    hosts = list(dict.fromkeys(quote(canonical_uri(base).rstrip("/")) for base in bases))
    authority = hosts[0] if len(hosts) == 1 else f"({'|'.join(hosts)})"
    return f"regex:{authority}{path_pattern}"


def quote(text: str) -> str:
    """The POSIX ERE that matches exactly this text."""
    return re.sub(r"[.\[\]{}()*+?^$|\\]", r"\\\g<0>", text)


class Matcher:
    """Matches URIs against containers; keeps the compiled patterns, least recently used first out."""

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._compiled: OrderedDict[tuple[str, str], Callable[[str], object]] = OrderedDict()

    def allows(
        self, container: str, uri: str, *, issuer: str = "", pattern_limit: int = LINK_PATTERN
    ) -> bool:
        """Whether this canonical URI is in the container. BadContainer when it is none.

        `issuer` only keeps one issuer's patterns apart from another's; `pattern_limit` is in characters.
        """
        form, _, value = container.partition(":")
        if form == "hash":
            return _hash_allows(value, uri)
        if form != "regex" or not 0 < len(value) <= pattern_limit:
            raise BadContainer("neither hash: nor regex: of a length we run")
        return self._match(issuer, value)(uri) is not None

    def _match(self, issuer: str, pattern: str) -> Callable[[str], object]:
        key = (issuer, pattern)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = _compile(pattern)
            if len(self._compiled) > self._limit:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(key)
        return found


def _hash_allows(value: str, uri: str) -> bool:
    algorithm, _, digest = value.partition(";")
    if algorithm != "sha-256" or not digest.isascii():
        raise BadContainer("hash: is sha-256")
    return hmac.compare_digest(digest, _digest(uri))


def _compile(pattern: str) -> Callable[[str], object]:
    """What tells whether a whole canonical URI matches; its answer is None when not."""
    return _by_text(pattern) or _by_re2(pattern)


def _by_text(pattern: str) -> Callable[[str], object] | None:
    """The same for what keys mint, fixed texts and perhaps `.*` after them: tens of times cheaper.

    A canonical URI holds no line end, which is all that `.` would not match.
    """
    found = _FIXED.fullmatch(pattern)
    if found is None:
        return None
    hosts = found["hosts"].split("|") if found["hosts"] else [""]
    texts = tuple(_QUOTED.sub(r"\1", host + found["rest"]) for host in hosts)
    if found["open"]:
        return lambda uri: uri if uri.startswith(texts) else None
    return lambda uri: uri if uri in texts else None


def _by_re2(pattern: str) -> Callable[[str], object]:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = ENGINE_BYTES
    try:
        match: Callable[[str], object] = re2.compile(translate(pattern), options).fullmatch
    except (re2.error, ValueError) as exc:
        raise BadContainer(f"a pattern we do not run: {exc}") from exc
    return match
