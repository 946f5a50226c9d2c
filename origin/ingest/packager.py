"""From ffmpeg's streams to a stored generation: segments sealed as they come, digests signed, descriptor
written.

Each object is sealed, stored and recorded (SECURITY K1) the moment it is whole, so no plain segment rests
anywhere. Beside the segments of a rendition lie the blocks of its protection maps; only an asset that has
them for every segment is described as one that Common Encryption protects. `Packager.take` is the sink of
`transcode`; `finish` signs a digest list for each rendition and the descriptor with the origin's key.
Making the generation known is left to `jobs`.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.names import b64url
from keys.problems import Problem
from origin.downloads import FileName
from origin.ingest.ladder import AudioRung, Ladder, VideoRung
from origin.ingest.mapping import Block, Mapping
from origin.media.asset import (
    DESCRIPTOR_OBJECT,
    DESCRIPTOR_RENDITION,
    FILE_OBJECT,
    INIT_OBJECT,
    LIST_OBJECT,
    Descriptor,
    Download,
    Rendition,
    segment_object,
    write_descriptor,
)
from origin.media.boxes import BadMedia
from origin.media.codecs import TrackInfo, read_init
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.drm import Drm
from origin.media.extras import Caption, Storyboard
from origin.media.hls import measure
from origin.media.protection import SCHEMES
from origin.media.seal import SLICE, TAG, Sealer, sealed_offset, slice_count, slice_length
from origin.media.segmenting import Init, Segment, Splitter
from origin.store.blobs import BlobStore

CLEAR: Final = (
    "This film cannot be encrypted by Common Encryption, so not with keys of a DRM provider either."
)
NOTHING: Final = "This file could not be converted: no picture or sound came out of it."

_LOG: Final = logging.getLogger(__name__)


class Records(Protocol):
    """Where digests are kept for ever; `Catalogue` fits."""

    async def record_object(
        self, asset: str, generation: int, rendition: str, name: str, sha256: bytes
    ) -> None:
        """K1. Problem conflict when the name was recorded with another digest."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What is being filled: names, the key that seals, and what players of DRM systems will be told."""

    tenant: str
    asset: str
    number: int
    storage_key: bytes = field(repr=False)
    drm: Drm | None = None


@dataclass(slots=True)
class _Stream:
    """One rendition as it grows."""

    splitter: Splitter = field(default_factory=Splitter)
    track: TrackInfo | None = None
    objects: list[ObjectDigest] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)  # ticks
    sizes: list[int] = field(default_factory=list)  # plain bytes
    sent: list[int] = field(default_factory=list)  # bytes as sent, at most: protected samples add some
    mapping: Mapping | None = None
    maps: list[ObjectDigest] = field(default_factory=list)


class Packager:
    """Fills one generation. Streams may be fed side by side, each by one task."""

    def __init__(
        self,
        generation: Generation,
        ladder: Ladder,
        *,
        blobs: BlobStore,
        records: Records,
        signer: Ed25519PrivateKey,
    ) -> None:
        self._generation = generation
        self._ladder = ladder
        self._blobs = blobs
        self._records = records
        self._signer = signer
        self._rungs: tuple[VideoRung | AudioRung, ...] = (*ladder.video, *ladder.audio)
        self._streams = {rung.id: _Stream() for rung in self._rungs}
        self.stored_bytes = 0  # of all objects so far

    async def take(self, rendition: str, data: bytes) -> None:
        """The next bytes of a rendition. Problem disk_full or conflict; BadMedia when ffmpeg made no CMAF."""
        stream = self._streams[rendition]
        for piece in stream.splitter.feed(data):
            if isinstance(piece, Init):
                stream.track = read_init(piece.data)
                stream.mapping = Mapping(piece.data, list(self._streams).index(rendition))
                stream.objects.append(await self._store(rendition, INIT_OBJECT, piece.data))
            else:
                await self._take_segment(rendition, stream, piece)

    async def store_file(self, file: IO[bytes], named: FileName, stored: int) -> Download:
        """Keeps a whole file as a download, read from where it stands, a slice at a time.

        `stored` is the time, in seconds since the epoch. Problem disk_full or conflict.
        """
        g, digest = self._generation, hashlib.sha256()
        sealer = Sealer(g.storage_key, g.tenant, g.asset, g.number, named.rendition, FILE_OBJECT)
        size = 0
        digests: list[bytes] = []
        async with self._blobs.writer(g.asset, g.number, named.rendition, FILE_OBJECT) as writer:
            while True:
                plain = await asyncio.to_thread(_read_slice, file)
                if not plain and size:
                    break
                digest.update(plain)
                sealed, listed = await asyncio.to_thread(_seal, sealer, len(digests), memoryview(plain))
                digests.append(listed)
                size += len(plain)
                self.stored_bytes += len(sealed)
                await writer.write(sealed)
                if len(plain) < SLICE:
                    break
            written = await writer.commit()
        await self._records.record_object(g.asset, g.number, named.rendition, FILE_OBJECT, written)
        await self._list(named.rendition, [ObjectDigest(FILE_OBJECT, size, tuple(digests))])
        return Download(
            named.name, named.shown, named.media_type, size, b64url(digest.digest()), named.rendition, stored
        )

    def packaged_bytes(self, rendition: str) -> int:
        """Plain bytes of a rendition: its init segment and all segments."""
        return sum(listed.length for listed in self._streams[rendition].objects)

    async def packaged(self, rendition: str) -> AsyncIterator[bytes]:
        """A rendition as it was taken, from the store: init segment and segments, a slice at a time."""
        g = self._generation
        for listed in self._streams[rendition].objects:
            sealer = Sealer(g.storage_key, g.tenant, g.asset, g.number, rendition, listed.name)
            for index in range(len(listed.slices)):
                start = sealed_offset(index)
                stop = start + slice_length(listed.length, index) + TAG
                pieces = self._blobs.read(g.asset, g.number, rendition, listed.name, start, stop)
                sealed = b"".join([piece async for piece in pieces])
                yield await asyncio.to_thread(sealer.open, index, sealed)

    async def store_beside(self, rendition: str, objects: Iterable[tuple[str, bytes]]) -> None:
        """Keeps small objects as a rendition that is no stream. Problem disk_full or conflict."""
        await self._list(rendition, [await self._store(rendition, name, data) for name, data in objects])

    def segment_s(self, rendition: str) -> float:
        """Seconds of the first segment of a rendition."""
        stream = self._streams[rendition]
        return stream.durations[0] / stream.track.timescale if stream.track and stream.durations else 0.0

    async def finish(
        self,
        *,
        title: str,
        period_segments: int,
        downloads: Sequence[Download] = (),
        captions: Sequence[Caption] = (),
        storyboard: Storyboard | None = None,
    ) -> Descriptor:
        """Signs and stores what makes the generation readable. Problem not_media if a stream is empty."""
        for rendition, stream in self._streams.items():
            mapping = _close(stream)
            await self._store_maps(rendition, stream, mapping.rest())
            if mapping.refused:
                asset = self._generation.asset
                _LOG.warning("%s/%s has no Common Encryption: %s", asset, rendition, mapping.refused)
        descriptor = replace(
            self._descriptor(title, period_segments, downloads),
            captions=tuple(captions),
            storyboard=storyboard,
        )
        for rendition, stream in self._streams.items():
            await self._list(rendition, [*stream.objects, *stream.maps])
        await self._put(DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT, write_descriptor(self._signer, descriptor))
        return descriptor

    async def _take_segment(self, rendition: str, stream: _Stream, segment: Segment) -> None:
        if not segment.starts_with_sync:
            raise BadMedia(f"segment {len(stream.sizes)} of {rendition} does not start with a keyframe")
        if not stream.sizes and segment.decode_time != 0:
            raise BadMedia(f"{rendition} starts at {segment.decode_time}, not at 0")
        name = segment_object(len(stream.sizes))
        stream.durations.append(segment.duration)
        stream.sizes.append(len(segment.data))
        stream.objects.append(await self._store(rendition, name, segment.data))
        assert stream.mapping is not None, "an init segment came first"
        block = await asyncio.to_thread(stream.mapping.take, segment.data)
        stream.sent.append(len(segment.data) + stream.mapping.added)
        await self._store_maps(rendition, stream, block)

    async def _store_maps(self, rendition: str, stream: _Stream, block: Block | None) -> None:
        if block is not None:
            stream.maps.append(await self._store(rendition, *block))

    async def _store(self, rendition: str, name: str, plain: bytes) -> ObjectDigest:
        """Seals an object slice by slice into the store, in threads: the origin serves others meanwhile."""
        g = self._generation
        sealer = Sealer(g.storage_key, g.tenant, g.asset, g.number, rendition, name)
        view, digests = memoryview(plain), []
        async with self._blobs.writer(g.asset, g.number, rendition, name) as writer:
            for index in range(slice_count(len(plain))):
                piece = view[index * SLICE : (index + 1) * SLICE]
                sealed, digest = await asyncio.to_thread(_seal, sealer, index, piece)
                digests.append(digest)
                self.stored_bytes += len(sealed)
                await writer.write(sealed)
            stored = await writer.commit()
        await self._records.record_object(g.asset, g.number, rendition, name, stored)
        return ObjectDigest(name, len(plain), tuple(digests))

    async def _list(self, rendition: str, objects: Sequence[ObjectDigest]) -> None:
        g = self._generation
        await self._put(
            rendition, LIST_OBJECT, write_list(self._signer, g.asset, g.number, rendition, objects)
        )

    async def _put(self, rendition: str, name: str, data: bytes) -> None:
        g = self._generation
        stored = await self._blobs.put(g.asset, g.number, rendition, name, data)
        self.stored_bytes += len(data)
        await self._records.record_object(g.asset, g.number, rendition, name, stored)

    def _descriptor(self, title: str, period_segments: int, downloads: Sequence[Download]) -> Descriptor:
        renditions = [self._rendition(index, rung) for index, rung in enumerate(self._rungs)]
        film = renditions[: len(self._ladder.video)]
        if len({(r.timescale, r.durations) for r in film}) > 1:
            raise BadMedia("the segments of the rungs do not line up")
        mapped = all(stream.mapping and not stream.mapping.refused for stream in self._streams.values())
        g = self._generation
        if g.drm and not mapped:
            raise Problem("not_media", CLEAR)
        protections = ("aes", *SCHEMES) if mapped else ("aes",)
        duration = max(sum(r.durations) / r.timescale for r in film or renditions)
        return Descriptor(
            g.tenant,
            g.asset,
            g.number,
            title,
            duration,
            period_segments,
            tuple(renditions),
            protections=("drm",) if g.drm else protections,
            downloads=tuple(downloads),
            drm=g.drm,
        )

    def _rendition(self, index: int, rung: VideoRung | AudioRung) -> Rendition:
        stream = self._streams[rung.id]
        track = stream.track
        assert track is not None, "closed streams have a track"
        peak, average = measure(stream.sent, stream.durations, track.timescale)
        film = isinstance(rung, VideoRung)
        return Rendition(
            id=rung.id,
            track=track.track,
            index=index,
            codecs=track.codecs,
            timescale=track.timescale,
            durations=tuple(stream.durations),
            sizes=tuple(stream.sizes),
            bandwidth=peak,
            average_bandwidth=average,
            width=track.width,
            height=track.height,
            frame_rate=round(float(self._ladder.frame_rate), 3) if film else 0.0,
            channels=track.channels,
            sample_rate=track.sample_rate,
            language="" if isinstance(rung, VideoRung) else rung.language,
            name=rung.id if isinstance(rung, VideoRung) else rung.name,
        )


def _close(stream: _Stream) -> Mapping:
    """The maps of a whole stream. Problem not_media when nothing came; BadMedia when the stream was cut."""
    if stream.mapping is None or not stream.sizes:
        raise Problem("not_media", NOTHING, detail="a rendition without segments")
    stream.splitter.close()
    return stream.mapping


def _read_slice(file: IO[bytes]) -> bytes:
    """The next slice of a file, whole unless the file ends: a read of an unbuffered file may be short."""
    found = bytearray()
    while len(found) < SLICE and (piece := file.read(SLICE - len(found))):
        found += piece
    return bytes(found)


def _seal(sealer: Sealer, index: int, plain: memoryview) -> tuple[bytes, bytes]:
    sealed = sealer.seal(index, plain)
    return sealed, digest_of(sealed)
