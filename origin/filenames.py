"""What an uploaded file may be called: a name to show people, and an asset ID made from it.

The name a client sends is text for people only. It is never a path, a header or markup here (SECURITY T14,
T15): it loses directories, control and bidirectional characters, and what is longer than people read. Pure.
"""

import re
import unicodedata
from typing import Final

from keys.names import asset_id

MAX_NAME: Final = 120  # characters shown
_HIDDEN: Final = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # no glyph of their own, or turn the line round
_NOT_ID: Final = re.compile(r"[^a-z0-9]+")


def display_name(text: str, fallback: str = "Untitled") -> str:
    """The text as one harmless line: last path part, no hidden characters, at most MAX_NAME characters."""
    normal = unicodedata.normalize("NFC", text.replace("\\", "/"))
    last = normal.rstrip("/").rsplit("/", 1)[-1]
    return clean_line(last, fallback)


def clean_line(text: str, fallback: str = "Untitled") -> str:
    """The text without control, bidirectional and other invisible characters, blanks folded to one."""
    folded = " ".join(text.split())
    shown = "".join(c for c in folded if unicodedata.category(c) not in _HIDDEN)
    return shown.strip(" .")[:MAX_NAME].strip() or fallback


def title_of(name: str) -> str:
    """A title from a file name: `my_holiday-2024.mp4` is "my holiday-2024"."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", display_name(name))
    return clean_line(stem.replace("_", " "))


def id_of(name: str) -> str:
    """An asset ID from a file name or title: `Été à Nice.mp4` is `ete-a-nice`.

    Names without a letter give `film`.
    """
    plain = unicodedata.normalize("NFKD", title_of(name)).encode("ascii", "ignore").decode()
    return asset_id(_NOT_ID.sub("-", plain.lower()).strip("-")[:48].strip("-") or "film")
