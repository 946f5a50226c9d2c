"""Lines that tell an HLS player of a key: EXT-X-KEY and EXT-X-SESSION-KEY (RFC 8216bis §4.4.4.4, §4.4.5.1).

What others wrote is taken apart and written anew, so that nothing but such lines with the attributes they may
have can get into a playlist.
"""

import re
from collections.abc import Mapping
from typing import Final

MEDIA_TAG: Final = "EXT-X-KEY"
MULTIVARIANT_TAG: Final = "EXT-X-SESSION-KEY"
METHODS: Final = {"cbcs": "SAMPLE-AES", "cenc": "SAMPLE-AES-CTR"}
MAX_CHARS: Final = 64 << 10
MAX_LINES: Final = 4

# What a value of each attribute is. No brace: a playlist may have variables, `{$name}` (§4.3).
_URI: Final = r'"[!#-;=?-\[\]_a-z~]{1,32768}"'
_VALUES: Final = {
    "METHOD": re.compile(r"SAMPLE-AES(-CTR)?"),
    "URI": re.compile(_URI),
    "IV": re.compile(r"0[xX][0-9A-Fa-f]{32}"),
    "KEYFORMAT": re.compile(r'"[A-Za-z0-9.:-]{1,100}"'),
    "KEYFORMATVERSIONS": re.compile(r'"[0-9]{1,4}(/[0-9]{1,4}){0,7}"'),
    "KEYID": re.compile(r"0[xX][0-9A-Fa-f]{32}"),
}
_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]{1,32})=("[^"\r\n]*"|[^",\s]*)(,|$)')

Attributes = Mapping[str, str]  # values without their quotes
_QUOTED: Final = frozenset({"URI", "KEYFORMAT", "KEYFORMATVERSIONS"})


def key_line(tag: str, attributes: Attributes) -> str:
    """A line. ValueError for an attribute it may not have, or a value that is none."""
    told = []
    for name, value in attributes.items():
        written = f'"{value}"' if name in _QUOTED else value
        if name not in _VALUES or not _VALUES[name].fullmatch(written):
            raise ValueError(f"{tag} has an attribute {name[:32]!r} that is not allowed")
        told.append(f"{name}={written}")
    return f"#{tag}:{','.join(told)}"


def key_lines(text: str, tag: str) -> list[dict[str, str]]:
    """The attributes of each line in `text`, which may have lines of `tag` and nothing else. ValueError."""
    if len(text) > MAX_CHARS:
        raise ValueError("the lines are too long")
    # Line ends of HLS and no others: what Python takes for more of them is no part of any value.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    found = [_attributes(line, tag) for line in lines if line.strip(" \t")]
    if not 1 <= len(found) <= MAX_LINES:
        raise ValueError(f"there must be one to {MAX_LINES} lines of {tag}")
    return found


def _attributes(line: str, tag: str) -> dict[str, str]:
    head = f"#{tag}:"
    if not line.startswith(head):
        raise ValueError(f"a line is no {tag}")
    found: dict[str, str] = {}
    rest = line.removeprefix(head).rstrip(" \t")
    at = 0
    while at < len(rest):
        match = _ATTRIBUTE.match(rest, at)
        if match is None:
            raise ValueError(f"{tag} has no list of attributes")
        name, written, comma = match.groups()
        if name in found or name not in _VALUES or not _VALUES[name].fullmatch(written):
            raise ValueError(f"{tag} has an attribute {name!r} that is not allowed")
        found[name] = written.strip('"')
        at = match.end()
        if comma and at == len(rest):
            raise ValueError(f"{tag} ends in a comma")
    for name in ("METHOD", "URI", "KEYFORMAT"):
        if name not in found:
            raise ValueError(f"{tag} does not say its {name}")
    return found
