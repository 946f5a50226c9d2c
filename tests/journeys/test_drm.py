"""Films with keys of a DRM provider, from `sluice add --drm` to what a viewer decrypts with the document."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE
from keys.cpix_xml import read_cpix, write_cpix
from keys.drm import keys_of
from keys.names import b64url
from tests.edge.deliver.test_common_journey import Watching
from tests.edge.film import listening
from tests.edge.parts import listening_socket
from tests.support.cenc import frames
from tests.support.drm import document, key_of
from tests.support.films import make_film
from tests.support.packaged import Packaged, storage_key
from tests.support.speke_server import PATH, SpekeServer, content_key
from tests.support.system import System, running

FOUND = document()


class Provider(NamedTuple):
    """A DRM provider, where it listens, and its address."""

    server: SpekeServer
    on: socket.socket
    url: str


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("drm") / "data", workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", seconds=6, size="320x180")


@pytest.fixture(scope="module")
def cpix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cpix") / "keys.cpix"
    path.write_bytes(write_cpix(FOUND))
    return path


@pytest.fixture(scope="module")
def film(system: System, film_file: Path, cpix: Path) -> str:
    return system.add(film_file, "film", "--drm", str(cpix))


async def opens(system: System, asset: str, generation: int, keys: dict[str, bytes], folder: Path) -> str:
    """The multivariant playlist, once every frame of all that is served was decrypted with these keys."""
    film = Packaged(system.data, asset, await storage_key(system.data, asset, generation), generation)
    async with Watching(system.link(asset)) as viewer:
        await viewer.opened()
        assert viewer.url.endswith(f"/{asset}/drm/main.m3u8")
        for rendition in film.renditions():
            kind, track = ("a", AUDIO) if rendition.startswith("audio") else ("v", VIDEO)
            clear, sent = folder / f"{asset}-{rendition}.mp4", folder / f"{asset}-{rendition}-sent.mp4"
            clear.write_bytes(film.whole(rendition))
            sent.write_bytes(b"".join(await viewer.protected(rendition)))
            expected = await asyncio.to_thread(frames, clear, kind)
            assert len(expected) > 100
            assert await asyncio.to_thread(frames, sent, kind, keys[track]) == expected
        return viewer.multivariant.decode()


def lies_open(system: System, keys: list[bytes]) -> list[str]:
    """Where in the data directory, in what the system printed and measures, a key stands in any spelling."""
    forms = [form for key in keys for form in (key, key.hex().encode(), b64encode(key), b64url(key).encode())]
    files = [path for path in system.data.rglob("*") if path.is_file()]
    found = {
        str(path): path.read_bytes() for path in (*files, system.data.parent / f"{system.data.name}.stderr")
    }
    for name in ("keys", "origin", "admin"):
        found[f"metrics of {name}"] = httpx.get(f"{system.url(name)}/metrics").content
    found["assets"] = system.sluice("assets").stdout.encode()
    return [name for name, text in found.items() if any(form in text for form in forms)]


async def test_a_film_added_with_a_cpix_file_is_opened_by_its_keys(
    system: System, film: str, tmp_path: Path
) -> None:
    keys = {track: key_of(FOUND, track) for track in (VIDEO, AUDIO)}
    text = await opens(system, film, 2, keys, tmp_path)
    assert all(each.hls_multivariant and each.hls_multivariant in text for each in FOUND.systems)
    assert lies_open(system, list(keys.values())) == []


async def test_its_document_comes_out_again_for_an_operator(system: System, film: str, cpix: Path) -> None:
    told = system.sluice("drm", film)
    assert (told.returncode, told.stdout) == (0, cpix.read_text())
    nothing = system.sluice("drm", "no-such-film")
    assert (nothing.returncode, nothing.stdout) == (1, "")


async def test_keys_made_here_are_written_out_for_a_provider(
    system: System, film_file: Path, tmp_path: Path
) -> None:
    system.add(film_file, "own", "--drm", "new")
    made = read_cpix(system.sluice("drm", "own").stdout.encode())
    assert len(keys_of(made)) == 2
    assert {each.system_id for each in made.systems} == {WIDEVINE, PLAYREADY, FAIRPLAY}
    await opens(system, "own", 2, {track: key_of(made, track) for track in (VIDEO, AUDIO)}, tmp_path)
    assert lies_open(system, list(keys_of(made).values())) == []


def test_a_film_that_is_removed_takes_its_keys_with_it(system: System, film_file: Path, cpix: Path) -> None:
    system.add(film_file, "gone", "--drm", str(cpix))
    assert system.sluice("rm", "gone", "--yes").returncode == 0
    told = system.sluice("drm", "gone")
    assert told.returncode == 1 and "There is no such asset" in told.stderr


def test_what_cannot_be_used_is_told_before_anything_is_uploaded(
    system: System, film_file: Path, cpix: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.cpix"
    odd.write_text("<CPIX/>")
    cases = [
        (["--drm", str(odd)], "cannot be used"),
        (["--drm", str(tmp_path / "absent.cpix")], "cannot be read: No such file"),
        (["--drm", "http://provider.example/speke"], "over https only"),
        (["--drm", "https://me:secret@provider.example/speke"], "has a user name in it"),
        ([str(film_file), "--drm", str(cpix)], "one film"),
    ]
    before = system.sluice("assets").stdout
    for words, said in cases:
        told = system.sluice("add", str(film_file), *words)
        assert told.returncode == 2 and said in told.stderr, told.stderr
        assert "Traceback" not in told.stderr and "secret" not in told.stderr
    assert system.sluice("assets").stdout == before


@pytest.fixture
def provider(system: System) -> Iterator[Provider]:
    """A provider who knows this installation."""
    on, url = listening_socket()
    secret = system.data / "secrets" / "drm-auth"
    secret.write_text(f"{urlsplit(url).netloc} bearer provider-token-8123\n")
    secret.chmod(0o600)
    yield Provider(SpekeServer(wants=("authorization", "Bearer provider-token-8123")), on, url + PATH)
    on.close()
    secret.unlink()


async def test_a_film_added_with_a_speke_address_is_opened_by_the_providers_keys(
    system: System, film_file: Path, provider: Provider, tmp_path: Path
) -> None:
    async with listening(provider.server.app(), provider.on):
        added = asyncio.to_thread(system.add, film_file, "provided", "--drm", provider.url)
        assert await added == "provided"
    (asked,) = map(read_cpix, provider.server.seen)
    assert asked.content_id == "provided" and keys_of(asked) == {}
    keys = {rule.track_type: content_key(rule.kid) for rule in asked.rules if rule.track_type}
    text = await opens(system, "provided", 1, keys, tmp_path)
    assert {each for each in ("skd://", "playready", "urn:uuid:edef8ba9") if each in text} == {
        "skd://", "playready", "urn:uuid:edef8ba9"
    }  # fmt: skip
    assert lies_open(system, list(keys.values())) == []
    texts = [path.read_text() for path in (system.data / "logs").iterdir()]
    assert not any("provider-token-8123" in each for each in texts)


async def test_a_provider_that_lies_or_knows_nobody_fails_the_ingest_in_a_sentence(
    system: System, film_file: Path, provider: Provider
) -> None:
    async with listening(provider.server.app(), provider.on):
        for number, (lie, wants) in enumerate((("missing key", "provider-token-8123"), ("", "another"))):
            provider.server.lie, provider.server.wants = lie, ("authorization", f"Bearer {wants}")
            words = ("add", str(film_file), "--id", f"refused-{number}", "--drm", provider.url)
            told = await asyncio.to_thread(system.sluice, *words)
            assert told.returncode == 1 and "The DRM provider gave no keys." in told.stderr
            assert "Traceback" not in told.stderr and "provider-token" not in told.stderr
