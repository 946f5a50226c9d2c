"""A consistent copy of an installation that may be running, and the way back.

    snapshots/<time>/catalogue.db  keys.db  [secrets.sealed]  manifest.json      blobs/<as the origin's>

Steps, in this order: the catalogue as of one moment; every object it names, those that are there already left
out; the keys, which have every generation such a catalogue can name; then what was deleted meanwhile is taken
out of the copied catalogue; the manifest with the digests of all these files, last. Without a manifest a
snapshot is none. Databases are copied row by row into SQLite, whatever they are in.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table, delete, select

from deploy.database_copy import copy_rows, is_empty
from deploy.sealed_files import seal, unseal
from deploy.shelf import Shelf
from keys.database import Database
from keys.migrations import upgrade as upgrade_keys
from keys.problems import Problem
from keys.tables import metadata as keys_metadata
from origin.control.tables import api_tokens, asset_events, webhooks
from origin.migrations import upgrade as upgrade_catalogue
from origin.store.blobs import BlobStore
from origin.store.tables import assets, objects
from origin.store.tables import metadata as catalogue_metadata

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CATALOGUE, KEYS, SECRETS = "catalogue.db", "keys.db", "secrets.sealed"
SETTINGS: Final = "sluice.toml"
PLACES: Final = ("catalogue-database", "keys-database", "blobs")
KEYS_TABLES: Final = keys_metadata.sorted_tables
# Remembered answers and messages of webhooks under way are of the moment, and stay behind.
CATALOGUE_TABLES: Final = (*catalogue_metadata.sorted_tables, api_tokens, webhooks)
SECRET_FILES: Final = ("secrets/*", "*/node.json", SETTINGS)  # below the data directory


@dataclass(frozen=True, slots=True)
class Place:
    """What is copied or filled: a data directory, the addresses of its databases, its store."""

    data: Path
    catalogue: str  # URLs
    keys: str
    blobs: BlobStore


@dataclass(slots=True)
class Report:
    """What was done."""

    snapshot: str = ""
    assets: int = 0
    objects: int = 0
    copied: int = 0  # objects that were not there yet
    copied_bytes: int = 0
    dropped: int = 0  # assets that were deleted meanwhile
    secrets: bool = False
    settings_aside: bool = False  # the settings name places that were not what was filled


async def back_up(
    place: Place, shelf: Shelf, store: BlobStore, passphrase: str | None, tell: Callable[[str], None]
) -> Report:
    """A new snapshot. Problem when an object of a film that is still there is missing or another."""
    report = Report(snapshot=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), secrets=passphrase is not None)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=place.data) as folder:
        made = Path(folder)
        await _copied(place.catalogue, f"sqlite:///{made / CATALOGUE}", CATALOGUE_TABLES, upgrade_catalogue)
        copy = Database(f"sqlite:///{made / CATALOGUE}")
        try:
            missing = await _blobs(copy, place.blobs, store, report, tell)
            await _copied(place.keys, f"sqlite:///{made / KEYS}", KEYS_TABLES, _upgraded_keys)
            await _drop_deleted(copy, place.catalogue, missing, report)
        finally:
            await copy.close()
        names = [CATALOGUE, KEYS]
        if passphrase is not None:
            found = {
                str(path.relative_to(place.data)) for each in SECRET_FILES for path in place.data.glob(each)
            }
            (made / SECRETS).write_bytes(seal(place.data, found, passphrase))
            names.append(SECRETS)
        files = {
            name: {"sha256": _digest(made / name), "size": (made / name).stat().st_size} for name in names
        }
        told = {"format": FORMAT, "made": time.time(), "assets": report.assets, "objects": report.objects}
        (made / MANIFEST).write_text(json.dumps({**told, "files": files}, indent=1) + "\n")
        for name in (*names, MANIFEST):
            await shelf.put(f"snapshots/{report.snapshot}/{name}", made / name)
    return report


async def restore(
    place: Place, shelf: Shelf, store: BlobStore, passphrase: str | None, tell: Callable[[str], None]
) -> Report:
    """The newest whole snapshot in an empty place. Problem when a file or an object is not what it was."""
    snapshots = [name for name in await shelf.names() if name.endswith(f"/{MANIFEST}")]
    if not snapshots:
        raise Problem("not_found", "There is no whole backup there: no snapshot has its manifest.")
    folder = snapshots[-1].rpartition("/")[0]
    report = Report(snapshot=folder.rpartition("/")[2])
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=place.data) as temporary:
        got = Path(temporary)
        await shelf.get(snapshots[-1], got / MANIFEST)
        for name, said in _manifest(got / MANIFEST).items():
            await shelf.get(f"{folder}/{name}", got / name)
            if _digest(got / name) != said["sha256"]:
                raise Problem("bad_upstream", f"{name} of the backup was changed since it was made.")
        if (got / SECRETS).exists() and passphrase is not None:
            had_settings = (place.data / SETTINGS).exists()
            unseal((got / SECRETS).read_bytes(), place.data, passphrase)
            report.secrets = True
            report.settings_aside = not had_settings and _set_aside(place.data)
        copy = Database(f"sqlite:///{got / CATALOGUE}")
        try:
            await _blobs(copy, store, place.blobs, report, tell, strict=True)
        finally:
            await copy.close()
        await _copied(f"sqlite:///{got / KEYS}", place.keys, KEYS_TABLES, _upgraded_keys)
        await _copied(f"sqlite:///{got / CATALOGUE}", place.catalogue, CATALOGUE_TABLES, upgrade_catalogue)
    return report


def _set_aside(data: Path) -> bool:
    """Keeps settings that name databases or a store from being in force: what they name may be in use."""
    path = data / SETTINGS
    if not path.exists() or not any(name in path.read_text().replace("_", "-") for name in PLACES):
        return False
    path.rename(path.with_name(f"{SETTINGS}.restored"))
    return True


async def _blobs(
    catalogue: Database,
    source: BlobStore,
    target: BlobStore,
    report: Report,
    tell: Callable[[str], None],
    *,
    strict: bool = False,
) -> set[str]:
    """Copies every object of published generations; assets of which one was missing, unless `strict`."""
    missing: set[str] = set()
    async with catalogue.read() as connection:
        rows = (
            await connection.execute(select(assets.c.id, assets.c.generation).order_by(assets.c.id))
        ).all()
    for asset, generation in rows:
        report.assets += 1
        of = (objects.c.asset == asset, objects.c.generation == generation)
        async with catalogue.read() as connection:
            listed = (await connection.execute(select(objects).where(*of))).all()
        tell(f"{asset}: {len(listed)} objects")
        for row in listed:
            report.objects += 1
            try:
                await _one(source, target, row, report)
            except Problem as problem:
                if strict or problem.code != "not_found":
                    raise
                missing.add(asset)
                break
    return missing


async def _one(source: BlobStore, target: BlobStore, row: Any, report: Report) -> None:
    name = (row.asset, row.generation, row.rendition, row.name)
    size = await source.size(*name)
    try:
        if await target.size(*name) == size:
            return  # write-once: it is the same, and a restore looks at its digest
    except Problem as problem:
        if problem.code != "not_found":
            raise
    digest = hashlib.sha256()
    async with target.writer(*name) as writer:
        async for piece in source.read(*name):
            digest.update(piece)
            await writer.write(piece)
        if digest.digest() != row.sha256:
            where = "/".join(map(str, name))
            raise Problem("bad_upstream", f"{where} is damaged: `sluice doctor` tells more.")
        await writer.commit()
    report.copied += 1
    report.copied_bytes += size


async def _drop_deleted(copy: Database, live_url: str, missing: set[str], report: Report) -> None:
    live = Database(live_url)
    try:
        async with live.read() as connection:
            now = set(await connection.scalars(select(assets.c.id)))
    finally:
        await live.close()
    if lost := sorted(missing & now):
        raise Problem("not_found", f"Objects of {lost[0]} are missing: run `sluice doctor` first.")
    async with copy.write() as connection:
        known = set(await connection.scalars(select(assets.c.id)))
        for asset in sorted(known - now):
            await connection.execute(delete(assets).where(assets.c.id == asset))
            report.dropped += 1
    await copy.flush_deleted()


async def _copied(
    source_url: str, target_url: str, tables: Sequence[Table], upgrade: Callable[[str], Any]
) -> None:
    await upgrade(target_url)
    source, target = Database(source_url), Database(target_url)
    try:
        if not await is_empty(target, tables):
            raise Problem("conflict", "The database to restore into is not empty. Name an empty one.")
        # Triggers tell of each asset that comes in; no webhook is to hear of them again.
        await copy_rows(source, target, tables, [asset_events] if assets in tables else [])
        await target.flush_deleted()
    finally:
        await source.close()
        await target.close()


async def _upgraded_keys(url: str) -> None:
    database = Database(url)
    try:
        await upgrade_keys(database)
    finally:
        await database.close()


def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text())
        files: dict[str, dict[str, Any]] = found["files"]
        if found["format"] != FORMAT or not set(files) <= {CATALOGUE, KEYS, SECRETS}:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise Problem("bad_upstream", "The manifest of the backup is not one of this release.") from None
    return files


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
