"""What players must have seen: every frame of the packaged film, decoded from files no edge had a hand in."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.check.packaged import Packaged
from deploy.demo.check.players import decoded


@dataclass(frozen=True)
class Reference:
    """MD5 of each decoded frame by rendition; SHA-256 of each plain segment by rendition."""

    stored: Packaged
    frames: dict[str, list[str]]
    digests: dict[str, list[str]]

    def is_segment(self, rendition: str, number: int, plain: bytes) -> bool:
        """Whether these are the packaged bytes of that segment."""
        return hashlib.sha256(plain).hexdigest() == self.digests[rendition][number]


async def reference(stored: Packaged, ffmpeg: str, folder: Path) -> Reference:
    """Unseals every rendition into `folder` and decodes it there."""
    frames, digests = {}, {}
    for rendition in stored.renditions():
        file = folder / f"{rendition}.mp4"
        file.write_bytes(await asyncio.to_thread(stored.whole, rendition))
        frames[rendition] = await decoded(ffmpeg, file)
        file.unlink()
        digests[rendition] = await asyncio.to_thread(stored.digests, rendition)
    return Reference(stored, frames, digests)
