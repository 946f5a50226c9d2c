"""How durations, sizes and rates are written by people ("10s", "6h", "512M") and shown back to them.

Durations are seconds, sizes are bytes (K, M, G, T are powers of 1,024). A bare number is already in the unit.
"""

import re
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES: Final = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def seconds(text: str) -> float:
    """The duration that `text` names, in seconds: "90", "1.5s", "200ms", "1h30m". ValueError if none."""
    bare = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", bare):
        return float(bare)
    parts = _DURATION_PART.findall(bare)
    if not parts or _DURATION_PART.sub("", bare).strip():
        raise ValueError(f"{text!r} is no duration; write it like 10s, 5m, 6h or 1h30m")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def size_bytes(text: str) -> int:
    """The size that `text` names, in bytes: "4096", "512M", "1.5G". ValueError if it names none."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size; write it like 512M or 4G")
    return int(float(found[1]) * _BYTES[found[2].upper()])


def show_seconds(value: float) -> str:
    """A duration in seconds as a person writes it: 21600 as "6h", 90 as "90s", 0.1 as "100ms"."""
    if 0 < value < 1:
        return f"{_plain(value * 1000)}ms"
    for unit in ("d", "h", "m"):
        if value >= _SECONDS[unit] and value % _SECONDS[unit] == 0:
            return f"{_plain(value / _SECONDS[unit])}{unit}"
    return f"{_plain(value)}s"


def show_bytes(value: int) -> str:
    """A size in bytes as a person writes it, exact where it can be: 536870912 as "512M"."""
    for unit in ("T", "G", "M", "K"):
        if value >= _BYTES[unit] and value % (_BYTES[unit] // 4) == 0:
            return f"{_plain(value / _BYTES[unit])}{unit}"
    return str(value)


def _plain(value: float) -> str:
    """The number in full, without an exponent or needless zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def human_bytes(value: float) -> str:
    """A size for reading, rounded: 1536 as "1.5 KB" (decimal thousands, as film sizes are usually told)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value:.0f} B"


def human_clock(value: float) -> str:
    """A duration for reading on a clock: 75 as "1:15", 3700 as "1:01:40"."""
    whole = max(0, round(value))
    minutes, second = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def human_ago(value: float) -> str:
    """How long ago, for reading: 75 as "75 s ago", 540 as "9 min ago", then hours and days."""
    for unit, scale in (("d", 86_400), ("h", 3600), ("min", 60)):
        if value >= 2 * scale:
            return f"{value / scale:.0f} {unit} ago"
    return f"{max(0.0, value):.0f} s ago"
