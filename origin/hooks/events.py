"""The events webhooks may ask for, and the body that tells one. Pure."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

Event = Literal[
    "asset.created",
    "asset.queued",
    "asset.ingesting",
    "asset.published",
    "asset.failed",
    "asset.cancelled",
    "asset.deleted",
]
EVENTS: Final[tuple[str, ...]] = get_args(Event)
TEST: Final = "webhook.test"  # not asked for: sent when somebody wants to see one


def events(words: Iterable[str]) -> tuple[str, ...]:
    """These words as events, each once, in the order of EVENTS. ValueError names one that is none."""
    wanted = set(words)
    unknown = sorted(wanted - set(EVENTS))
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is no event; there are {', '.join(EVENTS)}")
    if not wanted:
        raise ValueError(f"name at least one event of {', '.join(EVENTS)}")
    return tuple(event for event in EVENTS if event in wanted)


def told(id: str, event: str, at: float, data: dict[str, Any]) -> str:
    """The body: JSON with `id`, `type`, `created` (RFC 3339) and `data`."""
    created = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(
        {"id": id, "type": event, "created": created, "data": data}, ensure_ascii=False, separators=(",", ":")
    )
