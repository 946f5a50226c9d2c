"""Content-Disposition of a download: always `attachment`, with a name that does a viewer's disk no harm.

`filename` is plain ASCII for old clients, `filename*` the real name (RFC 6266 §4.3, RFC 8187). Both have lost
path parts, controls, bidirectional marks, quotes and what some system forbids (SECURITY H30, T14). Pure.
"""

import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import quote

MAX_BYTES: Final = 200  # of a name in UTF-8
_LONGEST_SUFFIX: Final = 10
_UNWANTED: Final = frozenset("\"'`<>:|?*%;")  # forbidden on some disk, or of meaning to some header parser
_DEVICES: Final = frozenset({"con", "prn", "aux", "nul"})  # to Windows, whatever the suffix


@lru_cache(1024)
def attachment(name: str, fallback: str) -> bytes:
    """The header value for a file of that name; `fallback`, an ASCII name, when nothing is left of it."""
    safe = safe_name(name) or fallback
    plain = safe_name(unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode())
    if not plain or plain.startswith("."):
        plain = fallback
    value = f'attachment; filename="{plain}"'
    if plain != safe:
        value += f"; filename*=UTF-8''{quote(safe, safe='')}"
    return value.encode("ascii")


def safe_name(name: str) -> str:
    """The name as it may stand on any disk, at most MAX_BYTES long, its suffix kept. Empty: nothing left."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isspace() or (c.isprintable() and c not in _UNWANTED))
    shown = " ".join(kept.split()).strip(" .")
    if shown.split(".", 1)[0].lower() in _DEVICES:
        shown = f"_{shown}"
    stem, dot, suffix = shown.rpartition(".")
    if not dot or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = shown, "", ""
    room = MAX_BYTES - len(suffix.encode()) - len(dot)
    return stem.encode("utf-8", "ignore")[:room].decode("utf-8", "ignore").rstrip(" .") + dot + suffix
