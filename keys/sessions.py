"""When does a link open a session, when does it give the same one again, when is it refused?

Pure: the history of a link comes in as values, a decision goes out; `keys.store_sessions` carries it out
inside one transaction. What the token says was verified before (`keys.tokens`), what is revoked asked
(`keys.revocation`). Times are seconds since the epoch, durations seconds.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keys.limits import NO_LIMITS, Limits

OPEN_AGAIN_S: Final = 60.0  # reloads, previews, lost redirects, players that open a link twice
OPENS_PER_MINUTE: Final = 30
SITE_MAXIMUM_S: Final = 12 * 3600

LIVE: Final = "live"
REVOKED: Final = "revoked"
OVER: Final = "over"  # never stored: a live record whose end has passed

_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site allows: sessions opened per link and minute, and the longest session in seconds.

    `streams` is how many sessions of a viewer may be in use at once where his link does not say; 0: any.
    """

    opens_per_minute: int = OPENS_PER_MINUTE
    maximum_s: int = SITE_MAXIMUM_S
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One verified wish to open: who signed, which link, what for (`generation` is published), from where."""

    iss: str
    kid: str
    link_id: str
    single_use: bool
    tenant: str
    asset: str
    generation: int
    viewer: str | None
    network: str | None  # the network the link is bound to, CIDR
    client_ip: str
    edge: str  # name of the node that asks
    cap_s: int | None = None  # the link's own limit
    pace: dict[str, float] | None = None  # the link's own pace, in the fields of `keys.pace`
    limits: Limits = NO_LIMITS
    known_device: bool = False  # it has the cookie of the browser that opened the link first
    drm: bool = False  # the generation is encrypted with keys of a DRM provider


@dataclass(frozen=True, slots=True)
class Session:
    """The session record: one viewer's playback of one asset in one generation, until `expires`."""

    sid: str  # base64url of 16 random bytes
    iss: str
    kid: str
    link_id: str
    tenant: str
    asset: str
    generation: int
    viewer: str | None
    network: str | None
    client_ip: str
    client_network: str
    opened: float
    expires: int
    edge: str
    pace: dict[str, float] | None = None
    limits: dict[str, Any] | None = None  # of its link, as `Limits.to_json` writes them
    state: str = LIVE
    salt: bytes = field(default=b"", repr=False)  # 32 random bytes: input of the session root

    def standing(self, now: float) -> str:
        """`live`, `revoked` or `over` at `now`."""
        return OVER if self.state == LIVE and now >= self.expires else self.state


@dataclass(frozen=True, slots=True)
class Activity:
    """What one node saw of a session since it last told: when last, requests, bytes, seconds of media.

    The rest is what the ripper score is made of (`keys.ripper.Course` says what each is).
    """

    at: float
    requests: int
    bytes: int
    media_s: float
    again_s: float = 0.0
    held_s: float = 0.0
    apart_s: float = 0.0
    position_s: float | None = None  # None: no segment was handed out

    def to_json(self) -> dict[str, Any]:
        """As nodes tell it: what is nothing is left out, seconds are to the millisecond."""
        more = {name: getattr(self, name) for name in ("again_s", "held_s", "apart_s", "position_s")}
        shown = {name: round(value, 3) for name, value in more.items() if value}
        return {
            "at": round(self.at, 3),
            "requests": self.requests,
            "bytes": self.bytes,
            "media_s": round(self.media_s, 3),
        } | shown


@dataclass(frozen=True, slots=True)
class History:
    """What the database knows of a link: was it ever used, and the sessions opened in the last minute."""

    used: bool
    recent: Sequence[Session]


@dataclass(frozen=True, slots=True)
class New:
    """Open a session that ends at `expires`."""

    expires: int


@dataclass(frozen=True, slots=True)
class Again:
    """Answer with the session that this link opened moments ago from this network."""

    session: Session


@dataclass(frozen=True, slots=True)
class Refuse:
    """Open nothing. `code` and `limit` are for the viewer (`keys.problems`), `reason` for the log."""

    code: str
    reason: str
    limit: str = ""


Decision = New | Again | Refuse


def decide_open(request: Request, history: History, rules: Rules, now: float) -> Decision:
    """Whether this link opens a session now. Idempotent for OPEN_AGAIN_S in (link, asset, client network)."""
    if request.limits.device and history.used and not request.known_device:
        return Refuse("limit", "another browser opened it first", "device")
    network = client_network(request.client_ip)
    for session in history.recent:
        if _is_repeat(session, request, network, now):
            return Again(session)
    if request.single_use and history.used:
        return Refuse("limit", "single-use link was used", "once")
    most = min(rules.opens_per_minute, request.limits.opens or rules.opens_per_minute)
    if sum(now - session.opened < 60 for session in history.recent) >= most:
        return Refuse("limit", f"more than {most} opens a minute", "opens")
    return New(expires=session_end(request.cap_s, rules, now))


def _is_repeat(session: Session, request: Request, network: str, now: float) -> bool:
    return (
        session.standing(now) == LIVE
        and now - session.opened < OPEN_AGAIN_S
        and session.asset == request.asset
        and session.client_network == network
    )


def session_end(cap_s: int | None, rules: Rules, now: float) -> int:
    """The end of a session opened now: the link's cap, never beyond the site's maximum. Whole seconds."""
    length = rules.maximum_s if cap_s is None else min(cap_s, rules.maximum_s)
    return int(now) + length


def session_of(request: Request, decision: New, sid: str, salt: bytes, now: float) -> Session:
    """The record of the session that `decision` opens for `request`. `salt` is 32 random bytes."""
    return Session(
        sid=sid,
        iss=request.iss,
        kid=request.kid,
        link_id=request.link_id,
        tenant=request.tenant,
        asset=request.asset,
        generation=request.generation,
        viewer=request.viewer,
        network=request.network,
        client_ip=request.client_ip,
        client_network=client_network(request.client_ip),
        opened=now,
        expires=decision.expires,
        edge=request.edge,
        pace=request.pace,
        limits=request.limits.to_json() or None,
        salt=salt,
    )


def client_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address a viewer speaks from, IPv4-mapped IPv6 as IPv4. ValueError when it is no address."""
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address


def client_network(text: str) -> str:
    """The /24 (IPv4) or /64 (IPv6) around an address, as CIDR: what counts as one client."""
    address = client_address(text)
    prefix = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False))


def within(client_ip: str, network: str | None) -> bool:
    """Whether an address lies in the network a link is bound to. A link bound to nothing is open to all."""
    return network is None or client_address(client_ip) in ipaddress.ip_network(network, strict=False)
