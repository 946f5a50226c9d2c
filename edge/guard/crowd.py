"""How many connections there are, in all and of each client, and whether one more is taken. Pure.

A connection over a cap is still let in, to be told so; those far over it are not even told.
"""

from collections.abc import Sequence
from typing import Final

from edge.deliver.clients import Network, address, inside, networks
from edge.guard.limits import Limits
from keys.sessions import client_network

THIS_MACHINE: Final = networks(["127.0.0.0/8", "::1"])


class Crowd:
    """The connections of one process."""

    def __init__(self, limits: Limits, uncapped: Sequence[Network] = THIS_MACHINE) -> None:
        """`uncapped`: networks many clients come from, such as a front proxy's; only the whole is capped."""
        self._limits = limits
        self._uncapped = uncapped
        self._by_client: dict[str, int] = {}
        self.total = 0

    def enter(self, host: str) -> str:
        """Counts a connection of this address; who it is counted as, for `leave`. Empty: as nobody."""
        self.total += 1
        client = self._client(host)
        if client:
            self._by_client[client] = self._by_client.get(client, 0) + 1
        return client

    def leave(self, client: str) -> None:
        """Takes it from the count again."""
        self.total -= 1
        left = self._by_client.get(client, 0) - 1
        if left > 0:
            self._by_client[client] = left
        else:
            self._by_client.pop(client, None)

    def over(self, client: str) -> str:
        """The problem code of a cap that is exceeded now; empty when none is."""
        if self.total > self._limits.connections:
            return "unavailable"
        return "too_many" if self._by_client.get(client, 0) > self._limits.connections_per_client else ""

    def far_over(self, client: str) -> bool:
        """Whether it is exceeded so far that nobody is told any more."""
        limits = self._limits
        return self.total > _told(limits.connections) or (
            self._by_client.get(client, 0) > _told(limits.connections_per_client)
        )

    def _client(self, host: str) -> str:
        found = address(host)
        if found is None or inside(found, self._uncapped):
            return ""
        return str(found) if found.version == 4 else client_network(host)


def _told(cap: int) -> int:
    """How many are let in to be served, or at least to be told that they are not."""
    return cap + cap // 10 + 8
