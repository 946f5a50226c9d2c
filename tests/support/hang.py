"""A limit on the processor time a step may take: it holds on a busy machine, where wall time would not."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Hang(Exception):
    """A step that used more processor time than it may."""


@contextmanager
def at_most(seconds: float) -> Iterator[Callable[[], None]]:
    """Raises Hang in the block once a step has used `seconds` of this process's time. Main thread only.

    What it gives begins the next step.
    """

    def stop(*_: object) -> None:
        raise Hang(f"more than {seconds} s of processor time")

    def step() -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    before = signal.signal(signal.SIGVTALRM, stop)
    step()
    try:
        yield step
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
