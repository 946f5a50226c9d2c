"""The secrets of an installation as files: made on first start, read with suspicion ever after.

    secrets/ (0700)   root.key     32 bytes: wraps every stored key          keys service only
                      root-2.key   … and what it was rotated to
                      issuer.json  the site's link-signing key               keys service and the site
                      admin-token  an operator's token                       operators, console
                      join-token   lets an edge enrol                        edges, at first start
                      origin-join-token  lets an origin enrol, whose packages are believed   the origin
                      kms-token    opens the key management service, if any  keys service only, made by hand
                      s3-auth      opens the bucket of media, if any         the origin, made by hand
                      drm-auth     opens the DRM provider, if any            the origin, made by hand
All files are 0600. Processes may start together: of two that make a file one wins, and both read the winner's
(`keys.private_file`). Where the directory is, `deploy` says.
"""

import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.private_file import create_private, write_private
from keys.root_files import KEY_BYTES, RootKeyFiles
from keys.signing import SigningKey

ISSUER: Final = "issuer.json"
ADMIN_TOKEN: Final = "admin-token"  # noqa: S105 (a file name)
JOIN_TOKEN: Final = "join-token"  # noqa: S105 (a file name)
ORIGIN_TOKEN: Final = "origin-join-token"  # noqa: S105 (a file name)
KMS_TOKEN: Final = "kms-token"  # noqa: S105 (a file name)
DRM_AUTH: Final = "drm-auth"
S3_AUTH: Final = "s3-auth"

LONGEST_LINE: Final = 4096
SITE: Final = "site"  # the issuer name of the installation's own links

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
# Of ours: 32 characters, so guessing is hopeless without counting tries.


def _new_token() -> bytes:
    return f"{secrets.token_urlsafe(32)}\n".encode()


_MAKERS: Final[dict[str, Callable[[], bytes]]] = {
    ISSUER: lambda: SigningKey.generate(SITE).to_json(),
    ADMIN_TOKEN: _new_token,
    JOIN_TOKEN: _new_token,
    ORIGIN_TOKEN: _new_token,
}


class BadSecret(Exception):
    """A secret file not to be used: open to others, malformed, missing. The text names file and cure."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the keys service starts with."""

    directory: Path = field(repr=False)
    root: RootKeyFiles = field(repr=False)
    issuer: SigningKey = field(repr=False)
    admin_token: str = field(repr=False)
    join_token: str = field(repr=False)
    origin_token: str = field(repr=False)


def load_or_create(directory: Path) -> Secrets:
    """The secrets in `directory`; whatever is missing is made. BadSecret when a file cannot be trusted."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_mode(directory, "700")
    for name, make in _MAKERS.items():
        if not (directory / name).exists():
            create_private(directory / name, make())
    root = RootKeyFiles(directory)
    root.create_first()
    for path in root.paths().values():
        read_root_key(path)
    return Secrets(
        directory=directory,
        root=root,
        issuer=read_issuer(directory / ISSUER),
        admin_token=read_token(directory / ADMIN_TOKEN),
        join_token=read_token(directory / JOIN_TOKEN),
        origin_token=read_token(directory / ORIGIN_TOKEN),
    )


def read_root_key(path: Path) -> bytes:
    """The 32 bytes of a root key file. BadSecret otherwise."""
    data = _read(path)
    if len(data) != KEY_BYTES:
        raise BadSecret(f"{path} must hold exactly {KEY_BYTES} bytes and holds {len(data)}.")
    return data


def join_token(directory: Path, role: str) -> str:
    """The token a node of this role enrols with now. BadSecret when its file holds none."""
    return read_token(directory / _join_file(role))


def replace_join_token(directory: Path, role: str) -> None:
    """From now on nodes of this role enrol with another token."""
    write_private(directory / _join_file(role), _new_token())


def _join_file(role: str) -> str:
    # Edges have one of their own: who captured an edge enrols no origin, whose packages all would believe.
    return ORIGIN_TOKEN if role == "origin" else JOIN_TOKEN


def read_issuer(path: Path) -> SigningKey:
    """The signing key in an issuer file. BadSecret when it holds none."""
    try:
        return SigningKey.from_json(_read(path))
    except ValueError as exc:
        raise BadSecret(f"{path} holds no signing key.") from exc


def write_issuer(directory: Path, key: SigningKey) -> None:
    """Puts this signing key in the place of the site's, in one step."""
    write_private(directory / ISSUER, key.to_json())


def read_token(path: Path, *, shortest: int = 32) -> str:
    """The token in a token file, without the line end. BadSecret otherwise."""
    text = _read(path).decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(text) or len(text) < shortest:
        raise BadSecret(f"{path} must hold one token of 32 to 512 letters, digits or ._~+/=-.")
    return text


def read_line(path: Path) -> str:
    """The one line of a secret file that another made, of printable ASCII; "" without a file. BadSecret."""
    if not path.exists():
        return ""
    text = _read(path).decode("ascii", "replace").strip()
    if not text.isascii() or not text.isprintable() or len(text) > LONGEST_LINE:
        raise BadSecret(f"{path} must hold one line of at most {LONGEST_LINE} printable characters.")
    return text


def _read(path: Path) -> bytes:
    try:
        _check_mode(path, "600")
        return path.read_bytes()
    except OSError as exc:
        raise BadSecret(f"{path} cannot be read: {exc.strerror}.") from exc


def _check_mode(path: Path, cure: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise BadSecret(f"{path} is open to other users (mode {mode:04o}): chmod {cure} it.")
