"""A small origin for the ingest tests: real catalogue, blobs and ffmpeg; keys in memory; and a reader of
what results.

The reader is a viewer that trusts nothing: descriptor and lists by signature, slices by digest, then
unsealed.
"""

import asyncio
import io
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg

from keys.drm import read_drm, told
from keys.leases import NewGeneration
from keys.nodes import NodeIdentity
from origin.ingest.convert import Settings
from origin.ingest.jobs import Jobs
from origin.ingest.ladder import Wishes
from origin.media.asset import Descriptor, read_descriptor
from origin.media.digests import ObjectDigest, digest_of, read_list
from origin.media.seal import Sealer, sealed_length, sealed_offset, slice_count, slice_length
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Asset, Catalogue
from origin.store.claims import Rhythm

QUICK = Rhythm(poll_s=0.1, beat_s=0.1, lease_s=30)
FFMPEG = Path(imageio_ffmpeg.get_ffmpeg_exe())
ENDED = ("published", "failed", "cancelled")


def make_clip(target: Path, *arguments: str) -> Path:
    """Runs ffmpeg (not in jail: these are our own files) with these arguments, output `target`."""
    command = [str(FFMPEG), "-y", "-hide_banner", "-loglevel", "error", *arguments, str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


def film(size: str = "160x90", rate: str = "25", seconds: str = "2") -> list[str]:
    """Input arguments of a moving test picture."""
    return ["-f", "lavfi", "-t", seconds, "-i", f"testsrc2=size={size}:rate={rate}"]


def tone(rate: int = 48000, seconds: str = "2", channels: str = "stereo") -> list[str]:
    """Input arguments of a beeping tone."""
    return [
        "-f",
        "lavfi",
        "-t",
        seconds,
        "-i",
        f"sine=beep_factor=4:sample_rate={rate},aformat=channel_layouts={channels}",
    ]


X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "64k"]


class MemoryKeys:
    """A keys service that remembers."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int], bytes] = {}
        self.published: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.documents: dict[str, bytes] = {}  # of DRM providers, without keys
        self.refusals: list[Exception] = []  # raised first, one a call

    async def new_generation(self, asset: str, drm: bytes | None = None) -> NewGeneration:
        """Make a generation with new keys."""
        if self.refusals:
            raise self.refusals.pop(0)
        number = self.numbers[asset] = self.numbers.get(asset, 0) + 1
        key = self.made[asset, number] = os.urandom(32)
        if drm is not None:
            self.documents[asset] = told(read_drm(drm))
        return NewGeneration("default", asset, number, key, self.documents.get(asset, b""))

    async def publish(self, asset: str, generation: int, pace: Mapping[str, float] | None = None) -> None:
        """Let new sessions pin it."""
        if self.refusals:
            raise self.refusals.pop(0)
        assert (asset, generation) in self.made
        self.published[asset] = generation

    async def delete_asset(self, asset: str) -> None:
        """Delete the keys of an asset."""
        self.published.pop(asset, None)
        self.documents.pop(asset, None)
        self.made = {name: key for name, key in self.made.items() if name[0] != asset}


@dataclass
class Frames:
    """What a rendition decodes to."""

    times: list[float]  # seconds, of each frame
    sizes: set[tuple[int, int]]  # pixels; samples and channels for sound
    seconds: float  # from the first frame's start to the last one's end


@dataclass
class Bench:
    """The parts, and shortcuts through them."""

    root: Path
    catalogue: Catalogue
    blobs: LocalBlobs
    keys: MemoryKeys
    identity: NodeIdentity
    settings: Settings
    made: list[Path] = field(default_factory=list)
    rhythm: Rhythm = QUICK

    def jobs(self, settings: Settings | None = None, concurrency: int = 1) -> Jobs:
        """Jobs over these parts."""
        return Jobs(
            catalogue=self.catalogue,
            blobs=self.blobs,
            keys=self.keys,
            identity=self.identity,
            settings=settings or self.settings,
            workers=self.root / "workers",
            concurrency=concurrency,
            rhythm=self.rhythm,
        )

    def upload(self, clip: Path, name: str = "upload") -> Path:
        """A copy of the clip where uploads rest."""
        target = self.root / "incoming" / f"{name}-{len(self.made)}"
        target.write_bytes(clip.read_bytes())
        self.made.append(target)
        return target

    async def ingest(self, clip: Path, id: str = "film", settings: Settings | None = None) -> Asset:
        """The asset after its job has ended."""
        jobs = self.jobs(settings)
        async with jobs.running():
            await jobs.submit(id, f"Title of {id}", self.upload(clip))
            return await self.ended(id)

    async def ended(self, id: str) -> Asset:
        """The asset once it is published, failed or cancelled."""
        return await self.until(id, lambda asset: asset.state in ENDED)

    async def until(self, id: str, holds: Callable[[Asset], bool]) -> Asset:
        """The asset once that holds."""
        async with asyncio.timeout(60):
            while not holds(asset := await self.catalogue.get(id)):  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.02)
        return asset

    async def descriptor(self, asset: Asset) -> Descriptor:
        """The published descriptor, its signature checked."""
        text = await self.stored(asset.id, asset.generation, "asset", "asset.json")
        return read_descriptor(text, [self.identity.private.public_key()], asset.id, asset.generation)

    async def listed(self, asset: Asset, rendition: str) -> dict[str, ObjectDigest]:
        """The signed digest list of a rendition, its signature checked."""
        text = await self.stored(asset.id, asset.generation, rendition, "list")
        packagers = [self.identity.private.public_key()]
        return read_list(text, packagers, asset.id, asset.generation, rendition)

    async def stored(self, asset: str, generation: int, rendition: str, name: str) -> bytes:
        """The stored bytes of an object."""
        return b"".join([piece async for piece in self.blobs.read(asset, generation, rendition, name)])

    async def opened(self, asset: Asset, rendition: str, digest: ObjectDigest) -> bytes:
        """The plain bytes of an object: every slice listed, and sealed under the generation's key."""
        sealed = await self.stored(asset.id, asset.generation, rendition, digest.name)
        assert len(sealed) == sealed_length(digest.length)
        key = self.keys.made[asset.id, asset.generation]
        sealer = Sealer(key, "default", asset.id, asset.generation, rendition, digest.name)
        plain = b""
        for index in range(slice_count(digest.length)):
            start = sealed_offset(index)
            piece = sealed[start : start + slice_length(digest.length, index) + 16]
            assert digest_of(piece) == digest.slices[index]
            plain += sealer.open(index, piece)
        return plain

    async def media(self, asset: Asset, rendition: str) -> bytes:
        """The whole rendition as one fragmented MP4."""
        digests = await self.listed(asset, rendition)
        return b"".join([await self.opened(asset, rendition, digest) for digest in digests.values()])

    async def frames(self, asset: Asset, rendition: str) -> Frames:
        """The decoded rendition."""
        return decode(await self.media(asset, rendition))

    def left_behind(self) -> list[str]:
        """Every file of the store, relative."""
        blobs = self.root / "blobs"
        return sorted(str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file())


def decode(data: bytes) -> Frames:
    """All frames of the first stream of a file."""
    times: list[float] = []
    sizes: set[tuple[int, int]] = set()
    end = 0.0
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(container.streams[0]):
            assert isinstance(frame, av.VideoFrame | av.AudioFrame) and frame.time is not None
            times.append(frame.time)
            if isinstance(frame, av.VideoFrame):
                sizes.add((frame.width, frame.height))
                length = 1 / (container.streams.video[0].average_rate or Fraction(25))
            else:
                assert isinstance(frame, av.AudioFrame)
                sizes.add((frame.sample_rate, frame.layout.nb_channels))
                length = Fraction(frame.samples, frame.sample_rate)
            end = max(end, frame.time + float(length))
    return Frames(times, sizes, end - (times[0] if times else 0.0))


def quick(wishes: Wishes | None = None) -> Settings:
    """Quick settings that insist on the jail."""
    return Settings(ffmpeg=FFMPEG, wishes=wishes or Wishes(preset="ultrafast"), require_jail=True)
