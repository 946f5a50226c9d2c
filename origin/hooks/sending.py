"""One message to one URL: resolved once, every address checked, and connected to what was checked (T17).

No redirect is followed and no proxy asked; the whole exchange has ten seconds; of the answer only the status
is read. http is for networks of the operator's own; all else is https, its certificate checked.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from keys.addresses import Network, disguised, literal, reachable

WITHIN_S: Final = 10.0
MAX_URL: Final = 1024
AGENT: Final = "Sluice-Webhooks/1"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Sent:
    """How an attempt went: the status that was answered (0: none), and a sentence when that was it."""

    status: int
    error: str = ""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. OSError when it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def checked_url(text: str) -> SplitResult:
    """The URL, when a webhook may have it; ValueError, a sentence, otherwise. Nobody is looked up."""
    if not (text.isascii() and text.isprintable()) or " " in text or len(text) > MAX_URL:
        raise ValueError(f"a webhook's URL is at most {MAX_URL} characters of ASCII")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError("this is no URL") from None
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise ValueError("a webhook's URL begins with https:// and a host")
    if "@" in parts.netloc or parts.fragment or "\\" in text:
        raise ValueError("a webhook's URL has no user, password or fragment")
    if disguised(host):
        raise ValueError("an address is written in its usual form, such as 192.0.2.1")
    return parts


class Sender:
    """Sends. `besides` are networks that may be reached although they are not public."""

    def __init__(
        self, besides: Sequence[Network] = (), resolve: Resolve = resolve, within_s: float = WITHIN_S
    ) -> None:
        self._besides = besides
        self._resolve = resolve
        self._within_s = within_s
        self._tls = ssl.create_default_context()

    async def check(self, text: str) -> None:
        """Returns when a webhook may have this URL, as far as can be said now. ValueError, a sentence."""
        parts = checked_url(text)
        try:
            async with asyncio.timeout(self._within_s):
                await self._address(parts)
        except (OSError, UnicodeError):  # TimeoutError too
            raise ValueError(f"the host {parts.hostname} is not known") from None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """One attempt. Raises nothing but cancellation."""
        try:
            parts = checked_url(url)
            async with asyncio.timeout(self._within_s):
                return await self._post(parts, await self._address(parts), headers, body)
        except TimeoutError:
            return Sent(0, f"It did not answer within {self._within_s:g} seconds.")
        except ValueError as exc:
            return Sent(0, f"Not sent: {exc}.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            return Sent(0, f"It cannot be reached: {type(exc).__name__}.")

    async def _address(self, parts: SplitResult) -> str:
        """The address to connect to. ValueError unless every address of the host may be reached."""
        assert parts.hostname is not None
        found = await self._resolve(parts.hostname, _port(parts))
        if not found:
            raise ValueError(f"the host {parts.hostname} is not known")
        if not all(reachable(each, self._besides) for each in found):
            raise ValueError(
                "its host has an address that is not public, and none of the networks that "
                "webhook-networks names"
            )
        own = [literal(each) for each in found]
        if parts.scheme == "http" and not all(any(each in n for n in self._besides) for each in own if each):
            raise ValueError("http is for networks that webhook-networks names: use https")
        return found[0]

    async def _post(self, parts: SplitResult, address: str, headers: Mapping[str, str], body: bytes) -> Sent:
        assert parts.hostname is not None
        host = f"[{address}]" if ":" in address else address
        target = f"{parts.scheme}://{host}:{_port(parts)}{parts.path or '/'}"
        if parts.query:
            target += f"?{parts.query}"
        sent = {
            **headers,
            "host": parts.netloc,
            "content-type": "application/json",
            "user-agent": AGENT,
            "connection": "close",
        }
        # The name in TLS, and the one the certificate is checked for, is the URL's; the address is ours.
        more = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        async with (
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(verify=self._tls, retries=0),
                timeout=self._within_s,
                trust_env=False,
                follow_redirects=False,
            ) as client,
            client.stream("POST", target, content=body, headers=sent, extensions=more) as answer,
        ):
            return Sent(answer.status_code)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
