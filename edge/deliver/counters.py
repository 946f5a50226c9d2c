"""The counters delivery keeps, by name. `deploy` renders them; parts only call `count(name, by)`."""

from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "sluice_edge_requests_total": "Media requests answered, whatever the status",
    "sluice_edge_refused_total": "Media requests refused with 4xx",
    "sluice_edge_failed_total": "Media requests answered with 5xx, or cut off after they had begun",
    "sluice_edge_bytes_total": "Bytes of segment bodies sent",
    "sluice_edge_media_seconds_total": "Seconds of media handed out",
    "sluice_edge_sessions_opened_total": "Links that opened a session",
    "sluice_edge_leases_total": "Session leases taken or renewed",
    "sluice_edge_held_total": "Segments that waited for the pace",
    "sluice_edge_left_total": "Clients that left before their segment was whole",
    "sluice_edge_hits_l1_total": "Segments that began from the node's memory",
    "sluice_edge_hits_l2_total": "Segments that began from Redis",
    "sluice_edge_misses_total": "Segments that began with a fill",
    "sluice_edge_activity_dropped_total": "Requests keys was not told of, because it was away for too long",
}
