"""`sluice doctor`: is everything that was published still there, and is it what it was?"""

import asyncio
import json
import time
from typing import Any, Final

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.table import Table
from sqlalchemy import select

from deploy.blob_stores import blobs_at, media_blobs
from deploy.commands.options import settings_from, storage_options
from deploy.commands.output import print_table
from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.settings import Settings
from keys.database import Database
from keys.jws import VerifyKey
from keys.tables import generations, nodes
from origin.store.blobs import BlobStore
from origin.store.catalogue import Catalogue
from origin.store.examine import Finding, examine, mend, published
from origin.store.garbage import collect, orphans

NO_FILM: Final = (
    "catalogue-database: the catalogue has no published film, and media lies in the store. Nothing was "
    "removed: is it the right catalogue? `sluice doctor --gc --dry-run` shows what lies there."
)


@click.command()
@click.option("--quick", is_flag=True, help="Look at names and signed lists only; read no media.")
@click.option("--gc", "garbage", is_flag=True, help="Only: remove what nothing refers to, older than a day.")
@click.option("--dry-run", is_flag=True, help="With --gc: show it, remove nothing.")
@click.option("--mend", "mends", is_flag=True, help="Put missing objects back from --from.")
@click.option(
    "--from", "other", metavar="URL|FOLDER", help="With --mend: blobs/ of a backup, or another store."
)
@click.option("--json", "as_json", is_flag=True, help="The findings as a JSON list on stdout.")
@storage_options
def doctor(
    quick: bool, garbage: bool, dry_run: bool, mends: bool, other: str | None, as_json: bool, **given: Any
) -> int:
    """Check every stored object against the catalogue: there, its digest, its signatures, its keys.

    Works beside a running system and without one. Exit code 1 when something is wrong and was not mended.
    """
    if dry_run and not garbage:
        raise click.UsageError("--dry-run is for --gc.")
    if mends != (other is not None):
        raise click.UsageError("--mend and --from belong together.")
    settings = settings_from(given)
    if garbage:
        return asyncio.run(_collect(settings, dry_run, as_json))
    return asyncio.run(_examine(settings, quick, other, as_json))


async def _collect(settings: Settings, dry_run: bool, as_json: bool) -> int:
    _must_exist(settings)
    blobs, end = media_blobs(settings)
    catalogue = await Catalogue.open(_catalogue_url(settings))
    try:
        now = time.time()
        unreferred = await orphans(catalogue, blobs)
        if dry_run:
            found = unreferred
        elif unreferred and not any(each.generation for each in await catalogue.list()):
            raise SettingError(NO_FILM)
        else:
            found = await collect(catalogue, blobs, now, unknown=True)
    finally:
        await catalogue.close()
        await end()
    rows = [
        {
            "asset": each.asset,
            "generation": each.generation,
            "age_s": round(now - each.touched),
            "removed": not dry_run,
            "old": each.is_old(now),
        }
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return 0
    for row in rows:
        verb = "removed" if row["removed"] else ("would go" if row["old"] else "younger than a day: stays")
        click.echo(f"{row['asset']} generation {row['generation']}: {verb}")
    click.echo(f"{len(rows)} generations nothing refers to.", err=True)
    return 0


async def _examine(settings: Settings, quick: bool, other: str | None, as_json: bool) -> int:
    _must_exist(settings)
    layout = Layout(settings)
    blobs, end = media_blobs(settings)
    await (await Catalogue.open(_catalogue_url(settings))).close()  # a schema of before is migrated
    catalogue = Database(_catalogue_url(settings))
    keys_here = bool(settings.keys_database) or (layout.keys / "keys.db").exists()
    keys = Database(settings.keys_database or f"sqlite:///{layout.keys / 'keys.db'}") if keys_here else None
    rows: list[dict[str, Any]] = []
    try:
        if keys is None:
            click.echo("The keys database is not here: signatures and keys cannot be checked.", err=True)
            return 2
        async with keys.read() as connection:
            packagers = [
                _public(jwk)
                for jwk in await connection.scalars(select(nodes.c.jwk).where(nodes.c.role == "origin"))
            ]
        everything = await published(catalogue)
        for number, (asset, generation) in enumerate(everything, 1):
            click.echo(f"{number}/{len(everything)} {asset}", err=True)
            found = await examine(catalogue, blobs, packagers, asset, generation, quick=quick)
            of = (generations.c.asset == asset, generations.c.generation == generation)
            async with keys.read() as connection:
                if (await connection.execute(select(generations.c.asset).where(*of))).first() is None:
                    found.append(Finding(asset, generation, "", "Its keys are gone: nothing can open it."))
            rows += [
                each.to_json() | {"done": await _mended(catalogue, blobs, other, layout, each)}
                for each in found
            ]
    finally:
        await catalogue.close()
        if keys is not None:
            await keys.close()
        await end()
    _show(rows, len(everything), as_json)
    return int(any(row["done"] != "Mended." for row in rows))


async def _mended(
    catalogue: Database, blobs: BlobStore, other: str | None, layout: Layout, finding: Finding
) -> str:
    if other is None or finding.kind != "object":
        return ""
    store, end = blobs_at(other, layout.secrets)
    try:
        return await mend(catalogue, blobs, store, finding)
    finally:
        await end()


def _show(rows: list[dict[str, Any]], assets: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows))
        return
    if rows:
        table = Table("asset", "generation", "object", "finding", "done", box=None)
        for row in rows:
            table.add_row(row["asset"], str(row["generation"]), row["where"], row["said"], row["done"])
        print_table(table)
    click.echo(f"{assets} assets, {len(rows)} findings.", err=True)


def _public(jwk: dict[str, Any]) -> Ed25519PublicKey:
    found = VerifyKey.from_jwk(jwk).public
    assert isinstance(found, Ed25519PublicKey), "keys enrols no other"
    return found


def _must_exist(settings: Settings) -> None:
    """Opening makes a database where none is, and nothing in a store is a film by an empty catalogue."""
    path = Layout(settings).origin / "catalogue.db"
    if not settings.catalogue_database and not path.exists():
        raise SettingError(
            f"data: there is no catalogue at {path}; name it with --data or --catalogue-database."
        )


def _catalogue_url(settings: Settings) -> str:
    return settings.catalogue_database or f"sqlite:///{Layout(settings).origin / 'catalogue.db'}"
