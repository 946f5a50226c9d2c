"""Which assets there are and how far each has come: one row an asset, from upload to publication.

A change of state is one conditional statement, so of two processes that want it one wins and the other is
told. The allowed changes are the table TRANSITIONS. Bytes are kept by `blobs`; keys by the keys service.
SQLite or PostgreSQL by URL (`keys.database`).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, Select, delete, exists, select, update
from sqlalchemy.exc import IntegrityError

from keys.database import Database
from keys.names import DEFAULT_TENANT, asset_id, object_name, rendition_id
from keys.problems import Problem
from origin.filenames import id_of, title_of
from origin.migrations import upgrade
from origin.store.claims import Claims
from origin.store.tables import assets, objects, posters

# From each state, the states that may follow.
TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "uploading": frozenset({"queued", "failed", "cancelled"}),
    "queued": frozenset({"ingesting", "failed", "cancelled"}),
    "ingesting": frozenset({"queued", "published", "failed", "cancelled"}),  # queued: a restart begins anew
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "published": frozenset(),
}
UNFINISHED: Final = ("uploading", "queued", "ingesting")
SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of the catalogue."""

    id: str
    tenant: str
    title: str
    source_name: str  # what the file was called, for people only
    state: str
    progress: float  # 0 to 1
    rate: float  # media seconds a second; 1.0 is real time
    eta_s: float | None
    error: str  # a sentence for people, empty unless failed
    created: float  # seconds since the epoch
    updated: float
    upload_path: Path | None  # None when the upload is gone
    upload_bytes: int
    generation: int  # the published one; 0 before the first
    duration: float  # seconds
    width: int  # pixels of the largest rendition; 0 without a picture
    height: int
    bytes: int  # stored, over all renditions
    renditions: tuple[str, ...]
    download: str  # what may be taken away whole: original, renditions, both; empty: nothing
    # {"name", "size" in bytes, "type", "protection"} of each such file; without the last: "clear"
    downloads: tuple[dict[str, Any], ...]
    drm: str = ""  # where its content keys come from (`origin.drm`); empty: from its sessions
    node: str = ""  # the machine whose disk the upload is on; empty: every worker reaches it

    def public(self) -> dict[str, Any]:
        """What operators may see of it, as JSON fields."""
        shown = {name: getattr(self, name) for name in PUBLIC_FIELDS}
        return shown | {"renditions": list(self.renditions), "downloads": list(self.downloads)}


PUBLIC_FIELDS: Final = (
    *("id", "title", "source_name", "state", "progress", "rate", "eta_s", "error", "created", "updated"),
    *("generation", "duration", "width", "height", "bytes", "upload_bytes", "download", "drm"),
)


class Catalogue:
    """The open catalogue. `await Catalogue.open(url)` migrates it first; `close()` when done."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self.claims = Claims(database)

    @classmethod
    async def open(cls, url: str, now: Callable[[], float] = time.time) -> "Catalogue":
        """Open `sqlite:///path` or `postgresql://…` with the newest schema; `now`: seconds since 1970."""
        await upgrade(url)
        return cls(Database(url), now)

    @property
    def database(self) -> Database:
        """Where it lies, for what is kept beside the assets."""
        return self._database

    async def close(self) -> None:
        """Give the database back."""
        await self._database.close()

    async def create(
        self,
        *,
        source_name: str,
        id: str | None = None,
        title: str = "",
        upload_path: Path | None = None,
        upload_bytes: int = 0,
        state: str = "uploading",
        tenant: str = DEFAULT_TENANT,
        download: str = "",
        drm: str = "",
        node: str = "",
    ) -> Asset:
        """A new asset. With `id`, that very one or Problem conflict; without, a free one from its name.

        `node` is the machine whose disk the upload is on; empty: every worker reaches it.
        """
        wanted = asset_id(id) if id is not None else None
        now = self._now()
        row = _new_row(
            tenant=tenant,
            title=title or title_of(source_name),
            source_name=source_name,
            state=state,
            created=now,
            updated=now,
            upload_path=str(upload_path or ""),
            upload_bytes=upload_bytes,
            download=download,
            drm=drm,
            node=node,
            queued=now,
        )
        while True:
            row["id"] = wanted or await self.unique_id(title or source_name)
            async with self._database.write() as connection:
                made = await self._database.insert_once(connection, assets, row)
            if made:
                return await self.get(row["id"])
            if wanted:
                raise Problem("conflict", f"There is an asset “{wanted}” already. Choose another ID.")

    async def unique_id(self, name: str) -> str:
        """An asset ID made from a title or file name that no asset has: `film`, else `film-2`, `film-3`, …"""
        base, number = id_of(name), 1
        async with self._database.read() as connection:
            while True:
                candidate = base if number == 1 else f"{base}-{number}"
                if not await connection.scalar(select(exists().where(assets.c.id == candidate))):
                    return candidate
                number += 1

    async def get(self, id: str) -> Asset:
        """The asset. Problem not_found when there is none."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(assets).where(assets.c.id == id))).one_or_none()
        if row is None:
            raise _unknown(id)
        return _asset(row)

    async def list(self) -> Sequence[Asset]:
        """Every asset, the newest first."""
        query = select(assets).order_by(assets.c.created.desc(), assets.c.id)
        return await self._assets(query)

    async def unfinished(self) -> Sequence[Asset]:
        """The assets with work left to do (uploading, queued, ingesting), the oldest first."""
        query = select(assets).where(assets.c.state.in_(UNFINISHED))
        return await self._assets(query.order_by(assets.c.created, assets.c.id))

    async def upload_paths(self) -> frozenset[Path]:
        """Every upload file that an asset still names; others in its folder belong to nobody."""
        query = select(assets.c.upload_path).where(assets.c.upload_path != "")
        async with self._database.read() as connection:
            return frozenset(Path(path) for path in await connection.scalars(query))

    async def known(self, id: str) -> bool:
        """Whether there is such an asset."""
        async with self._database.read() as connection:
            return bool(await connection.scalar(select(exists().where(assets.c.id == id))))

    async def owner(self, path: Path) -> str | None:
        """The asset whose upload lies at `path`, None when it is nobody's."""
        async with self._database.read() as connection:
            found = await connection.scalar(select(assets.c.id).where(assets.c.upload_path == str(path)))
        return None if found is None else str(found)

    async def update_progress(
        self, id: str, progress: float, rate: float, eta_s: float | None, *, fence: int | None = None
    ) -> bool:
        """Note how far ingest is. False when the asset is not being ingested now: cancelled or deleted.

        With `fence` also when that claim on it (`claims`) is not the last one.
        """
        values = {"progress": min(1.0, max(0.0, progress)), "rate": rate, "eta_s": eta_s}
        return await self._change(id, ["ingesting"], values, fence)

    async def set_upload(self, id: str, path: Path | None, size_bytes: int) -> None:
        """Note where the upload lies and how large it is; None when it is gone. Problem not_found."""
        values = {"upload_path": str(path or ""), "upload_bytes": size_bytes}
        if not await self._change(id, TRANSITIONS, values):
            raise _unknown(id)

    async def set_state(self, id: str, state: str, *, error: str = "", fence: int | None = None) -> None:
        """Go to `state`. Problem conflict when TRANSITIONS has no way there, or not_found.

        With `fence`, conflict too when that claim on it (`claims`) is not the last one.
        """
        values: dict[str, Any] = {"state": state, "error": error, "rate": 0.0, "eta_s": None}
        if state == "queued":
            values |= {"progress": 0.0, "attempts": 0, "queued": self._now()}
        await self._go(id, state, values, fence)

    async def publish(
        self,
        id: str,
        *,
        generation: int,
        duration: float,
        width: int,
        height: int,
        size_bytes: int,
        renditions: Iterable[str],
        downloads: Iterable[Mapping[str, Any]] = (),
        fence: int | None = None,
    ) -> None:
        """Make a generation current and forget the upload. Problem conflict unless it is being ingested.

        With `fence`, conflict too when that claim on it (`claims`) is not the last one.
        """
        values = {
            "state": "published",
            "error": "",
            "progress": 1.0,
            "rate": 0.0,
            "eta_s": None,
            "generation": generation,
            "duration": duration,
            "width": width,
            "height": height,
            "bytes": size_bytes,
            "renditions": [rendition_id(name) for name in renditions],
            "downloads": [dict(each) for each in downloads],
            "upload_path": "",
        }
        await self._go(id, "published", values, fence)

    async def delete(self, id: str) -> None:
        """Forget the asset with its digests and poster. Problem not_found when there is none."""
        async with self._database.write() as connection:
            result = await connection.execute(delete(assets).where(assets.c.id == id))
        if result.rowcount != 1:
            raise _unknown(id)

    async def record_object(
        self, asset: str, generation: int, rendition: str, name: str, sha256: bytes
    ) -> None:
        """K1: this object is these stored bytes, for ever. Problem conflict when recorded as others."""
        if len(sha256) != SHA256_BYTES:
            raise ValueError("a SHA-256 has 32 bytes")
        key = {
            "asset": asset_id(asset),
            "generation": generation,
            "rendition": rendition_id(rendition),
            "name": object_name(name),
        }
        known = select(objects.c.sha256).where(*(objects.c[column] == key[column] for column in key))
        try:
            async with self._database.write() as connection:
                if await self._database.insert_once(connection, objects, key | {"sha256": sha256}):
                    return
                same = await connection.scalar(known) == sha256
        except IntegrityError:  # the asset was deleted meanwhile
            raise _unknown(asset) from None
        if not same:
            where = f"{asset}/{generation}/{rendition}/{name}"
            raise Problem("conflict", "This was published differently before.", detail=f"digest of {where}")

    async def set_poster(self, id: str, jpeg: bytes) -> None:
        """Keep a small picture of the asset, in place of one there was. Problem not_found."""
        async with self._database.write() as connection:
            if not await connection.scalar(select(exists().where(assets.c.id == id))):
                raise _unknown(id)
            await connection.execute(delete(posters).where(posters.c.asset == id))
            await connection.execute(posters.insert().values(asset=id, jpeg=jpeg))

    async def poster(self, id: str) -> bytes | None:
        """The JPEG, or None when there is none."""
        async with self._database.read() as connection:
            return await connection.scalar(select(posters.c.jpeg).where(posters.c.asset == id))

    async def _assets(self, query: Select[Any]) -> Sequence[Asset]:
        async with self._database.read() as connection:
            return [_asset(row) for row in await connection.execute(query)]

    async def _change(
        self, id: str, sources: Iterable[str], values: Mapping[str, Any], fence: int | None = None
    ) -> bool:
        statement = update(assets).where(assets.c.id == id, assets.c.state.in_(list(sources)))
        if fence is not None:
            statement = statement.where(assets.c.fence == fence)
        async with self._database.write() as connection:
            result = await connection.execute(statement.values(**values, updated=self._now()))
        return bool(result.rowcount)

    async def _go(self, id: str, state: str, values: Mapping[str, Any], fence: int | None = None) -> None:
        sources = [source for source, following in TRANSITIONS.items() if state in following]
        if not await self._change(id, sources, values, fence):
            now = (await self.get(id)).state
            if now in sources:
                raise Problem("conflict", "Another worker has this now.", detail=f"asset {id}")
            raise Problem("conflict", f"This is {now}; it cannot become {state}.", detail=f"asset {id}")


def _new_row(**known: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("progress", "rate", "duration"), 0.0)
    empty |= dict.fromkeys(("generation", "width", "height", "bytes"), 0)
    return empty | {"eta_s": None, "error": "", "renditions": [], "downloads": []} | known


def _asset(row: Row[Any]) -> Asset:
    values = {field.name: getattr(row, field.name) for field in fields(Asset)}
    path = values["upload_path"]
    lists = {name: tuple(values[name]) for name in ("renditions", "downloads")}
    return Asset(**values | lists | {"upload_path": Path(path) if path else None})


def _unknown(id: str) -> Problem:
    return Problem("not_found", "There is no such asset.", detail=f"asset {id[:80]!r}")
