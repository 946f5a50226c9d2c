"""What our packager maps, others decrypt: ffmpeg and Shaka Packager get back every frame there was.

Clips go through the packager into a store, are read back as an edge would (lists by signature, then
unsealed), protected by their maps with a plain encryptor, and decrypted by programs that read subsamples on
their own.
"""

import asyncio
import os
import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import pytest

from keys.derive import key_id
from keys.nodes import NodeIdentity
from origin.ingest.ladder import AudioRung, Ladder, VideoRung
from origin.ingest.packager import Generation, Packager
from origin.media.asset import INIT_OBJECT, Descriptor, segment_object
from origin.media.dash import MANIFEST, manifest
from origin.media.maps import map_object, read_map
from origin.media.protected_init import protected_init
from origin.media.protection import SCHEMES
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.origin.ingest.bench import AAC, Bench, MemoryKeys, film, make_clip, quick, tone
from tests.support.cenc import PACKAGER, encrypted, frames, unpackaged
from tests.support.fragmented import auxiliary

FLAGS = ["-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer", "-f", "mp4"]
SOUND_FLAGS = ["-frag_duration", "1000000", "-movflags", "+cmaf+delay_moov+skip_trailer", "-f", "mp4"]
X264 = ["-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", "-g", "25", "-x264-params"]
X265 = [
    "-c:v",
    "libx265",
    "-preset",
    "fast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "25",
    "-tag:v",
    "hvc1",
    "-x265-params",
]
PICTURES = {
    "plain": [*X264, "bframes=0"],
    "b-frames": [*X264, "bframes=3:b-pyramid=normal"],
    "slices": [*X264, "slices=4:bframes=2"],
    "hevc": [*X265, "log-level=none:slices=2:bframes=3"],
    "av1": ["-c:v", "libsvtav1", "-preset", "12", "-g", "25", "-svtav1-params", "tile-columns=1"],
    "vp9": ["-c:v", "libvpx-vp9", "-cpu-used", "6", "-g", "25", "-auto-alt-ref", "6", "-lag-in-frames", "25"],
}
KEY = bytes(range(16))
AAC_FRAME = 1024  # samples


@dataclass
class Film:
    """A packaged asset of every kind of rendition, as an edge reads it."""

    descriptor: Descriptor
    objects: dict[str, dict[str, bytes]]  # of each rendition, unsealed
    frames: dict[str, list[str]]  # of each rendition's clip, clear

    def protected(self, rendition: str, scheme: str, path: Path) -> bytes:
        """Writes the rendition, protected, to `path`; its key ID."""
        kid, pieces = self.pieces(rendition, scheme)
        path.write_bytes(b"".join(pieces.values()))
        return kid

    def pieces(self, rendition: str, scheme: str) -> tuple[bytes, dict[str, bytes]]:
        """Its key ID; init segment and segments, protected, by name and in order."""
        row = self.descriptor.rendition(rendition)
        assert row is not None
        kid = key_id("default", "film", 1, scheme, row.track, "-", 0)
        objects = self.objects[rendition]
        found = {INIT_OBJECT: protected_init(objects[INIT_OBJECT], scheme, kid)}
        for number in range(len(row.sizes)):
            name = segment_object(number)
            block = read_map(objects[map_object(number)], number)
            found[name] = encrypted(
                objects[name], block, scheme, key=KEY, kid=kid, index=row.index, position=number
            )
        return kid, found

    def site(self, folder: Path, scheme: str) -> Path:
        """Writes all of it as an edge would show it; the manifest."""
        for row in self.descriptor.renditions:
            (folder / row.id).mkdir()
            for name, piece in self.pieces(row.id, scheme)[1].items():
                (folder / row.id / name).write_bytes(piece)
        (folder / MANIFEST).write_bytes(manifest(self.descriptor, scheme))
        return folder / MANIFEST


async def package(root: Path, clips: dict[str, Path]) -> Film:
    """The clips as one asset, read back from its store."""
    catalogue = await Catalogue.open(f"sqlite:///{root / 'catalogue.db'}")
    identity = NodeIdentity.load_or_create(root / "node.json", "origin", "origin")
    blobs = LocalBlobs(root / "blobs", keep_free_bytes=0)
    bench = Bench(root, catalogue, blobs, MemoryKeys(), identity, quick())
    bench.keys.made["film", 1] = os.urandom(32)
    asset = replace(await catalogue.create(id="film", source_name="film.mp4"), generation=1)
    video = tuple(VideoRung(name, 160, 90, 100_000, 120_000, 100_000) for name in clips if name != "audio")
    packing = Packager(
        Generation("default", "film", 1, bench.keys.made["film", 1]),
        Ladder(video, (AudioRung("audio", 0, 2, 48000, 128_000, "en", "English"),), Fraction(25), 1),
        blobs=blobs,
        records=catalogue,
        signer=identity.private,
    )
    for name, clip in clips.items():
        await packing.take(name, clip.read_bytes())
    await packing.finish(title="Film", period_segments=15)
    objects = {}
    for name in clips:
        listed = await bench.listed(asset, name)
        objects[name] = {each: await bench.opened(asset, name, found) for each, found in listed.items()}
    descriptor = await bench.descriptor(asset)
    await catalogue.close()
    clear = {name: frames(clip, "a" if name == "audio" else "v") for name, clip in clips.items()}
    return Film(descriptor, objects, clear)


def make_picture(path: Path, codec: list[str]) -> Path:
    """A film in that codec. VP9 in two passes: with one, the encoder hides no frame in a superframe."""
    if "libvpx-vp9" in codec:
        log = ["-passlogfile", str(path.with_suffix(""))]
        make_clip(Path("-"), *film(), *codec, *log, "-pass", "1", "-f", "null")
        codec = [*codec, *log, "-pass", "2"]
    return make_clip(path, *film(), *codec, *FLAGS)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """The clips of PICTURES and a sound, packaged as one asset."""
    root = tmp_path_factory.mktemp("cenc")
    clips = {name: make_picture(root / f"{name}.mp4", codec) for name, codec in PICTURES.items()}
    clips["audio"] = make_clip(root / "audio.mp4", *tone(), *AAC, *SOUND_FLAGS)
    return asyncio.run(package(root, clips))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rendition", [*PICTURES, "audio"])
def test_what_is_protected_by_its_maps_decrypts_to_every_frame(
    packaged: Film, tmp_path: Path, rendition: str, scheme: str
) -> None:
    kind = "a" if rendition == "audio" else "v"
    packaged.protected(rendition, scheme, tmp_path / "protected.mp4")
    clear = packaged.frames[rendition]
    assert len(clear) > 40 and frames(tmp_path / "protected.mp4", kind, KEY) == clear


@pytest.mark.skipif(not PACKAGER.exists(), reason="Shaka Packager is not there: `make setup-dev` fetches it")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_shaka_packager_decrypts_it_too(packaged: Film, tmp_path: Path, scheme: str) -> None:
    for rendition, clear in packaged.frames.items():
        kind, path = "a" if rendition == "audio" else "v", tmp_path / f"{rendition}.mp4"
        kid = packaged.protected(rendition, scheme, path)
        opened = unpackaged(path, tmp_path / f"{rendition}-opened.mp4", kind, KEY, kid)
        assert pictures(frames(opened, kind)) == pictures(clear)


def pictures(rows: list[str]) -> list[str]:
    """What each frame shows, without its times: Shaka Packager writes an edit list of its own."""
    return [row.rsplit(",", 1)[1] for row in rows]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ffmpeg_plays_by_the_manifest(packaged: Film, tmp_path: Path, scheme: str) -> None:
    """Every picture, and the sound but for the first frame of later segments.

    Those are ffmpeg's doing: it opens each segment anew, and leaves out at each what AAC has as its lead-in.
    """
    path = packaged.site(tmp_path, scheme)
    for number, rendition in enumerate(PICTURES):
        assert pictures(frames(path, "v", KEY, number=number)) == pictures(packaged.frames[rendition])
    sound = packaged.descriptor.rendition("audio")
    assert sound is not None
    left_out = {ticks // AAC_FRAME - 1 for ticks in accumulate(sound.durations[:-1])}
    clear = pictures(packaged.frames["audio"])
    kept = [frame for number, frame in enumerate(clear) if number not in left_out]
    assert pictures(frames(path, "a", KEY)) == kept


def test_without_the_key_there_is_no_picture(packaged: Film, tmp_path: Path) -> None:
    packaged.protected("plain", "cbcs", tmp_path / "protected.mp4")
    for key in (None, bytes(16)):
        with pytest.raises((subprocess.CalledProcessError, AssertionError)):
            frames(tmp_path / "protected.mp4", "v", key)


def test_the_descriptor_says_what_the_asset_can_be_protected_with(packaged: Film) -> None:
    assert packaged.descriptor.protections == ("aes", *SCHEMES)
    indexes = [row.index for row in packaged.descriptor.renditions]
    assert len(set(indexes)) == len(packaged.frames)
    for objects in packaged.objects.values():
        assert [name for name in objects if name.startswith("map-")] == ["map-0"]


def test_no_iv_comes_twice_in_an_asset(packaged: Film) -> None:
    seen: set[bytes] = set()
    for rendition in packaged.descriptor.renditions:
        for number in range(len(rendition.sizes)):
            found = read_map(packaged.objects[rendition.id][map_object(number)], number)
            ivs = [entry[:8] for entry in auxiliary(found.cenc.head).entries]
            assert len(ivs) == len(found.cenc.samples) and seen.isdisjoint(ivs)
            seen.update(ivs)
    assert len(seen) > 250
