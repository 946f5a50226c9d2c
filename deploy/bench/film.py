"""What is served: noise as film, of segments of one size, packaged by the origin's own packager. The first
segments are offered as downloads too, plain and protected, so that those bodies have the same size.

Noise does not compress, so the encoder's rate alone says how large a segment is. What Common Encryption costs
hangs on how many pictures and slices there are, so a segment has as many as one that `sluice add` makes: 150
pictures in 6 s, each of one slice. Keys, protection maps, sealing, digests, signatures and catalogue are the
real ones.
"""

import hashlib
import io
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from deploy.bench import ffmpeg
from deploy.ffmpeg import ffmpeg_path
from deploy.layout import Layout
from deploy.settings import Settings
from keys.client import KeysClient, node_credential
from keys.nodes import NodeIdentity
from origin.downloads import FileName
from origin.ingest.ladder import Ladder, VideoRung
from origin.ingest.packager import Generation, Packager
from origin.media.segmenting import Segment, Splitter
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue

RENDITION: Final = "720p"
SEGMENT_S: Final = 6
PERIOD_SEGMENTS: Final = 4
WIDTH: Final = 640
HEIGHT: Final = 360
FPS: Final = 25
FILES: Final = 16  # segments that are downloads too
PROTECTED: Final = "ece-"  # before a file's name where it is offered protected, too


@dataclass(frozen=True, slots=True)
class Film:
    """One published film. `digests`: SHA-256 of each plain segment; `packets`: of all its pictures."""

    asset: str
    sizes: tuple[int, ...]  # plain bytes of each segment
    digests: tuple[bytes, ...]
    packets: str = ""

    @property
    def segments(self) -> int:
        """How many there are."""
        return len(self.sizes)

    def is_segment(self, number: int, plain: bytes) -> bool:
        """Whether these are its bytes."""
        return hashlib.sha256(plain).digest() == self.digests[number]


async def make(settings: Settings, asset: str, segment_bytes: int, segments: int) -> Film:
    """A new film of so many segments of about that size, published in the running system."""
    layout = Layout(settings)
    node = NodeIdentity.load_or_create(layout.origin / "node.json", f"{settings.node_name}-origin", "origin")
    program = ffmpeg_path(settings)
    stream = await ffmpeg.run(program, *encoding(segment_bytes * 8 // SEGMENT_S, segments * SEGMENT_S))
    bodies = [piece.data for piece in Splitter().feed(stream) if isinstance(piece, Segment)]
    catalogue = await Catalogue.open(f"sqlite:///{layout.origin / 'catalogue.db'}")
    try:
        async with KeysClient(settings.keys, node_credential(node, time.time)) as keys:
            new = await keys.new_generation(asset)
            await catalogue.create(id=asset, title=asset, source_name=asset, state="ingesting")
            packager = Packager(
                Generation(new.tenant, asset, new.generation, new.storage_key),
                Ladder((VideoRung(RENDITION, WIDTH, HEIGHT, 0, 0, 0),), (), Fraction(FPS), SEGMENT_S),
                blobs=LocalBlobs(layout.blobs),
                records=catalogue,
                signer=node.private,
            )
            await packager.take(RENDITION, stream)
            files = [
                await packager.store_file(io.BytesIO(body), _named(number), int(time.time()))
                for number, body in enumerate(bodies[:FILES])
            ]
            files += [replace(file, name=PROTECTED + file.name, protection="ece") for file in files]
            descriptor = await packager.finish(title=asset, period_segments=PERIOD_SEGMENTS, downloads=files)
            await keys.publish(asset, new.generation)
            await catalogue.publish(
                asset,
                generation=new.generation,
                duration=descriptor.duration,
                width=WIDTH,
                height=HEIGHT,
                size_bytes=packager.stored_bytes,
                renditions=[RENDITION],
            )
    finally:
        await catalogue.close()
    digests = tuple(hashlib.sha256(body).digest() for body in bodies)
    return Film(asset, tuple(map(len, bodies)), digests, await ffmpeg.packets(program, stream))


def _named(number: int) -> FileName:
    """What the download of a segment is called."""
    return FileName(f"{number}.mp4", f"{number}.mp4", f"file-{number}", "video/mp4")


def encoding(bits_per_s: int, seconds: int) -> list[str]:
    """ffmpeg's arguments for fragmented MP4 with a fragment for each segment."""
    noise = f"color=gray:size={WIDTH}x{HEIGHT}:rate={FPS}:duration={seconds},noise=alls=100:allf=t"
    keyframes = str(SEGMENT_S * FPS)
    return [
        *("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
        *("-b:v", str(bits_per_s), "-maxrate", str(bits_per_s), "-bufsize", str(bits_per_s // 2)),
        *("-g", keyframes, "-keyint_min", keyframes, "-sc_threshold", "0"),
        *("-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer", "-f", "mp4", "pipe:1"),
    ]
