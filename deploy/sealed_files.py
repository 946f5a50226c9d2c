"""Secret files in one sealed one: scrypt (RFC 7914) of a passphrase, then AES-256-GCM.

"sluice-secrets-1" salt(16) nonce(12) ciphertext of JSON {path in the data directory: base64}
"""

import base64
import binascii
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.private_file import create_private
from keys.problems import Problem

MAGIC: Final = b"sluice-secrets-1"
SALT, NONCE = 16, 12
SHORTEST: Final = 12  # characters of a passphrase
WORK: Final = 1 << 17  # scrypt's N: 128 MiB and about half a second a guess
WRONG: Final = "The passphrase is wrong, or the sealed secrets were changed. Nothing was restored from them."


def seal(data: Path, names: Iterable[str], passphrase: str) -> bytes:
    """These files below `data`, sealed. Problem bad_request for a passphrase that is too short."""
    if len(passphrase) < SHORTEST:
        raise Problem("bad_request", f"A passphrase has at least {SHORTEST} characters.")
    files = {name: base64.b64encode((data / name).read_bytes()).decode() for name in sorted(names)}
    salt, nonce = secrets.token_bytes(SALT), os.urandom(NONCE)
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, json.dumps(files).encode(), MAGIC)
    return MAGIC + salt + nonce + sealed


def unseal(sealed: bytes, data: Path, passphrase: str) -> list[str]:
    """Put them below `data`, mode 0600; their names. Problem forbidden for another passphrase."""
    head = len(MAGIC)
    salt, nonce = sealed[head : head + SALT], sealed[head + SALT : head + SALT + NONCE]
    if not sealed.startswith(MAGIC) or len(nonce) < NONCE:
        raise Problem("bad_request", "That is no file of sealed secrets.")
    try:
        text = AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed[head + SALT + NONCE :], MAGIC)
        files = {name: base64.b64decode(value) for name, value in json.loads(text).items()}
    except (InvalidTag, ValueError, binascii.Error):
        raise Problem("bad_request", WRONG) from None
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise Problem("bad_request", WRONG)
        (data / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private(data / name, content)
    return sorted(files)


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=WORK, r=8, p=1).derive(passphrase.encode())
