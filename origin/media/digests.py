"""Signed digest lists: what lets an edge trust a sealed slice from anybody.

The packager signs, in blocks of BLOCK objects, `enc("sluice1 list", asset, generation, rendition, first,
count, [object, plain length, SHA-256 of each sealed slice]...)` with its Ed25519 key. A reader serves a slice
only when its digest is in a list whose signature holds. A rendition's list is published as its object `list`,
which is plain JSON:

    {"rendition": "720p", "blocks": [{"first": 0, "signature": "<b64url>",
     "objects": [{"name", "length", "slices": ["<b64url sha256>"]}]}]}
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.derive import enc
from keys.names import b64url, b64url_decode, object_name
from keys.problems import Problem
from origin.media.seal import slice_count

BLOCK = 64  # objects to a signature


class BadList(Exception):
    """A digest list that was not signed by a known packager, or does not parse."""


@dataclass(frozen=True, slots=True)
class ObjectDigest:
    """One stored object: its name, plain length in bytes, and the SHA-256 of each of its sealed slices."""

    name: str
    length: int
    slices: tuple[bytes, ...]  # 32 bytes each


def digest_of(sealed: bytes | memoryview) -> bytes:
    """SHA-256 of one sealed slice."""
    return hashlib.sha256(sealed).digest()


def write_list(
    key: Ed25519PrivateKey, asset: str, generation: int, rendition: str, objects: Sequence[ObjectDigest]
) -> bytes:
    """The signed list of a rendition, as published."""
    blocks = []
    for first in range(0, len(objects), BLOCK):
        block = objects[first : first + BLOCK]
        signature = key.sign(_signed_text(asset, generation, rendition, first, block))
        rows = [{"name": o.name, "length": o.length, "slices": [b64url(d) for d in o.slices]} for o in block]
        blocks.append({"first": first, "objects": rows, "signature": b64url(signature)})
    return json.dumps({"rendition": rendition, "blocks": blocks}, separators=(",", ":")).encode()


def read_list(
    text: bytes, packagers: Sequence[Ed25519PublicKey], asset: str, generation: int, rendition: str
) -> dict[str, ObjectDigest]:
    """Objects by name. BadList unless one of `packagers` signed every block for exactly this rendition."""
    found: dict[str, ObjectDigest] = {}
    try:
        for block in json.loads(text)["blocks"]:
            objects = [_object(row) for row in block["objects"]]
            signed = _signed_text(asset, generation, rendition, block["first"], objects)
            if not signed_by(packagers, b64url_decode(block["signature"]), signed):
                raise BadList(f"{asset}/{generation}/{rendition}: signed by no known packager")
            found.update((o.name, o) for o in objects)
    except (ValueError, KeyError, TypeError, RecursionError, struct.error, Problem) as exc:
        raise BadList(f"{asset}/{generation}/{rendition}: not a digest list") from exc
    return found


def _object(row: dict[str, object]) -> ObjectDigest:
    name, length, slices = row["name"], row["length"], row["slices"]
    if not (isinstance(name, str) and isinstance(length, int) and isinstance(slices, list)):
        raise ValueError("row of the wrong shape")
    digests = tuple(b64url_decode(s) for s in slices)
    if length < 0 or len(digests) != slice_count(length) or any(len(d) != 32 for d in digests):
        raise ValueError("row of the wrong size")
    return ObjectDigest(object_name(name), length, digests)


def _signed_text(
    asset: str, generation: int, rendition: str, first: int, objects: Sequence[ObjectDigest]
) -> bytes:
    fields: list[str | bytes | int] = []
    for o in objects:
        fields += [o.name, o.length, *o.slices]
    return enc("sluice1 list", asset, generation, rendition, first, len(objects), *fields)


def signed_by(packagers: Sequence[Ed25519PublicKey], signature: bytes, text: bytes) -> bool:
    """Whether one of `packagers` made this signature over exactly this text."""
    for key in packagers:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            continue
        return True
    return False
