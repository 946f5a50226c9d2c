"""Licenses of Common Encryption: the keys of a session by their IDs, as W3C Clear Key JSON asks for them.

W3C Encrypted Media Extensions §9.1.3 (request), §9.1.4 (license). A request is a stranger's until it is read:
bounded, strict JSON, IDs of 16 bytes. Answered are the keys of this session's tracks and no others; of an
ID that is not among them nothing is said. Like a raw key, a license is answered at once while the session
lives, and nobody stores it. Neither requests nor licenses are ever logged.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from starlette.types import Receive

from edge.deliver.answer import Answer
from edge.deliver.headers import JSON_TYPE, unstored
from edge.deliver.key import check_ours, track_key, track_key_id
from edge.deliver.needs import Library
from edge.deliver.path import Route
from edge.deliver.playlist import check_offered
from keys.leases import Lease
from keys.names import b64url, b64url_decode
from keys.problems import Problem

MOST_BYTES: Final = 4096  # of a request: a browser's has some 100 for each ID
MOST_IDS: Final = 32
KID_BYTES: Final = 16
TYPE: Final = "temporary"  # the one session type there is: nothing is kept for later


class BadLicenseRequest(Exception):
    """What was posted is no Clear Key license request. Says why, and never what was sent."""


def read_request(body: bytes) -> tuple[bytes, ...]:
    """The key IDs a license request names, each once, in order. BadLicenseRequest.

    Members that nobody defined are passed over; a member that comes twice is refused.
    """
    try:
        found = json.loads(
            body.decode("utf-8"), object_pairs_hook=_members, parse_constant=_constant, parse_int=_number
        )
    except (ValueError, RecursionError) as exc:
        raise BadLicenseRequest("not JSON in UTF-8") from exc
    kids = found.get("kids") if isinstance(found, dict) else None
    if not isinstance(kids, list) or not 1 <= len(kids) <= MOST_IDS:
        raise BadLicenseRequest(f"no list of 1 to {MOST_IDS} key IDs")
    if found.get("type", TYPE) != TYPE:
        raise BadLicenseRequest(f"a license of another type than {TYPE}")
    return tuple(dict.fromkeys(_key_id(each) for each in kids))


def write_license(keys: Mapping[bytes, bytes]) -> bytes:
    """The license: a JSON Web Key Set of these keys by their IDs."""
    rows = [{"kty": "oct", "kid": b64url(kid), "k": b64url(key)} for kid, key in keys.items()]
    return json.dumps({"keys": rows, "type": TYPE}, separators=(",", ":")).encode()


async def answer(library: Library, route: Route, lease: Lease, receive: Receive) -> Answer:
    """The license. Problem too_large or bad_request for what is no request, forbidden for others' keys.

    Problem drm when the asset's keys are a DRM provider's to give.
    """
    descriptor = await library.descriptor(lease.asset, lease.generation)
    check_offered(descriptor, route)
    check_ours(route)
    try:
        wanted = read_request(await posted(receive))
    except BadLicenseRequest as exc:
        raise Problem("bad_request", detail=f"a license request: {exc}") from None
    tracks = dict.fromkeys(rendition.track for rendition in descriptor.renditions)
    of = (lease.tenant, lease.asset, lease.generation)
    own = {track_key_id(*of, track, route.protection): track for track in tracks}
    keys = {kid: track_key(lease, own[kid], route.protection) for kid in wanted if kid in own}
    if not keys:
        raise Problem("forbidden", detail="no key ID of this session")
    return Answer(200, unstored(JSON_TYPE), write_license(keys))


async def posted(receive: Receive) -> bytes:
    """What was posted. Problem too_large as soon as it is more than a request has."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad_request", detail="a license request that was cut")
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST_BYTES:
            raise Problem("too_large", detail="a license request")
    return b"".join(parts)


def _key_id(text: object) -> bytes:
    try:
        kid = b64url_decode(text) if isinstance(text, str) else b""
    except ValueError:
        kid = b""
    if len(kid) != KID_BYTES:
        raise BadLicenseRequest(f"a key ID is {KID_BYTES} bytes in base64url")
    return kid


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member that comes twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _number(digits: str) -> int:
    """No number means anything here, and a long one takes long to read."""
    return 0
