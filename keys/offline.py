"""A license for offline use: what it says, who signed it, whether it is good at a time, and its file's key.

A compact JWS of type `offline+jwt` under the key of session tokens, about one protected download in the form
of one session (`keys.ece`), for one machine. The file's key in it is sealed for that machine, for just these
claims (`keys.ecdh`): with one of them changed it does not open, whoever signs anew. Who may have one is
`keys.offline_licenses`'; what is here needs no network. Pure. Times are seconds since the epoch.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from keys import ecdh, jws
from keys.cipher import BadWrap
from keys.claims import OFFLINE_LONGEST_S
from keys.ece import RECORD, SALT, Header
from keys.names import SESSION_ID_BYTES, asset_id, b64url, b64url_decode, file_name
from keys.problems import Problem
from keys.signing import SigningKey
from keys.strict_json import strict_object

TYPE: Final = "offline+jwt"  # RFC 8725 §3.11: a license is no token, and no token a license
ISSUER: Final = "sluice offline"  # no issuer of tokens may have this name
TOLERANCE_S: Final = 300  # by which a machine's clock may be behind what it showed before
ID_BYTES: Final = 16
MOST_SHOWN: Final = 512  # characters of a file's name for people
MOST_BYTES: Final = 1 << 50  # of a file

GOOD: Final = "good"
OVER: Final = "over"
NOT_YET: Final = "not yet"
TURNED_BACK: Final = "turned back"

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")


class BadLicense(Exception):
    """What is no license, was changed, or is for another machine or file. Says which."""


@dataclass(frozen=True, slots=True)
class File:
    """A protected download: its asset, its name in URLs, and of its plain bytes what a viewer is told.

    ValueError for what is no such thing.
    """

    asset: str
    name: str
    shown: str  # its name on a disk
    media_type: str
    size: int
    sha256: bytes

    def __post_init__(self) -> None:
        try:
            asset_id(self.asset)
            file_name(self.name)
        except Problem as exc:
            raise ValueError(exc.detail or exc.message) from exc
        if not 0 < len(self.shown) <= MOST_SHOWN or not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError("a file has a name and a media type")
        if type(self.size) is not int or not 0 <= self.size < MOST_BYTES or len(self.sha256) != 32:
            raise ValueError("a file has a size and a SHA-256")


@dataclass(frozen=True, slots=True)
class License:
    """What a license says."""

    id: str
    sid: str
    file: File
    salt: bytes  # of the session's form of the file
    issued: int
    expires: int
    device: str  # thumbprint of the machine's key
    sealed: str = ""  # the file's key for that machine: compact JWE

    @property
    def header(self) -> Header:
        """What the encrypted form begins with."""
        return Header(self.salt)

    def claims(self) -> dict[str, Any]:
        """All it says but the key."""
        return {
            "iss": ISSUER,
            "jti": self.id,
            "sid": self.sid,
            "asset": self.file.asset,
            "file": self.file.name,
            "name": self.file.shown,
            "type": self.file.media_type,
            "size": self.file.size,
            "sha256": b64url(self.file.sha256),
            "salt": b64url(self.salt),
            "rs": RECORD,
            "iat": self.issued,
            "exp": self.expires,
            "device": self.device,
        }

    def bound(self) -> bytes:
        """What the sealed key is bound to: SHA-256 of the claims."""
        text = json.dumps(self.claims(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()


def issue(key: SigningKey, license: License, content_key: bytes, holder: X25519PublicKey) -> str:
    """The signed license. ValueError when no key can be sealed for this holder, or it is too long."""
    sealed = ecdh.seal(holder, content_key, license.bound())
    text = jws.sign(key.private, key.kid, license.claims() | {"key": sealed}, TYPE)
    if len(text) > jws.MAX_BYTES:
        raise ValueError("the file's name makes this license too long")
    return text


def read(text: str, signer: jws.VerifyKey) -> License:
    """The license this signer signed. BadLicense for anything else."""
    try:
        parsed = jws.parse(text)
    except jws.Malformed as exc:
        raise BadLicense("not a license") from exc
    if parsed.typ != TYPE or parsed.kid != signer.kid or not signer.holds(parsed):
        raise BadLicense("not a license, or changed since it was signed")
    try:
        return _license(strict_object(parsed.payload))
    except (ValueError, KeyError, TypeError) as exc:
        raise BadLicense("a license of another form") from exc


def _license(said: Mapping[str, Any]) -> License:
    file = File(
        said["asset"], said["file"], said["name"], said["type"], said["size"], b64url_decode(said["sha256"])
    )
    found = License(
        said["jti"], said["sid"], file, b64url_decode(said["salt"]), said["iat"], said["exp"], said["device"],
        said["key"],
    )  # fmt: skip
    lengths = (len(b64url_decode(found.id)), len(b64url_decode(found.sid)), len(found.salt))
    if lengths != (ID_BYTES, SESSION_ID_BYTES, SALT):
        raise ValueError("an ID or salt of the wrong length")
    if not all(type(each) is int for each in (found.issued, found.expires)):
        raise ValueError("times are whole seconds")
    if not 0 < found.expires - found.issued <= OFFLINE_LONGEST_S:
        raise ValueError("a time nobody grants")
    if not isinstance(found.device, str) or not isinstance(found.sealed, str):
        raise TypeError("device and key are texts")
    if {**found.claims(), "key": found.sealed} != said:
        raise ValueError("a member more, or another record size")
    return found


def content_key(license: License, machine: X25519PrivateKey) -> bytes:
    """The file's key, for the machine the license is for. BadLicense on another."""
    if license.device != ecdh.thumbprint(machine.public_key()):
        raise BadLicense("a license for another machine")
    try:
        key = ecdh.opened(machine, license.sealed, license.bound())
    except BadWrap as exc:
        raise BadLicense("the key in the license does not open: it was changed") from exc
    if len(key) != ecdh.KEY:
        raise BadLicense("a license with a key of no form")
    return key


def standing(license: License, now: float, seen: float) -> str:
    """GOOD, OVER, NOT_YET or TURNED_BACK at `now`, on a machine whose clock has shown `seen`."""
    if max(now, seen) >= license.expires:
        return OVER
    if now < license.issued - TOLERANCE_S:
        return NOT_YET if seen <= license.issued else TURNED_BACK
    return TURNED_BACK if now < seen - TOLERANCE_S else GOOD
