"""How long a client may take for the body of its request (SECURITY T11). Pure; times are monotonic seconds.

A body may take `body_s`, and a second more for each `body_rate` bytes that came, but never has more than
`body_credit_s` in hand: what comes at any fair speed never ends, what stalls or trickles does.
"""

from edge.guard.limits import Limits


class BodyTime:
    """The time one body has."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.due = now + limits.body_s

    def came(self, size: int, now: float) -> None:
        """So many bytes came now."""
        self.due = min(self.due + size / self._limits.body_rate, now + self._limits.body_credit_s)

    def waited_for_us(self, now: float) -> None:
        """Until now it was we who did not read: that time is not the client's."""
        self.due = max(self.due, now + self._limits.body_s)
