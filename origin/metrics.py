"""What the origin counts, and how it is told: one table of counters, rendered as Prometheus text."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS: Final = {
    "blob_requests": "Requests of edges for stored objects.",
    "blob_bytes": "Bytes of stored objects sent to edges.",
    "uploads": "Uploads accepted for ingest.",
    "upload_bytes": "Bytes of accepted uploads.",
    "uploads_refused": "Uploads refused or cut.",
}


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"sluice_origin_{name}", meaning, registry=self._registry)
            for name, meaning in COUNTERS.items()
        }

    def count(self, name: str, amount: float = 1) -> None:
        """Adds to a counter of COUNTERS."""
        self._counters[name].inc(amount)

    def render(self) -> bytes:
        """All counters as Prometheus text (`sluice_origin_<name>_total`)."""
        return generate_latest(self._registry)
