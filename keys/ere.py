"""POSIX extended regular expressions (IEEE 1003.1 §9.4), rewritten for RE2 with the same meaning, or refused.

Only what POSIX defines is taken. Back-references, look-around, lazy quantifiers, Perl classes, collating
elements and `\\x` for an ordinary `x` have no defined meaning there, and a reader that guesses another one
would allow other URIs.
"""

import re
from typing import Final, Never

CLASSES: Final = {
    *("alpha", "digit", "alnum", "upper", "lower", "space"),
    *("blank", "punct", "print", "graph", "cntrl", "xdigit"),
}
MAX_REPEAT: Final = 255  # RE_DUP_MAX

_SPECIAL: Final = frozenset(r".[\()*+?{|^$")
_ESCAPABLE: Final = frozenset(r".[]\()*+?{}|^$/:-=&#%!,;@'\"~_<>")
_REPEAT = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")


def translate(pattern: str) -> str:
    """The same language in RE2's syntax. ValueError for what POSIX leaves undefined, or is not ASCII."""
    if not (pattern.isascii() and pattern.isprintable()):
        raise ValueError("a pattern is printable ASCII")
    return _Translation(pattern).run()


class _Translation:
    """One walk over a pattern. `_atom` says whether something stands here that a quantifier could repeat."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._atom = False
        self._out: list[str] = []

    def run(self) -> str:
        while self._at < len(self._pattern):
            self._step(self._pattern[self._at])
        if self._depth:
            self._refuse("a group is not closed")
        return "".join(self._out)

    def _step(self, character: str) -> None:
        if character not in _SPECIAL:
            self._emit(re.escape(character), 1, atom=True)
        elif character == "\\":
            self._escape()
        elif character == "[":
            self._bracket()
        elif character in "*+?{":
            self._quantifier(character)
        elif character in "()|":
            self._group(character)
        else:
            self._emit(character, 1, atom=character == ".")

    def _emit(self, text: str, consumed: int, *, atom: bool) -> None:
        self._out.append(text)
        self._at += consumed
        self._atom = atom

    def _escape(self) -> None:
        escaped = self._pattern[self._at + 1 : self._at + 2]
        if escaped not in _ESCAPABLE:
            self._refuse("an escape that POSIX does not define")
        self._emit(re.escape(escaped), 2, atom=True)

    def _quantifier(self, character: str) -> None:
        if not self._atom:
            self._refuse("nothing to repeat")
        if character != "{":
            self._emit(character, 1, atom=False)
            return
        match = _REPEAT.match(self._pattern, self._at)
        if not match:
            self._refuse("a repetition that POSIX does not define")
        low, high = int(match[1]), int(match[3] or match[1])
        if not low <= high <= MAX_REPEAT:
            self._refuse("a repetition out of range")
        self._emit(match[0], len(match[0]), atom=False)

    def _group(self, character: str) -> None:
        self._depth += {"(": 1, ")": -1, "|": 0}[character]
        following = self._pattern[self._at + 1 : self._at + 2]
        if self._depth < 0 or (character != ")" and following in ("", ")", "|")):
            self._refuse("an empty or unopened group")
        if character == "|" and not self._out:
            self._refuse("an empty alternative")
        self._emit("(?:" if character == "(" else character, 1, atom=character == ")")

    def _bracket(self) -> None:
        """`[…]`: a backslash is an ordinary character here, and `]` is one where it comes first."""
        start = self._at
        self._at += 1
        out = ["["]
        if self._pattern[self._at : self._at + 1] == "^":
            out.append("^")
            self._at += 1
        first = self._at
        while self._pattern[self._at : self._at + 1] != "]" or self._at == first:
            if self._at >= len(self._pattern):
                self._refuse(f"the bracket at {start} is not closed")
            out.append(self._bracket_item())
        self._emit("".join(out) + "]", 1, atom=True)

    def _bracket_item(self) -> str:
        rest = self._pattern[self._at :]
        if rest[:2] in ("[.", "[="):
            self._refuse("collating elements")
        if rest[:2] == "[:":
            name = rest[2:].partition(":]")[0]
            if name not in CLASSES or not rest.startswith(f"[:{name}:]"):
                self._refuse("an unknown character class")
            self._at += len(name) + 4
            return f"[:{name}:]"
        if rest[1:2] == "-" and rest[2:3] not in ("]", ""):
            low, high = rest[0], rest[2]
            if high == "[" or low > high:
                self._refuse("a range that POSIX does not define")
            self._at += 3
            return f"{_literal(low)}-{_literal(high)}"
        self._at += 1
        return _literal(rest[0])

    def _refuse(self, why: str) -> Never:
        raise ValueError(f"{why} (character {self._at})")


def _literal(character: str) -> str:
    return character if character.isalnum() else f"\\{character}"
