"""Entries of zones as they lie in Redis: written, sealed, opened. Pure: keys, nonces and times are given.

    sealed = format (1 byte) ‖ region key's version (4) ‖ stored at, ms (8) ‖ nonce (12) ‖ ciphertext ‖ tag

The key is derived from the region key by the name it is kept by; the additional data is everything that says
what it is (SECURITY 3.3): that name, head or slice and which, lengths, entity tag, when it was stored, and
both versions. What was swapped, cut, altered or put under another name does not open; an older one of the
very same name does, so what is inside says how old it is, and its freshness bounds its use (T20).

A head is an entry, and its whole body when that is small; a slice is a part of a large body.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.http import vary
from edge.http.directives import of_response
from edge.http.entry import DAY_S, Entry, Rules, Variant
from edge.zone.zone import Zone
from keys.derive import enc, hkdf_expand
from keys.region_ring import RegionKey, RegionRing

FORMAT: Final = 1
NONCE: Final = 12  # bytes
AHEAD_S: Final = 60.0  # clocks of a region may differ by
_CLEAR = struct.Struct(">BIQ")
_LENGTH = struct.Struct(">I")
_OVERHEAD: Final = _CLEAR.size + NONCE + 16
_HEAD: Final = 0xFFFF_FFFF  # as an index


class BadEntry(Exception):
    """Bytes no edge of the region sealed for this, or too old, or of another format."""

    newer = False  # than the keys we have, as it says


class NewerKey(BadEntry):
    """It says that it was sealed with a key that came after those we have."""

    newer = True


@dataclass(frozen=True, slots=True)
class What:
    """What is sealed, but for its bytes."""

    name: str  # under which it is kept
    index: int = _HEAD  # of a slice
    total: int = 0  # bytes of the whole body; 0 for a head, which says so itself
    etag: bytes = b""  # likewise


@lru_cache(256)
def mark(zone: Zone) -> bytes:
    """What tells a zone from another of its name: whom its answers come from, and how it was asked."""
    origins = [f"{each.scheme}://{each.host}:{each.port}" for each in zone.origins]
    told = enc("sluice1 zone mark", zone.name, zone.prefix, zone.base, zone.host_header, *origins)
    return sha256(told).digest()


def entry_name(zone: Zone, uri: str) -> str:
    """What is kept for a URI: 64 hex digits, the same on every edge."""
    return sha256(enc("sluice1 zone entry", mark(zone), uri)).hexdigest()


def variant_name(zone: Zone, uri: str, epoch: bytes, of: Variant) -> str:
    """What is kept of one variant of it. Another `epoch` is another set of variants."""
    told = enc("sluice1 zone variant", mark(zone), uri, epoch, vary.variant_key(of))
    return sha256(told).hexdigest()


def parts_name(zone: Zone, slices: str) -> str:
    """What the slices of this name (`store.slices_name`) are kept by."""
    return sha256(enc("sluice1 zone parts", mark(zone), slices)).hexdigest()


def seal(ring: RegionRing, what: What, plain: bytes, *, stored_at: float, nonce: bytes) -> bytes:
    """`plain`, sealed with the newest key. `nonce` is random, 12 bytes."""
    key = ring.keys[0]
    clear = _CLEAR.pack(FORMAT, key.version, int(stored_at * 1000))
    sealed = _cipher(key, what).encrypt(nonce, plain, _context(what, clear, len(plain)))
    return clear + nonce + sealed


def stored_at(sealed: bytes) -> float:
    """When this was sealed, as it says: believed once it opens."""
    return float(_CLEAR.unpack_from(sealed)[2]) / 1000 if len(sealed) >= _OVERHEAD else 0.0


def open_sealed(ring: RegionRing, what: What, sealed: bytes, *, now: float) -> bytes:
    """What was sealed for this, within a day. BadEntry."""
    if len(sealed) < _OVERHEAD:
        raise BadEntry("too short")
    clear, rest = sealed[: _CLEAR.size], memoryview(sealed)[_CLEAR.size :]
    form, version, stored_ms = _CLEAR.unpack(clear)
    key = next((each for each in ring.keys if each.version == version), None)
    if form == FORMAT and version > ring.keys[0].version:
        raise NewerKey("sealed with a newer key")
    if form != FORMAT or key is None or (key.retires is not None and key.retires <= now):
        raise BadEntry("of another format or key")
    if not -AHEAD_S <= now - stored_ms / 1000 <= DAY_S:
        raise BadEntry("too old, or of the future")
    context = _context(what, clear, len(sealed) - _OVERHEAD)
    try:
        return _cipher(key, what).decrypt(rest[:NONCE], rest[NONCE:], context)
    except InvalidTag as exc:
        raise BadEntry("not sealed for this") from exc


def write_head(entry: Entry, body: bytes | None) -> bytes:
    """An entry, and its body when it has it: length of what follows (4 bytes), JSON, body."""
    told = {
        "uri": entry.uri,
        "status": entry.status,
        "fields": [[_text(name), _text(value)] for name, value in entry.fields],
        "variant": [[_text(name), _optional(value)] for name, value in entry.variant],
        "times": [entry.requested, entry.received, entry.date, entry.initial_age_s, entry.lifetime_s],
        "etag": _optional(entry.etag),
        "last_modified": _optional(entry.last_modified),
        "length": entry.length,
        "whole": body is not None,
    }
    head = json.dumps(told, separators=(",", ":")).encode()
    return _LENGTH.pack(len(head)) + head + (body or b"")


def read_head(data: bytes, rules: Rules) -> tuple[Entry, bytes | None]:
    """The entry, and its body if it was there. BadEntry."""
    try:
        (size,) = _LENGTH.unpack_from(data)
        told = json.loads(data[_LENGTH.size : _LENGTH.size + size])
        body = data[_LENGTH.size + size :] if told["whole"] else None
        entry = _entry(told, rules)
    except (struct.error, ValueError, KeyError, TypeError) as exc:
        raise BadEntry("no entry") from exc
    if body is not None and len(body) != entry.length:
        raise BadEntry("a body of another length")
    return entry, body


def write_pointer(epoch: bytes, names: Sequence[bytes]) -> bytes:
    """That a URI has variants: by these fields of requests."""
    return _LENGTH.pack(0) + json.dumps([_text(epoch), *map(_text, names)]).encode()


def read_pointer(data: bytes) -> tuple[bytes, tuple[bytes, ...]] | None:
    """Its epoch and names; None: it is a head, not a pointer. BadEntry."""
    if len(data) < _LENGTH.size:
        raise BadEntry("too short")
    if data[: _LENGTH.size] != bytes(_LENGTH.size):
        return None
    try:
        epoch, *names = (_bytes(each) for each in json.loads(data[_LENGTH.size :]))
    except (ValueError, TypeError, AttributeError) as exc:
        raise BadEntry("no pointer") from exc
    return epoch, tuple(names)


def _entry(told: Any, rules: Rules) -> Entry:
    fields = [(_bytes(name), _bytes(value)) for name, value in told["fields"]]
    requested, received, date, initial_age_s, lifetime_s = map(float, told["times"])
    return Entry(
        uri=told["uri"],
        status=told["status"],
        fields=fields,
        variant=tuple((_bytes(name), _maybe(value)) for name, value in told["variant"]),
        directives=of_response(fields, rules.targets),
        requested=requested,
        received=received,
        date=date,
        initial_age_s=initial_age_s,
        lifetime_s=lifetime_s,
        etag=_maybe(told["etag"]),
        last_modified=_maybe(told["last_modified"]),
        length=told["length"],
    )


def _cipher(key: RegionKey, what: What) -> AESGCM:
    return AESGCM(hkdf_expand(key.key.reveal(), enc("sluice1 zone", what.name), 32))


def _context(what: What, clear: bytes, length: int) -> bytes:
    return enc("sluice1 zone", what.name, what.index, what.total, length, what.etag, clear)


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(value: str) -> bytes:
    return value.encode("latin-1")


def _optional(value: bytes | None) -> str | None:
    return None if value is None else _text(value)


def _maybe(value: str | None) -> bytes | None:
    return None if value is None else _bytes(value)
