"""The packaged film at the origin, unsealed with the installation's own keys: what viewers must see.

Reads the blobs on disk, the keys database and the root key. Nothing of delivery has a part in it, so what
players decoded can be held against it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from keys.database import Database
from keys.hierarchy import Hierarchy
from keys.names import DEFAULT_TENANT
from keys.root_files import RootKeyFiles
from keys.store_keys import KeyStore
from origin.media.asset import INIT_OBJECT, segment_object
from origin.media.extras import STORYBOARD
from origin.media.maps import MAP_OBJECTS
from origin.media.seal import SLICE, TAG, Sealer


async def storage_key(data: Path, asset: str, generation: int = 1) -> bytes:
    """SK of a generation, straight from the keys database of the installation at `data`. LookupError."""
    database = Database(f"sqlite:///{data / 'keys' / 'keys.db'}")
    try:
        hierarchy = Hierarchy(RootKeyFiles(data / "secrets"), KeyStore(database))
        keys = await hierarchy.generation(DEFAULT_TENANT, asset, generation)
    finally:
        await database.close()
    if keys is None:
        raise LookupError(f"no keys of {asset}/{generation}")
    return keys.storage_key.reveal()


@dataclass(frozen=True)
class Packaged:
    """One generation of an asset at the origin."""

    data: Path
    asset: str
    key: bytes
    generation: int = 1

    @classmethod
    async def of(cls, data: Path, asset: str) -> "Packaged":
        """The first generation of an asset."""
        return cls(data, asset, await storage_key(data, asset))

    @property
    def folder(self) -> Path:
        """Where its objects lie."""
        return self.data / "origin" / "blobs" / self.asset / str(self.generation)

    def stored(self) -> list[Path]:
        """Every stored object, sealed or not."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file())

    def played(self) -> list[Path]:
        """What players of `aes` are served who show no pictures over a bar.

        All but the protection maps, for cbcs and cenc, and the storyboard.
        """
        return [
            path
            for path in self.stored()
            if not path.name.startswith(MAP_OBJECTS) and path.parent.name != STORYBOARD
        ]

    def renditions(self) -> list[str]:
        """IDs of what has segments."""
        return sorted(p.parent.name for p in self.folder.glob(f"*/{INIT_OBJECT}"))

    def segments(self, rendition: str) -> int:
        """How many segments a rendition has."""
        return len(list((self.folder / rendition).glob("*.m4s")))

    def plain(self, rendition: str, name: str) -> bytes:
        """An object's plain bytes."""
        sealed = (self.folder / rendition / name).read_bytes()
        sealer = Sealer(self.key, DEFAULT_TENANT, self.asset, self.generation, rendition, name)
        step = SLICE + TAG
        return b"".join(
            sealer.open(i, sealed[i * step : (i + 1) * step]) for i in range(max(1, -(-len(sealed) // step)))
        )

    def segment(self, rendition: str, number: int) -> bytes:
        """A plain segment."""
        return self.plain(rendition, segment_object(number))

    def whole(self, rendition: str) -> bytes:
        """Init segment and all segments: a file any player decodes."""
        numbers = range(self.segments(rendition))
        return self.plain(rendition, INIT_OBJECT) + b"".join(self.segment(rendition, n) for n in numbers)

    def digests(self, rendition: str) -> list[str]:
        """SHA-256 of each plain segment, in hex."""
        numbers = range(self.segments(rendition))
        return [hashlib.sha256(self.segment(rendition, n)).hexdigest() for n in numbers]
