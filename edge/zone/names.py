"""Addresses of an origin's name: resolved here, checked, and kept for when DNS fails (SECURITY F37, T17).

What a resolver says is good for TTL_S. After that the name is asked for again; while that fails, or gives
nothing an origin may have, the last good addresses are used for KEPT_S more. Only addresses that were
checked leave this module, and connections are made to them, never to the name.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import httpcore

from keys.addresses import Address, allowed, disguised, literal

TTL_S: Final = 60.0
KEPT_S: Final = 3600.0  # after TTL_S, when DNS fails
AGAIN_S: Final = 5.0  # after a failure, when something is kept
WAIT_S: Final = 1.5  # for an answer, when nothing is kept
PATIENCE_S: Final = 0.5  # and when something is


class Undialled(httpcore.ConnectError):
    """No connection was tried. `error` is its type in RFC 9209."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class Resolver(Protocol):
    """Asks DNS."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The addresses of a name, best first. OSError."""
        ...


class SystemResolver:
    """The machine's own."""

    async def resolve(self, host: str) -> Sequence[str]:
        """See Resolver."""
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True, slots=True)
class Known:
    """What was learnt of a name."""

    addresses: tuple[str, ...]
    at: float
    ask_again: float


class Names:
    """Addresses by name. `now` is monotonic seconds."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        ttl_s: float = TTL_S,
        kept_s: float = KEPT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver or SystemResolver()
        self._ttl_s, self._kept_s, self._now = ttl_s, kept_s, now
        self._known: dict[tuple[str, bool], Known] = {}
        self._asking: dict[tuple[str, bool], asyncio.Task[tuple[str, ...]]] = {}

    async def close(self) -> None:
        """Ends what is being asked."""
        for task in tuple(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def addresses(self, host: str, *, private: bool) -> tuple[str, ...]:
        """Where a connection may go for this host, at least one. Undialled."""
        address = literal(host)
        if address is not None:
            return self._checked(host, [address], private=private)
        if disguised(host):
            raise Undialled("destination_ip_prohibited", f"{host} is a disguised address")
        key, now = (host, private), self._now()
        known = self._known.get(key)
        if known is not None and now < known.ask_again:
            return known.addresses
        if known is not None and now >= known.at + self._ttl_s + self._kept_s:
            del self._known[key]
            known = None
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(host, private=private))
            asking.add_done_callback(lambda task: self._over(key, task))
        await asyncio.wait({asking}, timeout=WAIT_S if known is None else PATIENCE_S)
        if asking.done() and not asking.cancelled() and asking.exception() is None:
            return asking.result()
        if known is not None:
            return known.addresses
        if asking.done():
            return asking.result()
        raise Undialled("dns_timeout", f"no address of {host} in time")

    def _over(self, key: tuple[str, bool], task: asyncio.Task[tuple[str, ...]]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever still waits takes it; perhaps nobody does

    async def _ask(self, host: str, *, private: bool) -> tuple[str, ...]:
        key = (host, private)
        try:
            found = [address for each in await self._resolver.resolve(host) if (address := literal(each))]
            checked = self._checked(host, found, private=private)
        except (OSError, UnicodeError, Undialled) as exc:
            known, now = self._known.get(key), self._now()
            if known is not None:
                until = known.at + self._ttl_s + self._kept_s
                self._known[key] = Known(known.addresses, known.at, min(now + AGAIN_S, until))
            if isinstance(exc, Undialled):
                raise
            raise Undialled("dns_error", f"{host}: {exc}") from exc
        now = self._now()
        self._known[key] = Known(checked, now, now + self._ttl_s)
        return checked

    def _checked(self, host: str, found: Sequence[Address], *, private: bool) -> tuple[str, ...]:
        if not found:
            raise Undialled("dns_error", f"{host} has no address")
        good = tuple(str(each) for each in found if allowed(each, private=private))
        if not good:
            raise Undialled("destination_ip_prohibited", f"{host} has only addresses no origin may have here")
        return good
