"""Common Encryption on the fly, through a real edge: what it serves, others decrypt to what was packaged."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import imageio_ffmpeg
import pytest
import pytest_asyncio

from edge.app import EdgeApp
from keys import sign_url
from keys.names import b64url, b64url_decode
from origin.ingest.mapping import Mapping
from origin.media.boxes import need
from origin.media.maps import read_map
from tests.edge.film import Premises, listening, premises
from tests.edge.parts import listening_socket, until
from tests.support.cenc import frames
from tests.support.viewer import Viewer

SCHEMES = {"cbcs": "SAMPLE-AES", "cenc": "SAMPLE-AES-CTR"}
KINDS = {"180p": "v", "audio": "a"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def film(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Premises]:
    on, url = listening_socket()
    async with premises(tmp_path_factory.mktemp("film"), url) as found:
        app: EdgeApp = found.edge()
        async with listening(app, on):
            await until(lambda: not (app.revocations.missing() or app.trusted.missing()))
            yield found


def link(film: Premises, protection: str) -> str:
    return sign_url(f"{film.edge_url}/v/film/main.m3u8", film.secrets.issuer) + f"?protection={protection}"


def kid_of(init: bytes) -> bytes:
    """The default key ID of a protected init segment (ISO/IEC 23001-7 §8.2)."""
    trak = need(init, "moov", "trak")
    stsd = need(init, "mdia", "minf", "stbl", "stsd", parent=trak)
    at = init.index(b"tenc", stsd.start) + 4 + 4 + 4
    return init[at : at + 16]


@dataclass(frozen=True)
class Where:
    """What of a segment is encrypted."""

    clear: int  # bytes before the media data, stored
    head: int  # and as sent
    blocks: list[int]  # where in the media data


def what_is_protected(film: Premises, rendition: str, number: int, scheme: str) -> Where:
    """By the segment's map, block by block."""
    found = film.objects[rendition]
    mapping = Mapping(found["init.mp4"], list(KINDS).index(rendition))
    for each in range(len(found) - 1):
        mapping.take(found[f"{each}.m4s"])
    block = mapping.rest()
    assert block is not None
    made = read_map(block[1], number)
    part = made.cenc if scheme == "cenc" else made.cbcs
    step = 16 if scheme == "cenc" else 16 * (made.skip + 1)
    ranges = [each for sample in part.samples for each in sample]
    blocks = [at for start, size in ranges for at in range(start, start + size - 15, step)]
    return Where(made.payload, len(part.head), blocks)


class Watching(Viewer):
    """A viewer of protected samples."""

    async def kid(self, rendition: str) -> bytes:
        return kid_of(await self.init(rendition))

    async def license(self, *kids: bytes) -> dict[bytes, bytes]:
        """Keys by ID."""
        body = json.dumps({"kids": [b64url(kid) for kid in kids], "type": "temporary"})
        answer = await self.client.post(urljoin(self.url, "license"), content=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["type"] == "temporary" and {row["kty"] for row in found["keys"]} == {"oct"}
        return {b64url_decode(row["kid"]): b64url_decode(row["k"]) for row in found["keys"]}

    async def protected(self, rendition: str) -> list[bytes]:
        """The init segment and every segment, as they travel."""
        answer = await self.get(urljoin(self.url, f"{rendition}/index.m3u8"))
        assert answer.status_code == 200, answer.text
        self.media_bytes[rendition] = answer.content
        numbers = re.findall(r"^(\d+)\.m4s$", answer.text, re.MULTILINE)
        segments = [await self.cipher(rendition, int(number)) for number in numbers]
        return [await self.init(rendition), *segments]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_the_edge_serves_decrypts_to_every_frame(
    film: Premises, tmp_path: Path, scheme: str
) -> None:
    async with Watching(link(film, scheme)) as viewer:
        await viewer.opened()
        assert viewer.url.endswith(f"/film/{scheme}/main.m3u8")
        kids = {rendition: await viewer.kid(rendition) for rendition in KINDS}
        keys = await viewer.license(*kids.values())
        assert keys.keys() == set(kids.values()) and len(set(keys.values())) == 2
        for rendition, kind in KINDS.items():
            clear, sent = tmp_path / f"{rendition}.mp4", tmp_path / f"{rendition}-sent.mp4"
            found = film.objects[rendition]
            names = ["init.mp4", *(f"{n}.m4s" for n in range(len(found) - 1))]
            clear.write_bytes(b"".join(found[name] for name in names))
            sent.write_bytes(b"".join(await viewer.protected(rendition)))
            key = await viewer.key(rendition, "key/0")
            assert key == keys[kids[rendition]]
            expected = await asyncio.to_thread(frames, clear, kind)
            assert len(expected) > 100
            assert await asyncio.to_thread(frames, sent, kind, key) == expected
            text = viewer.media_bytes[rendition].decode()
            assert re.findall("#EXT-X-KEY:.*", text) == [
                f'#EXT-X-KEY:METHOD={SCHEMES[scheme]},URI="key/0",KEYFORMAT="identity"'
            ]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_two_sessions_share_playlists_and_inits_and_no_protected_byte(
    film: Premises, tmp_path: Path, scheme: str
) -> None:
    async with Watching(link(film, scheme)) as one, Watching(link(film, scheme)) as two:
        await one.opened()
        await two.opened()
        assert one.multivariant == two.multivariant
        for rendition, kind in KINDS.items():
            sent = [await viewer.protected(rendition) for viewer in (one, two)]
            assert one.media_bytes[rendition] == two.media_bytes[rendition]
            assert sent[0][0] == sent[1][0]
            found = film.objects[rendition]
            for number, (mine, yours) in enumerate(zip(*(each[1:] for each in sent), strict=True)):
                clear = found[f"{number}.m4s"]
                where = what_is_protected(film, rendition, number, scheme)
                assert len(where.blocks) > 10
                for at in where.blocks:
                    bodies = [clear[where.clear :], mine[where.head :], yours[where.head :]]
                    assert len({body[at : at + 16] for body in bodies}) == 3
                assert mine[: where.head] == yours[: where.head]
            keys = [await viewer.key(rendition, "key/0") for viewer in (one, two)]
            assert keys[0] != keys[1]
            path = tmp_path / "sent.mp4"
            path.write_bytes(b"".join(sent[0]))
            with pytest.raises((subprocess.CalledProcessError, AssertionError)):
                await asyncio.to_thread(frames, path, kind, keys[1])
        kids = [await one.kid(rendition) for rendition in KINDS]
        theirs = [await viewer.license(*kids) for viewer in (one, two)]
        assert not set(theirs[0].values()) & set(theirs[1].values())


async def test_ffmpeg_plays_a_cbcs_link_frame_for_frame(film: Premises, tmp_path: Path) -> None:
    """Its HLS reader takes the raw key of `SAMPLE-AES` by itself."""
    found = film.objects["180p"]
    clear = tmp_path / "clear.mp4"
    names = ["init.mp4", *(f"{n}.m4s" for n in range(len(found) - 1))]
    clear.write_bytes(b"".join(found[name] for name in names))
    expected = pictures(await asyncio.to_thread(frames, clear, "v"))
    assert len(expected) == 200
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", link(film, "cbcs")]
    process = await asyncio.create_subprocess_exec(
        *command, "-map", "0:v", "-f", "framemd5", "-", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert pictures([line for line in out.decode().splitlines() if line[0] != "#"]) == expected


def pictures(rows: list[str]) -> list[str]:
    """What each frame shows, without its times."""
    return [row.rsplit(",", 1)[1] for row in rows]


async def test_k4_f5_another_edge_gives_the_same_bytes_and_nothing_by_a_map_that_was_altered(
    film: Premises,
) -> None:
    on, url = listening_socket()
    second = film.edge("edge-2")
    place = f"film/{film.generation}/audio/map-0"
    packaged = film.origin.blobs[place]
    film.origin.blobs[place] = packaged[:100] + bytes([packaged[100] ^ 1]) + packaged[101:]
    async with listening(second, on), Watching(link(film, "cenc")) as viewer:
        await viewer.opened()
        await until(lambda: not (second.revocations.missing() or second.trusted.missing()))
        for rendition in KINDS:
            mine = await viewer.get(viewer.segment_url(rendition, 1))
            there = viewer.segment_url(rendition, 1).replace(film.edge_url, url)
            if rendition == "audio":
                assert (await viewer.get(there)).status_code == 502
                film.origin.blobs[place] = packaged
            yours = await viewer.get(there)
            assert (yours.status_code, yours.content) == (200, mine.content)
            assert yours.headers["etag"] == mine.headers["etag"]
