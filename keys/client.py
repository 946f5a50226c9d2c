"""How origin, edge and console speak to the keys service: one method for each row of its HTTP table.

Answers are typed values; a refusal raises the `Problem` the service gave; no answer in time raises
`unavailable`. The service is `keys.app`. Nodes prove themselves with a fresh bearer on every request,
operators with their token.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
import httpx

from keys.connections import pooled
from keys.leases import Lease, NewGeneration, OpenedSession
from keys.names import b64url
from keys.nodes import NodeIdentity
from keys.offline_licenses import OfflineLicense
from keys.problems import STATUS, Problem, retry_after
from keys.purge import Purge, Purges
from keys.region_ring import RegionRing
from keys.revocation import Entry, Feed
from keys.sessions import Activity
from keys.zone_links import ZoneLink
from keys.zone_names import MOST_SAID

CONNECTIONS: Final = 100
TIMEOUT_S: Final = 3.0  # for a whole answer; a long poll adds what it asked to be held
KEEP_ALIVE_S: Final = 3.0  # below the server's 5, so that no request goes into a connection just being closed

Source = TypeVar("Source")
Value = TypeVar("Value")
Credential = Callable[[], str]


def node_credential(identity: NodeIdentity, now: Callable[[], float]) -> Credential:
    """What a node shows: its bearer for `keys`, new for every request."""
    return lambda: identity.bearer("keys", now())


class KeysClient:
    """A client of the keys service at `url`. `credential` gives the bearer; none for what needs none.

    `zones` are the names of the zones that whoever asks has: told with each question for purges.
    For the trusted side of a connection: TLS verification is the system's; proxies of the environment are
    not used.
    """

    def __init__(
        self,
        url: str,
        credential: Credential | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        zones: Iterable[str] = (),
    ) -> None:
        self._credential = credential
        self._zones = ",".join(zones)
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=url,
            transport=pooled(connections=CONNECTIONS, kept_s=KEEP_ALIVE_S),
            timeout=None,  # noqa: S113 (the whole exchange is timed in `_send`)
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def health(self) -> None:
        """Returns when the service serves; Problem `unavailable` when not."""
        await self._send("GET", "/healthz")

    async def jwks(self) -> dict[str, Any]:
        """The public JWKS of the keys that sign session tokens."""
        return await self._ask("GET", "/.well-known/jwks.json")

    async def enrol(self, identity: NodeIdentity, join_token: str) -> None:
        """Make a node known. Idempotent; `conflict` when the name is another's."""
        body = {"name": identity.name, "role": identity.role, "jwk": identity.public_jwk()}
        await self._send("POST", "/v1/enrol", body, bearer=join_token)

    async def trust(self) -> dict[str, Any]:
        """Whom to believe: issuers (for `Trust.from_json`), packagers, nodes, and keys' clock."""
        return await self._ask("GET", "/v1/trust")

    async def open_session(
        self, token: str, uri: str, client_ip: str, *, cookies: Sequence[str] = (), country: str = ""
    ) -> OpenedSession:
        """Open the session a link is good for, or get the one it opened moments ago.

        `cookies` and `country` are what is known of the browser that asks, for links bound to such.
        """
        body: dict[str, Any] = {"token": token, "uri": uri, "client_ip": client_ip}
        body |= {"cookies": list(cookies), "country": country}
        return _typed(OpenedSession.from_json, await self._ask("POST", "/v1/sessions", body))

    async def renew(self, session_token: str, uri: str) -> OpenedSession:
        """The token that follows a session's. Problem forbidden, expired, revoked or unavailable."""
        body = {"session_token": session_token, "uri": uri}
        return _typed(OpenedSession.from_json, await self._ask("POST", "/v1/renewals", body))

    async def zone_link(self, token: str, uri: str) -> ZoneLink:
        """Which viewer a zone's link names, and the token that follows. Problem as for `renew`."""
        body = {"token": token, "uri": uri}
        return _typed(ZoneLink.from_json, await self._ask("POST", "/v1/zone-links", body))

    async def lease(self, session_token: str, uri: str) -> Lease:
        """The keys of a session, for as long as the lease says."""
        body = {"session_token": session_token, "uri": uri}
        return _typed(Lease.from_json, await self._ask("POST", "/v1/leases", body))

    async def offline_license(
        self, session_token: str, uri: str, device: Mapping[str, Any], file: Mapping[str, Any]
    ) -> OfflineLicense:
        """A license for offline use of a session's file, on this device (`keys.offline_licenses`)."""
        body = {"session_token": session_token, "uri": uri, "device": dict(device), "file": dict(file)}
        return _typed(OfflineLicense.from_json, await self._ask("POST", "/v1/offline-licenses", body))

    async def revocations(self, after: int, wait_s: float = 0, trust: str | None = None) -> Feed:
        """What was revoked after version `after`; held up to `wait_s` ≤ 25 seconds while nothing was.

        `trust` is the mark of the trust the asker has (`Feed.trust`): another is answered at once.
        """
        path = f"/v1/revocations?after={after}&wait={wait_s:g}"
        if trust is not None:
            path += f"&trust={quote(trust, safe='')}"
        return _typed(Feed.from_json, await self._ask("GET", path, wait_s=wait_s))

    async def revoke(self, kind: str, value: str) -> Entry:
        """Take back a session, link, viewer, asset, signing key (`iss/kid`) or a tenant's epoch."""
        body = {"kind": kind, "value": value}
        return _typed(Entry.from_json, await self._ask("POST", "/v1/revocations", body))

    async def lift(self, kind: str, value: str) -> Entry:
        """Let begin again what was revoked."""
        body = {"kind": kind, "value": value, "lift": True}
        return _typed(Entry.from_json, await self._ask("POST", "/v1/revocations", body))

    async def purge(self, zone: str, kind: str, value: str = "", *, soft: bool = False) -> Purge:
        """Purge what a zone's answers are kept of, on every edge (`keys.purge`)."""
        return (await self.purge_and_warning(zone, kind, value, soft=soft))[0]

    async def purge_and_warning(
        self, zone: str, kind: str, value: str = "", *, soft: bool = False
    ) -> tuple[Purge, str]:
        """The same, and what keys has to say of it: that no edge has such a zone. Mostly nothing."""
        body = {"zone": zone, "kind": kind, "value": value, "soft": soft}
        told = await self._ask("POST", "/v1/purges", body)
        return _typed(Purge.from_json, told), str(told.get("warning", ""))

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        """What was purged after version `after`; held up to `wait_s` ≤ 25 seconds while nothing was."""
        path = f"/v1/purges?wait={wait_s:g}" + (f"&after={after}" if after >= 0 else "")
        if 0 < len(self._zones) <= MOST_SAID:
            path += f"&zones={self._zones}"
        return _typed(Purges.from_json, await self._ask("GET", path, wait_s=wait_s))

    async def key_states(self) -> list[dict[str, Any]]:
        """Which keys there are: kind, id, state, since, until."""
        return list((await self._ask("GET", "/v1/keys"))["keys"])

    async def rotate(
        self, kind: str, *, overlap_s: float | None = None, at_once: bool = False
    ) -> list[dict[str, Any]]:
        """Rotate the root, tenant, signing, link or region key; the keys of that kind afterwards."""
        body = {"kind": kind, "overlap_s": overlap_s, "at_once": at_once}
        return list((await self._ask("POST", "/v1/rotations", body))["keys"])

    async def region_keys(self, region: str) -> RegionRing:
        """The keys to seal a region's shared entries with, the newest first."""
        answer = await self._ask("GET", f"/v1/regions/{quote(region, safe='')}/keys")
        return _typed(RegionRing.from_json, answer)

    async def tell_activity(self, seen: Mapping[str, Activity]) -> None:
        """Tell what was seen of sessions, by sid, since it was last told. At most 250 sessions a call."""
        body = {"sessions": {sid: activity.to_json() for sid, activity in seen.items()}}
        await self._send("POST", "/v1/activity", body)

    async def zones(self) -> list[dict[str, Any]]:
        """The zones edges and shields say they have: name, nodes."""
        return list((await self._ask("GET", "/v1/zones"))["zones"])

    async def sessions(self, live_within_s: float = 60, viewer: str | None = None) -> list[dict[str, Any]]:
        """Sessions active within that many seconds, the latest first; all, or one viewer's."""
        of_viewer = "" if viewer is None else f"&viewer={quote(viewer, safe='')}"
        answer = await self._ask("GET", f"/v1/sessions?live_within_s={live_within_s:g}{of_viewer}")
        return list(answer["sessions"])

    async def end_sessions(self, viewer: str) -> list[str]:
        """End the sessions a viewer has now; their IDs. His links stay good."""
        return list((await self._ask("DELETE", f"/v1/sessions?viewer={quote(viewer, safe='')}"))["ended"])

    async def new_generation(self, asset: str, drm: bytes | None = None) -> NewGeneration:
        """Make a generation of an asset, with new keys. New sessions pin it only once it is published.

        `drm` is a DRM provider's CPIX document, content keys and all.
        """
        body = {"asset": asset} | ({"drm": b64url(drm)} if drm is not None else {})
        answer = await self._ask("POST", "/v1/generations", body)
        return _typed(NewGeneration.from_json, answer)

    async def publish(self, asset: str, generation: int, pace: Mapping[str, float] | None = None) -> None:
        """Let new sessions pin this generation. `pace`: any of burst_s, rate, jump_s, jumps."""
        body = {"pace": dict(pace)} if pace else {}
        await self._send("POST", f"/v1/generations/{quote(asset, safe='')}/{generation}/publish", body)

    async def delete_asset(self, asset: str) -> None:
        """Delete the keys of all generations of an asset and end its sessions."""
        await self._send("DELETE", f"/v1/assets/{quote(asset, safe='')}")

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, wait_s: float = 0
    ) -> dict[str, Any]:
        response = await self._send(method, path, body, wait_s=wait_s)
        return _typed(_object, response)

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        bearer: str | None = None,
        wait_s: float = 0,
    ) -> httpx.Response:
        bearer = bearer or (self._credential() if self._credential else None)
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            async with asyncio.timeout(self._timeout_s + wait_s):
                response = await self._http.request(method, path, json=body, headers=headers)
        except (httpx.TransportError, TimeoutError, OSError) as exc:
            detail = f"{method} {path.partition('?')[0]}: {type(exc).__name__}"
            raise Problem("unavailable", "The keys service does not answer.", detail=detail) from exc
        except aiohttp.ClientError as exc:  # what the transport leaves as it is: an answer that is no HTTP
            raise Problem("bad_upstream", detail=f"keys answered {type(exc).__name__}") from exc
        if not response.is_success:
            raise _problem(response)
        return response


def _problem(response: httpx.Response) -> Problem:
    """The refusal the service gave; `bad_upstream` when it is not in our form."""
    try:
        fields = _object(response)
        code, message, limit = str(fields["code"]), str(fields["message"]), str(fields.get("limit", ""))
        known = STATUS[code] == response.status_code
    except (ValueError, KeyError):
        known = False
    if not known:
        return Problem("bad_upstream", detail=f"keys answered {response.status_code} without a problem")
    problem = Problem(
        code, message, limit=limit, retry_after_s=retry_after(response.headers.get("retry-after", ""))
    )
    problem.id = response.headers.get("sluice-request-id", problem.id)  # the ID under which keys logged it
    return problem


def _object(response: httpx.Response) -> dict[str, Any]:
    found = json.loads(response.content)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _typed(parse: Callable[[Source], Value], source: Source) -> Value:
    try:
        return parse(source)
    except (ValueError, KeyError, TypeError) as exc:
        raise Problem("bad_upstream", detail=f"keys answered in another form: {type(exc).__name__}") from exc
