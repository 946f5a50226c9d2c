"""The root key in files of mode 0600: `root.key` is version 1, `root-2.key` version 2, and so on.

Several processes may share the folder: a version another one made is found when it is first met. An old
version may be deleted once `sluice rotate root` has wrapped everything anew; it then opens backups alone.
"""

import re
import secrets
from pathlib import Path
from typing import Final

from keys.cipher import BadWrap, Secret, unwrap, wrap
from keys.private_file import create_private
from keys.problems import Problem
from keys.root_keys import Context, Wrapped

KEY_BYTES: Final = 32
FIRST: Final = "root.key"

_NAME = re.compile(r"root(?:-([1-9][0-9]{0,8}))?\.key")
_LABEL = re.compile(r"[1-9][0-9]{0,8}")


class RootKeyFiles:
    """The versions in one folder. Made before first use with `create_first`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, Secret] = {}

    def create_first(self) -> None:
        """Makes version 1 unless there is any version. Of two processes that start together one wins."""
        if not self._versions():
            create_private(self._folder / FIRST, secrets.token_bytes(KEY_BYTES))

    def paths(self) -> dict[int, Path]:
        """The file of each version."""
        return {version: self._path(version) for version in self._versions()}

    async def newest(self) -> str:
        """The highest version there is."""
        return str(self._newest())

    async def wrap(self, plain: bytes, *context: Context) -> Wrapped:
        """AES-256-GCM under the newest version, whose number is bound to it too."""
        version = self._newest()
        return Wrapped(str(version), wrap(self._key(version), plain, *context, version))

    async def unwrap(self, wrapped: Wrapped, *context: Context) -> bytes:
        """What was wrapped. BadWrap for anything else."""
        if not self.opens(wrapped.root):
            raise BadWrap(f"version {wrapped.root} of the root key lies in no file")
        version = int(wrapped.root)
        return unwrap(self._key(version), wrapped.data, *context, version)

    async def rotate(self) -> str:
        """A new random version in a file of its own. Problem conflict when another process made one now."""
        version = self._newest() + 1
        if not create_private(self._path(version), secrets.token_bytes(KEY_BYTES)):
            raise Problem("conflict", "The root key is being rotated already.")
        return str(version)

    def opens(self, root: str) -> bool:
        """Whether a label is a file's."""
        return _LABEL.fullmatch(root) is not None

    def _newest(self) -> int:
        versions = self._versions()
        if not versions:
            raise BadWrap(f"there is no root key in {self._folder}")
        return max(versions)

    def _versions(self) -> list[int]:
        found = [_NAME.fullmatch(path.name) for path in self._folder.glob("root*.key")]
        return sorted(int(match[1] or 1) for match in found if match)

    def _key(self, version: int) -> bytes:
        if version not in self._known:
            try:
                self._known[version] = Secret(self._read(version))
            except OSError as exc:
                raise BadWrap(f"{self._path(version)}: {exc.strerror}") from exc
            except ValueError as exc:
                raise BadWrap(str(exc)) from exc
        return self._known[version].reveal()

    def _read(self, version: int) -> bytes:
        data = self._path(version).read_bytes()
        if len(data) != KEY_BYTES:
            raise ValueError(
                f"{self._path(version)} must hold exactly {KEY_BYTES} bytes and holds {len(data)}."
            )
        return data

    def _path(self, version: int) -> Path:
        return self._folder / (FIRST if version == 1 else f"root-{version}.key")
