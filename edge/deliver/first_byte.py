"""How long viewers wait for the first byte: from a request read to the head of its answer going out.

Of segments, playlists, keys and downloads that have a body; refusals, redirects and init segments are not
in it. A segment held for its viewer's pace is late on purpose, so that time is taken off. Observing costs
two looks at the clock and two additions in shared memory; whoever assembles brings them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from edge.deliver.path import Kind

Observe = Callable[[str, float], None]  # a name of SERIES, seconds

NAME: Final = "first_byte_seconds"
MEANING: Final = (
    "seconds from a request to the first byte of its answer, by class (segment, playlist, key, download)"
    " and, where a cache was asked, hit or fill; time held for the pace is not in it"
)
BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SERIES: Final[Mapping[str, Mapping[str, str]]] = {  # name: labels
    "segment_hit": {"class": "segment", "cache": "hit"},
    "segment_fill": {"class": "segment", "cache": "fill"},
    "playlist": {"class": "playlist", "cache": "none"},
    "key": {"class": "key", "cache": "none"},
    "download_hit": {"class": "download", "cache": "hit"},
    "download_fill": {"class": "download", "cache": "fill"},
}
SEGMENT: Final = {"l1": "segment_hit", "l2": "segment_hit", "origin": "segment_fill"}  # by source
DOWNLOAD: Final = {"l1": "download_hit", "l2": "download_hit", "origin": "download_fill"}
SMALL: Final = {
    Kind.MULTIVARIANT: "playlist",
    Kind.MANIFEST: "playlist",
    Kind.MEDIA: "playlist",
    Kind.KEY: "key",
    Kind.LICENSE: "key",
    Kind.FILE_KEY: "key",
    Kind.OFFLINE: "key",
}


def ignore(series: str, seconds: float) -> None:
    """Observes nothing: for tools and tests that do not ask."""


class FirstByte:
    """One worker's watch: `clock` is monotonic seconds, and that of `Request.at`."""

    def __init__(self, clock: Callable[[], float], observe: Observe = ignore) -> None:
        self.now = clock
        self._observe = observe

    def goes(self, series: str, asked: float, held_s: float = 0.0) -> None:
        """The first byte goes out now; the request was there at `asked`, `held_s` are the pace's."""
        self._observe(series, max(0.0, self.now() - asked - held_s))
