"""Structured fields (RFC 8941): dictionaries read, items written.

Only what caches use. Values are bool, int, float (decimals), String, Token, bytes, or a tuple of them (an
inner list); parameters are checked and dropped, as RFC 9213 §2.1 has it. Linear.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from edge.http.fields import Fields, combined


@dataclass(frozen=True, slots=True)
class String:
    """A quoted string, without its quotes."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A bare word."""

    text: bytes


Bare = bool | int | float | String | Token | bytes
Value = Bare | tuple[Bare, ...]

_KEY = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_STRING = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+)"')
_TOKEN = re.compile(rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BYTES = re.compile(rb":([A-Za-z0-9+/=]*):")
_BOOL = re.compile(rb"\?([01])")
_SP = re.compile(rb" *")
_OWS = re.compile(rb"[ \t]*")


class _Invalid(Exception):
    """This is no structured field."""


def dictionary(fields: Fields, name: bytes) -> dict[bytes, Value] | None:
    """The dictionary in all lines of that name (§4.2.2), the last of a key; None: none, or not valid."""
    value = combined(fields, name)
    if value is None:
        return None
    try:
        return _Parser(value.strip(b" ")).dictionary()
    except _Invalid:
        return None


def string(text: str) -> str:
    """A String item; what may not stand in one is left out (§3.3.3)."""
    kept = "".join(char for char in text if " " <= char <= "~")
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'


def token_or_string(text: str) -> str:
    """A Token where the text can be one, else a String."""
    return text if _TOKEN.fullmatch(text.encode("latin-1", "replace")) else string(text)


class _Parser:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def dictionary(self) -> dict[bytes, Value]:
        members: dict[bytes, Value] = {}
        while not self._done():
            key = self._take(_KEY)[0]
            value: Value = True
            if self._skip(b"="):
                value = self._inner_list() if self._skip(b"(") else self._bare()
            self._parameters()
            members.pop(key, None)  # the last stands where it stands
            members[key] = value
            self._take(_OWS)
            if self._done():
                break
            self._need(b",")
            self._take(_OWS)
            if self._done():
                raise _Invalid  # a trailing comma
        return members

    def _inner_list(self) -> tuple[Bare, ...]:
        items: list[Bare] = []
        while True:
            self._take(_SP)
            if self._skip(b")"):
                return tuple(items)
            items.append(self._bare())
            self._parameters()
            if self._text[self._at : self._at + 1] not in (b" ", b")"):
                raise _Invalid

    def _parameters(self) -> None:
        while self._skip(b";"):
            self._take(_SP)
            self._take(_KEY)
            if self._skip(b"="):
                self._bare()

    def _bare(self) -> Bare:
        head = self._text[self._at : self._at + 1]
        if head == b'"':
            return String(re.sub(rb"\\(.)", rb"\1", self._take(_STRING)[1]))
        if head == b":":
            return self._bytes()
        if head == b"?":
            return self._take(_BOOL)[1] == b"1"
        if head == b"-" or head.isdigit():
            return _number(self._take(_NUMBER)[0])
        return Token(self._take(_TOKEN)[0])

    def _bytes(self) -> bytes:
        try:
            return base64.b64decode(self._take(_BYTES)[1])
        except binascii.Error:
            raise _Invalid from None

    def _take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Invalid
        self._at = found.end()
        return found

    def _skip(self, char: bytes) -> bool:
        if self._text[self._at : self._at + 1] != char:
            return False
        self._at += 1
        return True

    def _need(self, char: bytes) -> None:
        if not self._skip(char):
            raise _Invalid

    def _done(self) -> bool:
        return self._at >= len(self._text)


def _number(text: bytes) -> int | float:
    """§4.2.4: up to 15 digits, or up to 12 and three after the point."""
    whole, point, rest = text.lstrip(b"-").partition(b".")
    if len(whole) > (12 if point else 15) or len(rest) > 3:
        raise _Invalid
    return float(text) if point else int(text)
