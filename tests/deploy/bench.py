"""What it costs to count and to observe: `python -m tests.deploy.bench`, nanoseconds a call.

The bare loop is taken off; the best of several rounds is shown, as other processes only ever add.
"""

import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.assemble import edge_counters, edge_histograms
from deploy.counters import Counters
from edge.deliver.first_byte import NAME, SEGMENT, FirstByte

CALLS: Final = 200_000
ROUNDS: Final = 7


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        counters = Counters(Path(folder), 0, edge_counters(), "sluice_edge_", None, edge_histograms())
        watch = FirstByte(time.monotonic, counters.observer(NAME))

        def whole() -> None:
            watch.goes(SEGMENT["l1"], watch.now())

        empty = best(lambda: None)
        for name, call in (
            ("count a counter", lambda: counters.count("requests", 1)),
            ("first byte of a request, both looks at the clock", whole),
        ):
            print(f"{best(call) - empty:6.0f} ns  {name}")


def best(call: Callable[[], object]) -> float:
    """Nanoseconds a call, in the best round."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e9


if __name__ == "__main__":
    main()
