"""What nodes are handed: a lease, an opened session, a new generation. The values and their JSON.

A lease holds the session root and the storage key, and of a DRM asset its content keys, for LEASE_S at most,
in memory only (SECURITY 3.4). Also here: the opaque name of the bucket in which a viewer's pace is counted.
Pure.
"""

import hmac
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keys.derive import enc
from keys.limits import NO_LIMITS, Limits
from keys.names import b64url, b64url_decode
from keys.pace import Pace
from keys.sessions import Session

LEASE_S: Final = 15 * 60
REMEMBERED: Final = 8  # derived keys of a session: of what its player asks for now


@dataclass(frozen=True, slots=True)
class Lease:
    """The right and the keys to serve one session until `lease_expires`. All times are of keys' clock."""

    sid: str
    tenant: str
    asset: str
    generation: int
    srk: bytes = field(repr=False)  # session root, 32 bytes
    sk: bytes = field(repr=False)  # storage key, 32 bytes
    expires: int
    lease_expires: float
    network: str | None  # CIDR the session is bound to
    bucket: str
    iss: str  # who signed the link, and with which key: revoking that key ends the session too
    kid: str
    lid: str
    viewer: str | None
    pace: Pace
    now: float
    limits: Limits = NO_LIMITS
    cookie: str = field(default="", repr=False)  # of the browser the link is bound to
    opened: float = 0.0  # when the session was
    token_kid: str = ""  # which of keys' own keys signed the token it was asked for with
    asset_streams: int | None = None  # sessions of the asset in use at once, of all viewers
    drm: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)  # content keys by their IDs
    _made: dict[tuple[object, ...], bytes] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def made(self, what: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """A key made from the session root: the last few are remembered, and gone with this lease."""
        found = self._made.get(what)
        if found is None:
            if len(self._made) >= REMEMBERED:
                self._made.clear()
            found = self._made[what] = make()
        return found

    def to_json(self) -> dict[str, Any]:
        """The body of `POST /v1/leases`. Holds secrets."""
        return {
            "sid": self.sid,
            "tenant": self.tenant,
            "asset": self.asset,
            "generation": self.generation,
            "srk": b64url(self.srk),
            "sk": b64url(self.sk),
            "expires": self.expires,
            "lease_expires": self.lease_expires,
            "network": self.network,
            "bucket": self.bucket,
            "iss": self.iss,
            "kid": self.kid,
            "lid": self.lid,
            "viewer": self.viewer,
            "pace": self.pace.to_json(),
            "now": self.now,
            "limits": self.limits.to_json(),
            "cookie": self.cookie,
            "opened": self.opened,
            "token_kid": self.token_kid,
            "asset_streams": self.asset_streams,
        } | ({"drm": {b64url(kid): b64url(key) for kid, key in self.drm.items()}} if self.drm else {})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Lease":
        """The lease that `to_json` wrote. KeyError, TypeError or ValueError when it is none."""
        said = {name: fields[name] for name in _AS_THEY_ARE if name in fields or name not in _LATER}
        for name in _SHARED:  # one string for all sessions that have it
            if isinstance(said.get(name), str):
                said[name] = sys.intern(said[name])
        return cls(
            **said,
            srk=b64url_decode(fields["srk"]),
            sk=b64url_decode(fields["sk"]),
            pace=Pace.from_json(fields["pace"]),
            limits=Limits.from_json(fields["limits"]),
            drm={b64url_decode(kid): b64url_decode(key) for kid, key in fields.get("drm", {}).items()},
        )


_SHARED: Final = ("tenant", "asset", "iss", "kid", "token_kid")
# A worker of before, which shares our memory, wrote none of these.
_LATER: Final = ("opened", "token_kid", "asset_streams")
_AS_THEY_ARE: Final = tuple(
    name for name in Lease.__dataclass_fields__ if name not in ("srk", "sk", "pace", "limits", "drm", "_made")
)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was opened, or the one opened moments ago by the same link from the same network."""

    session_token: str = field(repr=False)
    sid: str
    asset: str
    generation: int
    expires: int
    cookie: str = field(default="", repr=False)  # for the browser, when the link is bound to one
    cookie_until: int = 0
    drm: bool = False  # the asset is encrypted with keys of a DRM provider, and in no other way

    def to_json(self) -> dict[str, Any]:
        """The body of `POST /v1/sessions`. Holds a token."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if value or name != "drm"}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "OpenedSession":
        """What `to_json` wrote. KeyError or TypeError when it is something else."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """A generation made for an asset: its number, the key that seals its slices, and of a DRM asset the
    provider's document without content keys.
    """

    tenant: str
    asset: str
    generation: int
    storage_key: bytes = field(repr=False)
    drm: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """The body of `POST /v1/generations`. Holds a secret."""
        return {
            "tenant": self.tenant,
            "asset": self.asset,
            "generation": self.generation,
            "storage_key": b64url(self.storage_key),
        } | ({"drm": b64url(self.drm)} if self.drm else {})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "NewGeneration":
        """What `to_json` wrote. KeyError, TypeError or ValueError when it is something else."""
        key = b64url_decode(fields["storage_key"])
        drm = b64url_decode(fields.get("drm", ""))
        return cls(str(fields["tenant"]), str(fields["asset"]), int(fields["generation"]), key, drm)


def bucket_name(key: bytes, session: Session) -> str:
    """The viewer's bucket: one for all sessions of a viewer in a tenant, else of a link. Says neither."""
    who = ("viewer", session.viewer) if session.viewer is not None else ("link", session.iss, session.link_id)
    return b64url(hmac.digest(key, enc("sluice1 bucket", session.tenant, *who), "sha256")[:16])


def device_cookie(key: bytes, iss: str, link_id: str) -> str:
    """What the browser has that opened this link first: 43 characters, the same at every opening."""
    return b64url(hmac.digest(key, enc("sluice1 device", iss, link_id), "sha256"))
