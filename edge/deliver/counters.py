"""What delivery counts. Parts take `count(name, by)`; whoever assembles them renders these names."""

from collections.abc import Callable
from typing import Final

Count = Callable[[str, int], None]

COUNTERS: Final[dict[str, str]] = {
    "requests": "media requests answered, whatever the status",
    "refused": "media requests refused with 4xx",
    "failed": "media requests answered with 5xx, or cut off after they had begun",
    "segments": "segment bodies begun",
    "segment_bytes": "bytes of segment bodies sent",
    "downloads": "download bodies begun",
    "download_bytes": "bytes of download bodies sent",
    "downloads_protected": "download bodies begun that were encrypted for their session",
    "downloads_left": "clients that left before their download was whole",
    "media_ms": "milliseconds of media handed out: of video, or of audio where there is no video",
    "sessions_opened": "links that opened a session, or found the one they had opened",
    "sessions_scattered": "minutes in which a session was used from more than 3 networks",
    "opens_refused": "links refused with 503 because this edge was too busy for new sessions",
    "tokens_renewed": "tokens of downloads and zones renewed while they were used",
    "licenses": "licenses given: answers with the keys of a session's protected samples",
    "offline_licenses": "licenses for offline use of a download given",
    "leases": "session leases taken or renewed",
    "segments_left": "clients that left before their segment was whole",
    "activity_dropped": "requests keys was not told of, because it was away for too long",
}


def ignore(name: str, by: int) -> None:
    """Counts nothing: for tools and tests that do not ask."""
