"""What this machine's user holds for offline use: its key, and of each license its signer and the time seen.

    FOLDER/device.json           the private key (X25519, JWK)
    FOLDER/licenses/ID.json      {"signer": thumbprint, "seen": s, "mac": …}

All of mode 0600. The MAC is under a key derived from the device's own, so that what is noted of one license
cannot be given to another or be moved back by an editor; an older copy of the file can be put back, and that
is what it is worth (docs/downloads.md).
"""

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from keys import ecdh, offline
from keys.derive import enc, hkdf_expand, hkdf_extract
from keys.jws import VerifyKey
from keys.names import b64url
from keys.offline import BadLicense, License
from keys.private_file import create_private, write_private

MOST_BYTES: Final = 16 << 10  # of a license's file
MOST_SEEN: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted of a license."""

    signer: str  # thumbprint of the key it was signed with
    seen: int  # the latest time the clock has shown, seconds since the epoch


class Device:
    """The key and the notes in a folder. Made with the first license; OSError where it cannot be."""

    def __init__(self, folder: Path, key: X25519PrivateKey) -> None:
        self._folder = folder
        self.key = key
        self._mac_key = hkdf_expand(
            hkdf_extract(b"", key.private_bytes_raw()), enc("sluice1 offline note"), 32
        )

    @property
    def public_jwk(self) -> dict[str, str]:
        """What an edge is told of the key."""
        return ecdh.public_jwk(self.key.public_key())

    @classmethod
    def load(cls, folder: Path, *, make: bool) -> "Device":
        """The device whose key is in the folder; `make`: a new one where there is none. BadLicense else."""
        path = folder / "device.json"
        if make:
            create_private(path, json.dumps(ecdh.private_jwk(X25519PrivateKey.generate())).encode())
        try:
            found = json.loads(path.read_bytes())
            return cls(folder, ecdh.read_private(found if isinstance(found, dict) else {}))
        except FileNotFoundError as exc:
            raise BadLicense("no license was ever given to this machine") from exc
        except ValueError as exc:
            raise BadLicense(f"{path} is no key of this machine") from exc

    def take(self, answer: bytes) -> tuple[License, bytes]:
        """A license an edge gave just now, noted, and the file's key. BadLicense when it is not for us."""
        license, signer = read(answer)
        key = offline.content_key(license, self.key)
        self._note(license.id, Noted(signer, license.issued))
        return license, key

    def open(self, answer: bytes) -> tuple[License, bytes, Noted]:
        """A license taken before, the file's key, and what is noted. BadLicense for another."""
        license, signer = read(answer)
        key, noted = offline.content_key(license, self.key), self._noted(license.id)
        if noted.signer != signer:
            raise BadLicense("a license signed by somebody else than the one that was given")
        return license, key, noted

    def see(self, license: License, noted: Noted, now: float) -> Noted:
        """Notes that the clock shows `now`, if that is later than what it showed."""
        if now <= noted.seen:
            return noted
        self._note(license.id, later := Noted(noted.signer, int(now)))
        return later

    def _path(self, id: str) -> Path:
        return self._folder / "licenses" / f"{id}.json"  # of base64url, as `keys.offline.read` has seen

    def _mac(self, id: str, noted: Noted) -> str:
        return b64url(hmac.digest(self._mac_key, enc("note", id, noted.signer, noted.seen), "sha256"))

    def _note(self, id: str, noted: Noted) -> None:
        said = {"signer": noted.signer, "seen": noted.seen, "mac": self._mac(id, noted)}
        write_private(self._path(id), json.dumps(said).encode())

    def _noted(self, id: str) -> Noted:
        try:
            said = json.loads(self._path(id).read_bytes())
            noted = Noted(str(said["signer"]), int(said["seen"]))
            if 0 <= noted.seen < MOST_SEEN and hmac.compare_digest(str(said["mac"]), self._mac(id, noted)):
                return noted
        except FileNotFoundError as exc:
            raise BadLicense("a license of which this machine has noted nothing") from exc
        except (ValueError, KeyError, TypeError, OverflowError):
            pass
        raise BadLicense("what this machine noted of the license was changed")


def read(answer: bytes) -> tuple[License, str]:
    """The license an edge answered with, and the thumbprint of its signer. BadLicense when it is none."""
    try:
        if len(answer) > MOST_BYTES:
            raise ValueError("too long")
        said: Mapping[str, Any] = json.loads(answer)
        text, signer = str(said["license"]), VerifyKey.from_jwk(dict(said["signer"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise BadLicense("not a license") from exc
    return offline.read(text, signer), signer.thumbprint


def user_folder() -> Path:
    """Where this user's data is (XDG Base Directory Specification), below a folder of ours."""
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "sluice"


def license_path(file: Path) -> Path:
    """Where the license of an encrypted file lies: `film.mp4.license` beside `film.mp4.ece`."""
    return file.with_name(file.name.removesuffix(".ece") + ".license")
