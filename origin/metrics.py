"""What the origin counts, and how it is told: a table of counters and one of gauges, as Prometheus text."""

import shutil
import time
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS: Final = {
    "blob_requests": "Requests of edges for stored objects.",
    "blob_bytes": "Bytes of stored objects sent to edges.",
    "uploads": "Uploads accepted for ingest.",
    "upload_bytes": "Bytes of accepted uploads.",
    "uploads_refused": "Uploads refused or cut.",
    "webhooks_delivered": "Messages that webhooks took.",
    "webhooks_failed": "Attempts at messages that webhooks did not take.",
}
GAUGES: Final = {
    "start_time_seconds": "When the origin started, in seconds since the epoch.",
    "disk_free_bytes": "Free bytes of the disk that uploads arrive on.",
}


class Metrics:
    """The counters and gauges of one process. `disk` is a folder on the disk whose room is told."""

    def __init__(self, disk: Path) -> None:
        self._registry = CollectorRegistry()
        gauges = {
            name: Gauge(f"sluice_origin_{name}", meaning, registry=self._registry)
            for name, meaning in GAUGES.items()
        }
        gauges["start_time_seconds"].set(int(time.time()))
        gauges["disk_free_bytes"].set_function(lambda: float(shutil.disk_usage(disk).free))
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
