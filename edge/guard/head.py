"""The head of a request, read once and strictly from its raw bytes (RFC 9112 §2–§6). Pure.

    read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> Head       Refused when it has no reading, or more than one
    still_good(bytes so far)                                 Refused as soon as no head can come of them

Taken is only what every reader of HTTP reads the same way. Refused are obs-fold, bare CR and LF, control
characters, space before a colon, Host missing, repeated or odd, Content-Length repeated or odd or beside
Transfer-Encoding, any transfer coding but `chunked`, any of them in HTTP/1.0, and targets of other forms
than `/path` or `http://host/path` (SECURITY T9).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from edge.guard.limits import FIELDS, HEAD_BYTES, TARGET_BYTES
from edge.guard.refused import Refused

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}
VERSIONS: Final = {b"1.1": "1.1", b"1.0": "1.0"}
SLASH: Final = ord("/")
CHUNKED: Final = -1  # as a body's length: it tells itself where it ends

_NAME: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # RFC 9110 §5.6.2 token
FIELD_LINES: Final = rb"(?:" + _NAME + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+"
# Possessive throughout: linear in the length of the head, whatever is in it.
_HEAD: Final = re.compile(
    rb"(?:\r\n)?"  # RFC 9112 §2.2: an empty line before it, from clients that end a body with one
    rb"(" + _NAME + rb") ([\x21\x22\x24-\x7e]++) HTTP/([0-9]\.[0-9])\r\n(" + FIELD_LINES + rb")\r\n"
)
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*+)(/.*)", re.IGNORECASE)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{1,5})?")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_BROKEN_LINE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BEGINNING: Final = re.compile(rb"\r?+\Z|(?:\r\n)?+(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++(?:\Z| )|\Z)")
_OURS: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))


class Head(NamedTuple):
    """What a head says. Names of fields are in lower case, values without white space around them."""

    method: str
    path: bytes  # raw, begins with a slash
    query: bytes
    version: str  # "1.1" or "1.0"
    fields: list[tuple[bytes, bytes]]
    length: int  # bytes of the body that follows; CHUNKED
    keep_alive: bool  # whether the client would send another request after this
    expects_continue: bool  # RFC 9110 §10.1.1


def read(raw: bytes, *, any_method: bool = False) -> Head:
    """The head that these bytes are, the empty line at its end included.

    `any_method`: also of methods nothing here knows, but CONNECT.
    """
    found = _HEAD.fullmatch(raw)
    if found is None or len(raw) > HEAD_BYTES:
        raise _wrong(raw)
    method, target, version, lines = found.groups()
    fields = []
    ours = []
    for line in lines[:-2].split(b"\r\n") if lines else ():
        name, _, value = line.partition(b":")
        field = (name.lower(), value.strip(b" \t"))
        fields.append(field)
        if field[0] in _OURS:
            ours.append(field)
    if len(fields) > FIELDS:
        raise Refused("head_too_large", "too many fields")
    if version not in VERSIONS:
        raise Refused("version_not_supported", "not HTTP/1.1")
    name = METHODS.get(method) or (method.decode("ascii") if any_method and method != b"CONNECT" else "")
    if not name:
        raise Refused("not_implemented", "a method nothing here knows")
    modern = version == b"1.1"
    length, keep_alive, expects, host = _read_ours(ours, modern)
    if target[0] != SLASH or len(target) > TARGET_BYTES:
        target = _origin_form(target, host)
    path, _, query = target.partition(b"?")
    return Head(name, path, query, VERSIONS[version], fields, length, keep_alive, expects)


def still_good(raw: bytes | bytearray, checked: int = 0) -> None:
    """Returns while these bytes may still become a head. The first `checked` were looked at before."""
    if _BROKEN_LINE.search(raw, max(0, checked - 2)) or (not checked and not _BEGINNING.match(raw)):
        raise Refused("bad_request", "not the beginning of a request")
    line_ended = raw.find(b"\r\n", 2) >= 0
    if not line_ended and len(raw) > TARGET_BYTES + 32:
        raise Refused("target_too_long", "request line too long")
    if len(raw) > HEAD_BYTES:
        raise Refused("head_too_large", "head too large")


def _wrong(raw: bytes) -> Refused:
    """Why these bytes are no head."""
    line = raw.removeprefix(b"\r\n").partition(b"\r\n")[0]
    if len(line) > TARGET_BYTES + 32:
        return Refused("target_too_long", "request line too long")
    if len(raw) > HEAD_BYTES:
        return Refused("head_too_large", "head too large")
    return Refused("bad_request", "head with no reading, or more than one")


def _read_ours(ours: list[tuple[bytes, bytes]], modern: bool) -> tuple[int, bool, bool, bytes | None]:
    """(length of the body, keep-alive, expects 100-continue, Host) from the fields that concern us."""
    host: bytes | None = None
    length: int | None = None
    coding = expects = False
    keep_alive = modern  # RFC 9112 §9.3; a client of HTTP/1.0 gets one answer for each connection
    for name, value in ours:
        if name == b"host":
            if host is not None or not _is_host(value):  # RFC 9112 §3.2
                raise Refused("bad_request", "not exactly one well-formed Host")
            host = value
        elif name == b"connection":
            keep_alive = keep_alive and b"close" not in [
                each.strip(b" \t") for each in value.lower().split(b",")
            ]
        elif name == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value):  # RFC 9112 §6.3
                raise Refused("bad_request", "not one well-formed Content-Length")
            length = int(value)
        elif name == b"transfer-encoding":
            if coding or not modern or value.lower() != b"chunked":  # RFC 9112 §6.1
                raise Refused("bad_request", "a transfer coding that is not just chunked")
            coding = True
        elif modern:  # RFC 9110 §10.1.1: in HTTP/1.0 it is ignored
            if value.lower() != b"100-continue":
                raise Refused("expectation_failed", "an expectation nothing here meets")
            expects = True
    if host is None and modern:
        raise Refused("bad_request", "no Host")
    if coding and length is not None:
        raise Refused("bad_request", "Content-Length beside Transfer-Encoding")
    return CHUNKED if coding else length or 0, keep_alive, expects, host


@lru_cache(256)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _origin_form(target: bytes, host: bytes | None) -> bytes:
    """The target as `/path?query` (RFC 9112 §3.2.1); one with a host must name the same as Host."""
    if len(target) > TARGET_BYTES:
        raise Refused("target_too_long", "target too long")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or (host is not None and absolute[1].lower() != host.lower()):
        raise Refused("bad_request", "a target of another form, or of another host")
    return absolute[2]
