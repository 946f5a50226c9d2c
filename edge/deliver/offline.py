"""Licenses for offline use of a protected download, as keys gives them to the sessions whose links grant it.

W3C Clear Key has no such license, so this is Sluice's own (`keys.offline`). The edge has no key to sign with:
it has checked the token, the revocations and the limits, says what the packager signed of the file, and asks
keys. A license is answered once and stored by nobody.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.types import Receive

from edge.deliver.answer import Answer
from edge.deliver.authorize import Authorizer
from edge.deliver.counters import Count, ignore
from edge.deliver.headers import JSON_TYPE, unstored
from edge.deliver.key import protected_file
from edge.deliver.license import posted
from edge.deliver.needs import Library
from edge.deliver.path import Route
from edge.deliver.patience import Patience
from keys import ecdh
from keys.leases import Lease
from keys.offline_licenses import OfflineLicense
from keys.problems import Problem
from keys.strict_json import strict_object


class GrantsOffline(Protocol):
    """Who gives the licenses (`keys.client`)."""

    async def offline_license(
        self, session_token: str, uri: str, device: Mapping[str, Any], file: Mapping[str, Any]
    ) -> OfflineLicense:
        """The license. Problem forbidden, expired, limit, not_offline, revoked or unavailable."""
        ...


class Offline:
    """Answers for one worker."""

    def __init__(
        self,
        authorizer: Authorizer,
        keys: GrantsOffline,
        patience: Patience,
        library: Library,
        *,
        count: Count = ignore,
    ) -> None:
        self._authorizer = authorizer
        self._keys = keys
        self._patience = patience
        self._library = library
        self._count = count

    async def answer(self, route: Route, lease: Lease, receive: Receive) -> Answer:
        """JSON: the license, and the public key it holds under. Problem not_offline where none is granted."""
        claims = await self._authorizer.claims(route)
        if not claims.offline:
            raise Problem("not_offline", detail=f"session {lease.sid}")
        file = protected_file(await self._library.descriptor(lease.asset, lease.generation), route)
        told = {
            "rendition": file.rendition,
            "name": file.shown,
            "type": file.media_type,
            "size": file.size,
            "sha256": file.sha256,
        }
        device = read_request(await posted(receive))
        asking = self._keys.offline_license(route.token, self._authorizer.uri(route), device, told)
        given = await self._patience.wait(asking, running=True)
        self._count("offline_licenses", 1)
        return Answer(200, unstored(JSON_TYPE), json.dumps(given.to_json(), separators=(",", ":")).encode())


def read_request(body: bytes) -> dict[str, str]:
    """The public key of the device that asks, as a JWK. Problem bad_request when there is none."""
    try:
        device = strict_object(body)["device"]
        return ecdh.public_jwk(ecdh.read_public(device if isinstance(device, dict) else {}))
    except (ValueError, KeyError) as exc:
        raise Problem("bad_request", detail=f"a request for an offline license: {exc}") from None
