"""Assets of any shape in no time: random bytes sealed, signed and published as the origin's packager does.

For tests that need many cold objects of a certain size and no picture in them.
"""

import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import Final

from keys.client import KeysClient, node_credential
from keys.nodes import NodeIdentity
from origin.media.asset import (
    DESCRIPTOR_OBJECT,
    DESCRIPTOR_RENDITION,
    INIT_OBJECT,
    LIST_OBJECT,
    Descriptor,
    Rendition,
    segment_object,
    write_descriptor,
)
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.seal import SLICE, Sealer
from origin.store.blobs import LocalBlobs
from tests.support.system import System

SECONDS: Final = 4  # of each segment
PERIOD: Final = 3  # segments to a key period
UNPACED: Final = {"burst_s": 3000.0, "rate": 100.0}
FILM: Final = {"720p": [3 * SLICE // 2] * 6, "audio": [60_000] * 6}


async def publish(
    system: System, asset: str, sizes: Mapping[str, Sequence[int]] = FILM, pace: Mapping[str, float] = UNPACED
) -> str:
    """An asset whose segments have these sizes, by rendition: `audio…` is sound, all else picture."""
    before = os.umask(0o077)  # as the origin itself writes
    try:
        return await _publish(system, asset, sizes, pace)
    finally:
        os.umask(before)


async def _publish(
    system: System, asset: str, sizes: Mapping[str, Sequence[int]], pace: Mapping[str, float]
) -> str:
    node = NodeIdentity.load_or_create(system.data / "origin" / "node.json", "sluice-origin", "origin")
    blobs = LocalBlobs(system.data / "origin" / "blobs")
    async with KeysClient(system.direct("keys"), node_credential(node, time.time)) as keys:
        made = await keys.new_generation(asset)
        for rendition, lengths in sizes.items():
            rows = []
            for name, length in [
                (INIT_OBJECT, 700),
                *((segment_object(n), s) for n, s in enumerate(lengths)),
            ]:
                plain = random.Random(f"{asset}/{rendition}/{name}").randbytes(length)
                sealer = Sealer(made.storage_key, made.tenant, asset, made.generation, rendition, name)
                sealed = list(sealer.seal_all(plain))
                await blobs.put(asset, made.generation, rendition, name, b"".join(sealed))
                rows.append(ObjectDigest(name, length, tuple(digest_of(piece) for piece in sealed)))
            text = write_list(node.private, asset, made.generation, rendition, rows)
            await blobs.put(asset, made.generation, rendition, LIST_OBJECT, text)
        renditions = tuple(_rendition(i, name, lengths) for i, (name, lengths) in enumerate(sizes.items()))
        seconds = float(SECONDS * max(map(len, sizes.values())))
        descriptor = Descriptor(made.tenant, asset, made.generation, asset, seconds, PERIOD, renditions)
        text = write_descriptor(node.private, descriptor)
        await blobs.put(asset, made.generation, DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT, text)
        await keys.publish(asset, made.generation, pace)
    return asset


def _rendition(index: int, name: str, lengths: Sequence[int]) -> Rendition:
    sound = name.startswith("audio")
    return Rendition(
        id=name,
        track="audio" if sound else "video",
        index=index,
        codecs="mp4a.40.2" if sound else "avc1.640028",
        timescale=1000,
        durations=(SECONDS * 1000,) * len(lengths),
        sizes=tuple(lengths),
        bandwidth=8 * max(lengths) // SECONDS,
        average_bandwidth=8 * sum(lengths) // (SECONDS * len(lengths)),
        width=0 if sound else 1280,
        height=0 if sound else 720,
        frame_rate=0.0 if sound else 25.0,
        channels=2 if sound else 0,
        sample_rate=48_000 if sound else 0,
        name=name,
    )
