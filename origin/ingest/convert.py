"""One file's way: probe → ladder → poster → one ffmpeg run → sealed, signed generation, ready to be
published.

A failure on the way leaves nothing: the generation's blobs are removed, its keys are given up. Which asset's
turn it is, and what the catalogue says of it, is `jobs`'s.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.cpix import BadCpix
from keys.cpix_xml import read_cpix
from keys.drm_signalling import signalled
from keys.leases import NewGeneration
from keys.problems import Problem
from origin import downloads
from origin.captions import Shelf
from origin.drm import CPIX, asked
from origin.ingest.beside import Beside
from origin.ingest.ladder import Ladder, Wishes, plan
from origin.ingest.packager import Generation, Packager, Records
from origin.ingest.poster import poster
from origin.ingest.probe import Bounds, Probe, probe
from origin.ingest.remux import remuxed
from origin.ingest.sniff import SNIFF_BYTES
from origin.ingest.transcode import Budget, Progress, transcode
from origin.media.asset import Descriptor, Download
from origin.media.boxes import BadMedia
from origin.media.drm import BadDrm, Drm, drm_of
from origin.store.blobs import BlobStore

ODD: Final = "This file could not be converted: what came out of it cannot be cut into segments."
LOST: Final = "The keys of its DRM provider are not here any more. Add the film again."
KEYS_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # before each further try while keys does not answer

_LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")


Provider = Callable[[str, str], Awaitable[bytes]]  # of an asset and an address: the CPIX document


class Keys(Protocol):
    """What ingest needs of the keys service; `KeysClient` fits."""

    async def new_generation(self, asset: str, drm: bytes | None = None) -> NewGeneration:
        """Make a generation with new keys, and with those of a document; else of the last one's document."""

    async def publish(self, asset: str, generation: int, pace: Mapping[str, float] | None = None) -> None:
        """Let new sessions pin it."""

    async def delete_asset(self, asset: str) -> None:
        """Delete the keys of an asset. Harmless when it has none."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How files are converted."""

    ffmpeg: Path
    wishes: Wishes = field(default_factory=Wishes)
    bounds: Bounds = field(default_factory=Bounds)
    budget: Budget = field(default_factory=Budget)
    key_period_s: float = 60  # seconds of media, made a whole number of segments
    pace: Mapping[str, float] | None = (
        None  # any of burst_s, rate, jump_s, jumps; None: what keys does by itself
    )
    require_jail: bool = False  # refuse to touch a file when files and network cannot be shut

    def period_segments(self) -> int:
        """Segments to a key period."""
        return max(1, round(self.key_period_s / self.wishes.segment_s))


@dataclass(frozen=True, slots=True)
class Converted:
    """A generation that is whole and can be published."""

    descriptor: Descriptor
    stored_bytes: int


class Converter:
    """Makes generations out of files."""

    def __init__(
        self,
        settings: Settings,
        *,
        blobs: BlobStore,
        records: Records,
        keys: Keys,
        signer: Ed25519PrivateKey,
        provider: Provider | None = None,
        shelf: Shelf | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
        last: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`last`: whether nobody else works on the asset by now. Keys are of an asset, not of one try."""
        self._settings = settings
        self._blobs = blobs
        self._records = records
        self._keys = keys
        self._signer = signer
        self._provider = provider
        self._shelf = shelf
        self._sleep = sleep
        self._now = now
        self._last = last

    async def probe(self, source: Path) -> Probe:
        """What is in the file. Problem not_media with the sentence for its sender."""
        s = self._settings
        return await probe(source, bounds=s.bounds, require_jail=s.require_jail)

    async def poster(self, source: Path, found: Probe) -> bytes | None:
        """A JPEG of the film, None when there is none to be had."""
        s = self._settings
        return await poster(source, found, ffmpeg=s.ffmpeg, require_jail=s.require_jail)

    async def convert(
        self,
        asset: str,
        title: str,
        source: Path,
        found: Probe,
        note: Callable[[Progress], None],
        download: str = "",
        drm: str = "",
    ) -> Converted:
        """A new generation in the store. Problem with a sentence; then, or cancelled, nothing is left.

        `download` is what viewers may take away whole (`origin.downloads.choice`), `drm` where content keys
        come from (`origin.drm.source`).
        """
        document = await self._asked(asset, drm) if asked(drm) else None
        made = await self._patiently(lambda: self._keys.new_generation(asset, document))
        try:
            told = _told(made, drm)
            generation = Generation(made.tenant, asset, made.generation, made.storage_key, told)
            return await self._fill(generation, title, source, found, note, download)
        except BaseException as exc:
            await asyncio.shield(self.discard(asset, made.generation, drm))
            if isinstance(exc, BadMedia):
                raise Problem("internal", ODD, detail=str(exc)) from exc
            raise

    async def provide(self, asset: str, document: bytes) -> None:
        """Has keys keep a document for the generations to come. Problem bad_request or conflict."""
        _public(document)
        await self._patiently(lambda: self._keys.new_generation(asset, document))

    async def _asked(self, asset: str, provider: str) -> bytes:
        """The document a DRM provider answers with. Problem when it does not."""
        if self._provider is None:
            raise Problem("unavailable", "This origin has no way to ask a DRM provider.")
        return await self._provider(asset, provider)

    async def publish(self, asset: str, generation: int) -> None:
        """Lets new sessions pin the generation."""
        await self._patiently(lambda: self._keys.publish(asset, generation, self._settings.pace))

    async def discard(self, asset: str, generation: int, drm: str = "") -> None:
        """Removes an unpublished generation: blobs and keys.

        Not keys of a document that was handed over: it goes with them, and nobody has it to try again with;
        nor those of an asset that another worker has by now.
        """
        await self._blobs.delete_generation(asset, generation)
        if drm == CPIX or (self._last is not None and not await self._last(asset)):
            return
        try:
            await self._keys.delete_asset(asset)
        except (
            Problem
        ) as problem:  # wrapped keys of nothing: no harm, and no reason to hide the first failure
            _LOG.warning("keys of %s generation %d not given up: %s", asset, generation, problem)

    async def sweep(self, asset: str) -> None:
        """Removes what a killed run left of an asset that was never published."""
        for generation in await self._blobs.generations(asset):
            await self._blobs.delete_generation(asset, generation)

    async def _fill(
        self,
        generation: Generation,
        title: str,
        source: Path,
        found: Probe,
        note: Callable[[Progress], None],
        download: str,
    ) -> Converted:
        s = self._settings
        ladder = plan(found, s.wishes)
        packager = Packager(generation, ladder, blobs=self._blobs, records=self._records, signer=self._signer)
        await transcode(
            source,
            found,
            ladder,
            ffmpeg=s.ffmpeg,
            wishes=s.wishes,
            budget=s.budget,
            sink=packager.take,
            progress=note,
            require_jail=s.require_jail,
        )
        files: list[Download] = []
        wanted, protection = downloads.split_choice(download)
        if wanted in ("original", "both"):
            files.append(await self._original(packager, generation.asset, title, source, found))
        if wanted in ("renditions", "both"):
            files += await self._renditions(packager, generation.asset, title, source, ladder)
        files = [replace(file, protection=protection) for file in files]
        beside = Beside(packager, s.ffmpeg, require_jail=s.require_jail)
        texts = await beside.captions(
            source, found, self._shelf.read(generation.asset) if self._shelf else ()
        )
        board = await beside.storyboard(ladder, found.duration)
        descriptor = await packager.finish(
            title=title,
            period_segments=s.period_segments(),
            downloads=files,
            captions=texts,
            storyboard=board,
        )
        return Converted(descriptor, packager.stored_bytes)

    async def _original(
        self, packager: Packager, asset: str, title: str, source: Path, found: Probe
    ) -> Download:
        """The uploaded file, kept as it is."""
        with source.open("rb") as file:
            head = file.read(SNIFF_BYTES)
            file.seek(0)
            named = downloads.original(asset, title, found.demuxer, head, picture=found.video is not None)
            return await packager.store_file(file, named, int(self._now()))

    async def _renditions(
        self, packager: Packager, asset: str, title: str, source: Path, ladder: Ladder
    ) -> list[Download]:
        """A file for each video rung with all sound; without a picture, one for each sound."""
        sounds = [sound.id for sound in ladder.audio]
        groups = [[rung.id, *sounds] for rung in ladder.video] or [[sound] for sound in sounds]
        made = []
        for group in groups:
            named = downloads.rendition(asset, title, group[0], picture=bool(ladder.video))
            streams = [functools.partial(packager.packaged, id) for id in group]
            size = sum(map(packager.packaged_bytes, group))
            s = self._settings
            async with remuxed(
                streams, size, source.parent, ffmpeg=s.ffmpeg, require_jail=s.require_jail
            ) as file:
                made.append(await packager.store_file(file, named, int(self._now())))
        return made

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of keys, asked again for half a minute while it does not answer."""
        for wait_s in KEYS_WAITS_S:
            try:
                return await ask()
            except Problem as problem:
                if problem.code != "unavailable":
                    raise
                _LOG.warning("%s Asking again in %.1f s.", problem.message, wait_s)
            await self._sleep(wait_s)
        return await ask()


def _told(made: NewGeneration, drm: str) -> Drm | None:
    """What players will be told of a generation. Problem when it is not as its publisher said."""
    if not drm and not made.drm:
        return None
    if not drm or not made.drm:
        raise Problem("conflict", LOST)
    return _public(made.drm)


def _public(document: bytes) -> Drm:
    try:
        return drm_of(signalled(read_cpix(document)))
    except (BadCpix, BadDrm) as exc:
        raise Problem("bad_request", f"This CPIX document cannot be used. {exc}") from exc
