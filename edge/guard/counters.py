"""What the guard counts."""

from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "guard_refused": "requests refused before any application saw them: no or odd HTTP, or too large",
    "guard_late": "connections ended because their client was too slow",
    "guard_full": "connections turned away because there were too many",
}
