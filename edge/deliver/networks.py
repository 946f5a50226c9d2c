"""A session that is used from several networks at once (SECURITY T2): counted and logged, never refused.

One viewer changes his network now and then, from a telephone's to his home's; a session's URL that was handed
round is asked for from many in the same minute. Some carriers and relays spread one viewer over several too,
which is why this is a sign and no reason. A network is a /24, or a /64; each worker knows what came to it.
Addresses are kept in memory only, one for each of the last MOST sessions, and none is logged.
"""

import logging
from collections.abc import Callable
from typing import Final

from edge.deliver.counters import Count, ignore
from keys.sessions import client_network

WITHIN_S: Final = 60.0
MANY: Final = 3  # networks of one viewer in a minute, who moves about
MOST: Final = 20_000  # sessions one worker knows of

log = logging.getLogger("sluice.edge.networks")


class Networks:
    """Where the sessions of one worker are used from. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float], count: Count = ignore) -> None:
        self._clock = clock
        self._count = count
        self._last: dict[str, str] = {}  # session: the client of its last request
        self._seen: dict[str, dict[str, float]] = {}  # of those that had two: when each network was last seen
        self._told: dict[str, float] = {}  # when it was last counted

    def note(self, sid: str, client: str) -> None:
        """One allowed request of a session. From the same address as the one before it costs a look-up."""
        before = self._last.get(sid)
        if before == client:
            return
        if before is None:
            if len(self._last) >= MOST:
                self._forget(next(iter(self._last)))
            self._last[sid] = client
            return
        self._last[sid] = client
        self._changed(sid, before, client)

    def _changed(self, sid: str, before: str, client: str) -> None:
        now = self._clock()
        recent = {name: at for name, at in self._seen.get(sid, {}).items() if now - at <= WITHIN_S}
        try:
            recent |= {client_network(address): now for address in (before, client)}
        except ValueError:
            return  # no address, as over a local socket
        self._seen[sid] = recent
        if len(recent) > MANY and now - self._told.get(sid, float("-inf")) > WITHIN_S:
            self._told[sid] = now
            self._count("sessions_scattered", 1)
            log.warning("session %s is used from %d networks within a minute", sid, len(recent))

    def _forget(self, sid: str) -> None:
        del self._last[sid]
        self._seen.pop(sid, None)
        self._told.pop(sid, None)
