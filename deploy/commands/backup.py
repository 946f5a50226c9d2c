"""`sluice backup` and `sluice restore`: a consistent copy of what runs, and the way back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from deploy.backup import Place, Report, back_up
from deploy.backup import restore as restore_into
from deploy.blob_stores import blobs_at, media_blobs
from deploy.commands.options import settings_from, storage_options
from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.running import who_runs
from deploy.settings import ALL, Settings
from deploy.shelf import BucketShelf, FolderShelf, Shelf
from origin.store.blobs import BlobStore

LEFT_OUT = (
    "WITHOUT secrets/ and the node.json files: keep copies of those elsewhere, or add --secrets. "
    "Without root.key nothing in this backup can be opened."
)

ASIDE = (
    "The backup's sluice.toml names a database or bucket, which was NOT filled and may be in use: it lies in "
    "sluice.toml.restored. Look through it, then give it its name."
)

_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One line. [asked for]",
)


@click.command()
@click.argument("target")
@click.option("--secrets", "with_secrets", is_flag=True, help="Include secrets/ and identities, encrypted.")
@_passphrase
@storage_options
def backup(target: str, with_secrets: bool, passphrase_file: Path | None, **given: Any) -> int:
    """Copy everything that makes films play to TARGET: a folder, or s3://bucket/prefix?endpoint=…

    Works while the system runs. Objects that are there already are not copied again, so the same TARGET is
    best used again and again. Uploads that are not published yet are not part of it, nor are logs.
    """
    passphrase = _asked(passphrase_file, new=True) if with_secrets else None
    settings = settings_from(given)
    report = asyncio.run(_with(settings, target, passphrase, back_up))
    click.echo(
        f"{report.snapshot}: {report.assets} assets, {report.copied} of {report.objects} objects copied"
    )
    if not with_secrets:
        click.echo(LEFT_OUT, err=True)
    return 0


@click.command()
@click.argument("source")
@_passphrase
@storage_options
def restore(source: str, passphrase_file: Path | None, **given: Any) -> int:
    """Put the newest whole backup in SOURCE into an empty data directory (--data).

    Every file and object is checked against its digest on the way. A backup with secrets asks for its
    passphrase; of one without, put secrets/ and the node.json files in their places before the start.
    """
    settings = settings_from(given)
    data = Layout(settings).data
    if who_runs(data, ALL):
        raise SettingError(f"data: a system runs in {data}; end it first.")
    if [path for path in data.glob("*") if path.name not in ("secrets", "sluice.toml")]:
        raise SettingError(f"data: {data} is not empty; restore into another, or move it away.")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = _asked(passphrase_file, new=False)
    report = asyncio.run(_with(settings, source, passphrase or None, restore_into))
    click.echo(f"Restored {report.snapshot}: {report.assets} assets, {report.objects} objects.")
    if report.settings_aside:
        click.echo(ASIDE, err=True)
    told = "" if report.secrets else "Put secrets/ and the node.json files in their places, then "
    click.echo(f"{told}start it: sluice up --data {data}", err=True)
    return 0


async def _with(
    settings: Settings,
    there: str,
    passphrase: str | None,
    work: Callable[[Place, Shelf, BlobStore, str | None, Callable[[str], None]], Awaitable[Report]],
) -> Report:
    layout = Layout(settings)
    blobs, end = media_blobs(settings)
    shelf: Shelf
    if there.startswith("s3://"):
        base, mark, query = there.partition("?")
        store, store_end = blobs_at(f"{base.rstrip('/')}/blobs{mark}{query}", layout.secrets)
        files, files_end = blobs_at(there, layout.secrets)
        shelf = BucketShelf(files.store)  # type: ignore[attr-defined] # an s3:// address gave it
    else:
        store, store_end = blobs_at(str(Path(there) / "blobs"), layout.secrets)
        shelf, files_end = FolderShelf(Path(there)), end
    place = Place(
        layout.data,
        settings.catalogue_database or f"sqlite:///{layout.origin / 'catalogue.db'}",
        settings.keys_database or f"sqlite:///{layout.keys / 'keys.db'}",
        blobs,
    )
    try:
        return await work(place, shelf, store, passphrase, lambda line: click.echo(line, err=True))
    finally:
        for close in (end, store_end, files_end):
            await close()


def _asked(file: Path | None, *, new: bool) -> str:
    if file is not None:
        return file.read_text().strip()
    found: str = click.prompt(
        "Passphrase",
        hide_input=True,
        confirmation_prompt=new,
        default=None if new else "",
        show_default=False,
    )
    return found
