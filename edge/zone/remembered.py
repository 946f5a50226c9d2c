"""URIs of which something was learnt that holds for a while: bounded in number, the oldest go first."""

from collections import OrderedDict
from collections.abc import Callable


class Remembered:
    """At most `most` URIs, each for `for_s` seconds."""

    def __init__(self, most: int, for_s: float, now: Callable[[], float]) -> None:
        self._most, self._for_s, self._now = most, for_s, now
        self._until: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, uri: str) -> bool:
        return self._until.get(uri, 0.0) > self._now()

    def add(self, uri: str) -> None:
        """From now on."""
        self._until[uri] = self._now() + self._for_s
        self._until.move_to_end(uri)
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def discard(self, uri: str) -> None:
        """No longer."""
        self._until.pop(uri, None)
