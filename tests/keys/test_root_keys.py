"""The keepers of the root key, files and an external service: one contract; and moving between them."""

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keys.cipher import BadWrap
from keys.hierarchy import Hierarchy
from keys.problems import Problem
from keys.root_files import RootKeyFiles
from keys.root_keys import Moved, RootKeys, Wrapped
from keys.root_transit import TransitRootKeys
from keys.stores import Stores
from tests.support.transit import Transit

NOW = 1_800_000_000.0


@pytest.fixture
def transit() -> Iterator[Transit]:
    with Transit() as found:
        yield found


@pytest.fixture
def files(tmp_path: Path) -> RootKeyFiles:
    (tmp_path / "root").mkdir(mode=0o700)
    found = RootKeyFiles(tmp_path / "root")
    found.create_first()
    return found


@pytest.fixture
async def kms(transit: Transit) -> AsyncIterator[TransitRootKeys]:
    found = TransitRootKeys(transit.url, lambda: "the-kms-token")
    yield found
    await found.aclose()


@pytest.fixture(params=["files", "kms"])
def keeper(request: pytest.FixtureRequest, files: RootKeyFiles, kms: TransitRootKeys) -> RootKeys:
    return files if request.param == "files" else kms


async def test_what_was_wrapped_opens_for_its_own_context_alone(keeper: RootKeys) -> None:
    wrapped = await keeper.wrap(b"a tenant's key", "tk", "default", 1)
    assert await keeper.unwrap(wrapped, "tk", "default", 1) == b"a tenant's key"
    assert b"a tenant's key" not in wrapped.data
    assert wrapped.root == await keeper.newest()
    assert keeper.opens(wrapped.root)
    for other in (("tk", "default", 2), ("tk", "other", 1), ("service key", "default")):
        with pytest.raises(BadWrap):
            await keeper.unwrap(wrapped, *other)


async def test_a_flipped_bit_opens_nothing(keeper: RootKeys) -> None:
    wrapped = await keeper.wrap(b"key", "tk", "default", 1)
    altered = wrapped.data[:-6] + bytes([wrapped.data[-6] ^ 1]) + wrapped.data[-5:]
    with pytest.raises(BadWrap):
        await keeper.unwrap(Wrapped(wrapped.root, altered), "tk", "default", 1)
    with pytest.raises(BadWrap):
        await keeper.unwrap(Wrapped("unheard of", wrapped.data), "tk", "default", 1)


async def test_a_new_version_wraps_and_the_older_ones_still_open(keeper: RootKeys) -> None:
    before = await keeper.wrap(b"key", "tk", "default", 1)
    label = await keeper.rotate()
    after = await keeper.wrap(b"key", "tk", "default", 1)
    assert label == await keeper.newest() == after.root != before.root
    for wrapped in (before, after):
        assert await keeper.unwrap(wrapped, "tk", "default", 1) == b"key"


async def test_a_version_made_in_another_process_is_found(files: RootKeyFiles, tmp_path: Path) -> None:
    other = RootKeyFiles(tmp_path / "root")
    assert await other.rotate() == "2"
    wrapped = await other.wrap(b"key", "x")
    assert await files.unwrap(wrapped, "x") == b"key"
    assert await files.newest() == "2"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.paths().values()}
    assert modes == {"root.key": 0o600, "root-2.key": 0o600}


async def test_a_deleted_version_opens_nothing_and_the_first_is_not_made_again(
    files: RootKeyFiles, tmp_path: Path
) -> None:
    wrapped = await files.wrap(b"key", "x")
    await files.rotate()
    (tmp_path / "root" / "root.key").unlink()
    anew = RootKeyFiles(tmp_path / "root")
    anew.create_first()
    assert list(anew.paths()) == [2]
    with pytest.raises(BadWrap, match="No such file"):
        await anew.unwrap(wrapped, "x")


async def test_the_external_key_never_travels_and_is_asked_once_for_a_tenant(
    stores: Stores, kms: TransitRootKeys, transit: Transit
) -> None:
    of = Hierarchy(kms, stores.keys)
    _, keys = await of.new_generation("default", "film", NOW)
    for _ in range(5):
        assert await of.generation("default", "film", 1) == keys
    assert len([line for line in transit.asked if "/decrypt/" in line]) == 1
    assert not hasattr(kms, "key")
    transit.down = True
    assert await of.generation("default", "film", 1) == keys, "running sessions need no key service"
    with pytest.raises(Problem, match="key management") as caught:
        await Hierarchy(kms, stores.keys).generation("default", "film", 1)
    assert caught.value.code == "unavailable"


async def test_another_token_gets_nothing_and_does_not_print(transit: Transit) -> None:
    kms = TransitRootKeys(transit.url, lambda: "wrong-token")
    with pytest.raises(Problem) as caught:
        await kms.wrap(b"key", "x")
    await kms.aclose()
    assert caught.value.code == "unavailable"
    assert "wrong-token" not in f"{caught.value.detail}{caught.value}{kms!r}"


async def test_a_key_of_another_type_is_refused(kms: TransitRootKeys, transit: Transit) -> None:
    transit.type = "rsa-4096"
    with pytest.raises(ValueError, match="rsa-4096, not aes256-gcm96"):
        await kms.newest()


@pytest.mark.parametrize(
    "url",
    [
        "http://vault.example:8200/v1/transit/keys/sluice",  # in the clear
        "https://vault.example:8200/v1/transit/sluice",
        "https://vault.example:8200/v1/transit/keys/a/b",
        "ftp://vault.example/v1/transit/keys/sluice",
        "vault.example",
    ],
)
def test_an_address_that_is_no_transit_key_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be https|no transit key"):
        TransitRootKeys(url, lambda: "token")


async def test_the_root_key_moves_from_files_to_a_service_by_one_rotation(
    stores: Stores, files: RootKeyFiles, kms: TransitRootKeys, tmp_path: Path
) -> None:
    _, keys = await Hierarchy(files, stores.keys).new_generation("default", "film", NOW)
    moved = Hierarchy(Moved(kms, [files]), stores.keys)
    bucket = await moved.bucket_key(NOW)
    assert await moved.generation("default", "film", 1) == keys
    assert await moved.rotate_root() == "vault:2"
    (tmp_path / "root" / "root.key").unlink()
    alone = Hierarchy(kms, stores.keys)
    assert await alone.generation("default", "film", 1) == keys
    assert await alone.bucket_key(NOW) == bucket
