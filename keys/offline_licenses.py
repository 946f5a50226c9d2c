"""Who may have a license for offline use: a running session whose link grants it, for one machine.

The grant is in the session's token, which keys minted from the link's; revocation is asked as for a lease.
The first machine that asks is written down with the session, and no other gets one of it. Keys derives the
file's key itself; what an edge tells is what its packager signed of the file. What a license says is
`keys.offline`.
"""

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from keys import ecdh, offline
from keys.claims import Refused
from keys.container import canonical_uri
from keys.derive import content_key, download_salt
from keys.hierarchy import Hierarchy
from keys.leasing import Lender, root_of
from keys.names import b64url, b64url_decode, rendition_id, split_download
from keys.offline import ID_BYTES, File, License
from keys.problems import Problem
from keys.rings import Rings
from keys.sessions import Session
from keys.store_sessions import SessionStore

PLACE: Final = "/license"  # below a download's path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OfflineLicense:
    """A license, and the public key it holds under."""

    license: str
    signer: dict[str, str]  # public JWK

    def to_json(self) -> dict[str, Any]:
        """The body of `POST /v1/offline-licenses`, and of what a viewer gets."""
        return {"license": self.license, "signer": self.signer}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "OfflineLicense":
        """What `to_json` wrote. KeyError or TypeError when it is something else."""
        license, signer = fields["license"], fields["signer"]
        if not isinstance(license, str) or not isinstance(signer, dict):
            raise TypeError("a license and its signer's key")
        return cls(license, signer)


@dataclass(frozen=True, slots=True)
class OfflineLicenses:
    """Gives them to edges, for viewers."""

    lender: Lender
    hierarchy: Hierarchy
    rings: Rings
    sessions: SessionStore
    now: Callable[[], float]
    count: Callable[[str], None]

    async def grant(
        self, token: str, uri: str, device: Mapping[str, Any], told: Mapping[str, Any]
    ) -> OfflineLicense:
        """The license of what `uri` names for this machine. Problem when there is none to give.

        `device` is a public JWK; `told` what the edge says of the file: rendition, name, type, size, sha256.
        """
        try:
            given = await self._grant(token, uri, device, told)
        except Refused as exc:
            self.count("keys_offline_licenses_refused")
            raise exc.problem() from exc
        except Problem:
            self.count("keys_offline_licenses_refused")
            raise
        self.count("keys_offline_licenses")
        return given

    async def _grant(
        self, token: str, uri: str, device: Mapping[str, Any], told: Mapping[str, Any]
    ) -> OfflineLicense:
        claims, session = await self.lender.running(token, uri)
        if not claims.offline:
            raise Problem("not_offline", detail=f"session {session.sid}")
        asset, name = _named(uri)
        if asset != session.asset:
            raise Problem("forbidden", detail="a file of another asset")
        try:
            holder = ecdh.read_public(device)
            shown, media_type, size = told["name"], told["type"], told["size"]
            file = File(asset, name, shown, media_type, size, b64url_decode(told["sha256"]))
            rendition = rendition_id(told["rendition"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Problem("bad_request", "A device's public key, and a file.", detail=str(exc)[:200]) from exc
        root, now = await self._root(session), self.now()
        machine = ecdh.thumbprint(holder)
        license = License(
            b64url(secrets.token_bytes(ID_BYTES)), session.sid, file, download_salt(root, name),
            int(now), int(now) + claims.offline, machine,
        )  # fmt: skip
        signer = self.rings.sessions.active(now)
        try:
            text = offline.issue(signer, license, content_key(root, "ece", "file", rendition, 0), holder)
        except ValueError as exc:
            raise Problem("bad_request", "No license can be made of this.", detail=str(exc)) from exc
        if not await self.sessions.bind_offline(session.sid, machine, license.expires):
            raise Problem("limit", limit="offline", detail=f"session {session.sid} has another machine's")
        log.info("offline license %s session=%s until=%d", license.id, session.sid, license.expires)
        return OfflineLicense(text, signer.public_jwk())

    async def _root(self, session: Session) -> bytes:
        keys = await self.hierarchy.generation(session.tenant, session.asset, session.generation)
        if keys is None:
            raise Problem("revoked", detail=f"keys of {session.asset} are deleted")
        return root_of(session, keys.asset_key)


def _named(uri: str) -> tuple[str, str]:
    """Asset and file of the URI of a license. Problem forbidden for any other."""
    path = urlsplit(canonical_uri(uri)).path
    found = split_download(re.sub(f"{PLACE}$", "", path)) if path.endswith(PLACE) else None
    if found is None or found[2] != "ece":
        raise Problem("forbidden", detail="no license is at this URI")
    return found[0], found[1]
