"""What is counted of each zone. Parts take `count(name, by, zone)`; their zone is a label of these."""

from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "zone_requests": "requests to a zone answered, whatever the status; of zone `-`: to no zone there is",
    "zone_hits": "requests answered from what was stored, fresh or stale",
    "zone_collapsed": "those of them that waited for what another had just asked the origin for",
    "zone_l2_hits": "those of them that another worker or edge had put into the second level",
    "zone_l2_slices": "slices of bodies that were taken from the second level",
    "zone_l2_bad": "values in the second level that were altered, cut, swapped or too old",
    "zone_misses": "requests for which the origin was asked",
    "zone_refused": "requests refused here with 4xx",
    "zone_failed": "requests answered with 5xx, or cut off after they had begun",
    "zone_bytes": "bytes of bodies sent",
    "zone_stale_after_error": "requests answered with something stale because the origin failed",
    "zone_origin_requests": "requests sent to an origin, or tried to",
    "zone_origin_bytes": "bytes of bodies that came from an origin",
    "zone_origin_errors": "requests that an origin gave no answer to",
    "zone_retries": "requests sent to the next origin although one had them already",
    "zone_retries_refused": "requests not sent again, as the retry budget was spent",
    "zone_failovers": "requests that went to the next origin as the one before could not be reached",
    "zone_breaker_open": "times an origin was found to be away",
    "zone_unavailable": "requests for which no origin could be asked",
    "zone_checks_failed": "health checks that an origin failed",
}

FIRST_BYTE: Final = "zone_origin_first_byte_seconds"
FIRST_BYTE_MEANING: Final = (
    "seconds from a request to an origin of a zone until its answer begins, connection and all"
)
BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
