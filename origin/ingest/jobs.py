"""Ingest as work to do: each queued asset from its uploaded file to published, or to one clear sentence.

    submit → queued → ingesting → published       a restart begins unfinished ones anew
               ↑ └────────┴──→ cancelled, failed     retry goes back to queued

The uploaded file is kept until its asset is published or deleted: what was acknowledged is not lost because
a converter failed. A file that breaks things breaks alone: its job fails, the worker takes the next one. How
a file is converted is `convert`'s.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.tasks import end_tasks
from origin.captions import Shelf
from origin.drm import CPIX
from origin.ingest.convert import Converted, Converter, Keys, Provider, Settings
from origin.ingest.jail import jail_level
from origin.ingest.probe import Probe
from origin.ingest.progress import Reporter, UnwantedError
from origin.store.blobs import BlobStore
from origin.store.catalogue import Asset, Catalogue

UNEXPECTED: Final = "Something went wrong inside Sluice while this was converted; its log says more."
CUT: Final = "The upload was cut off. Upload the file again."
KEYLESS: Final = "The CPIX document of this film did not come. Add the film again."
GONE: Final = "The uploaded file is gone. Upload it again."
FULL: Final = "The server's disk is full. Make room, then try again."
CLEARS_UP_WITHIN_S: Final = 10.0  # a cancelled job, or its cancellation was lost and is said again
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_LOG: Final = logging.getLogger(__name__)


class Jobs:
    """The queue and its workers. Everything but the converting itself also works outside `running()`."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        blobs: BlobStore,
        keys: Keys,
        identity: NodeIdentity,
        settings: Settings,
        concurrency: int = 1,
        provider: Provider | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        """`provider` asks DRM providers (`origin.drm`); on `shelf` lie captions given beside films."""
        self._shelf = shelf
        self._catalogue = catalogue
        self._blobs = blobs
        self._keys = keys
        self._concurrency = concurrency
        self._converter = Converter(
            settings,
            blobs=blobs,
            records=catalogue,
            keys=keys,
            signer=identity.private,
            provider=provider,
            shelf=shelf,
        )
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()  # what is in the queue
        self._active: dict[str, asyncio.Task[None]] = {}
        self._publishing: set[str] = set()
        self._handing_over = WeakValueDictionary[str, asyncio.Lock]()  # by asset: documents, and its end

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works while entered: first what an earlier run left, then what is submitted."""
        _LOG.info("media tools run in jail: %s", await jail_level())
        await self._resume()
        workers = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]
        try:
            yield
        finally:
            await end_tasks(workers, 3 * CLEARS_UP_WITHIN_S)

    async def inspect(self, path: Path) -> None:
        """Returns for a file that can be ingested. Problem not_media with the sentence for its sender."""
        await self._converter.probe(path)

    async def submit(self, asset: str, title: str, path: Path, download: str = "", drm: str = "") -> None:
        """Queues a whole file as a new asset and owns it from now on. Problem conflict if the ID is taken.

        `download` is what viewers may take away whole (`origin.downloads.choice`), `drm` where content keys
        come from (`origin.drm.source`); it waits for a document that is to come (`provide`).
        """
        waits = drm == CPIX
        size = path.stat().st_size
        await self._catalogue.create(
            id=asset,
            title=title,
            source_name=title,
            upload_path=path,
            upload_bytes=size,
            state="uploading" if waits else "queued",
            download=download,
            drm=drm,
        )
        if not waits:
            self._enqueue(asset)

    async def provide(self, id: str, document: bytes) -> None:
        """Hands the CPIX document of an asset that waits for it to keys, and queues the asset.

        Problem not_found, conflict when it waits for none, or bad_request for one that cannot be used.
        """
        async with self._alone(id):
            asset = await self._catalogue.get(id)
            waits = asset.drm == CPIX and asset.state in ("uploading", "failed", "cancelled")
            if not waits or id in self._active:
                raise Problem("conflict", "This asset waits for no CPIX document.")
            if not _has_file(asset):
                raise Problem("conflict", GONE)
            await self._converter.provide(id, document)
            await self._catalogue.set_state(id, "queued")
            self._enqueue(id)

    def _alone(self, id: str) -> asyncio.Lock:
        return self._handing_over.setdefault(id, asyncio.Lock())

    async def taken(self, asset: str) -> bool:
        """Whether there is an asset of this ID."""
        return await self._catalogue.known(asset)

    async def owner(self, path: Path) -> str | None:
        """The asset whose upload this file is; None when it is nobody's."""
        return await self._catalogue.owner(path)

    async def cancel(self, id: str) -> None:
        """Stops an asset that waits or is ingested. Problem not_found, or conflict when it is too late."""
        if id in self._publishing:
            raise Problem("conflict", "This is being published now; it is too late to cancel it.")
        async with self._alone(id):
            await self._catalogue.set_state(id, "cancelled")
            await self._stop(id)

    async def retry(self, id: str) -> None:
        """Queues a failed or cancelled asset again. Problem not_found, or conflict when its file is gone."""
        asset = await self._catalogue.get(id)
        if asset.state in ("failed", "cancelled") and not _has_file(asset):
            raise Problem("conflict", GONE)
        await self._catalogue.set_state(id, "queued")
        self._enqueue(id)

    async def delete(self, id: str) -> None:
        """Removes an asset: keys, blobs, row and file. Problem not_found. Cut off, it can be asked again."""
        async with self._alone(id):
            asset = await self._catalogue.get(id)
            await self._stop(id)
            await self._keys.delete_asset(id)
            await self._blobs.delete_asset(id)
            await self._catalogue.delete(id)
            if self._shelf is not None:
                self._shelf.drop(id)
            _remove(asset.upload_path)

    async def _resume(self) -> None:
        """Queues what is unfinished; says of the rest why it cannot be finished."""
        for asset in await self._catalogue.unfinished():
            if asset.state == "uploading" or not _has_file(asset):
                waits = asset.drm == CPIX and _has_file(asset)
                reason = KEYLESS if waits else CUT if asset.state == "uploading" else GONE
                await self._catalogue.set_state(asset.id, "failed", error=reason)
                continue
            if asset.state == "ingesting":
                await self._catalogue.set_state(asset.id, "queued")
            self._enqueue(asset.id)

    def _enqueue(self, id: str) -> None:
        """Once only: an asset cancelled and tried again while it waits still has its place in the queue."""
        if id not in self._waiting:
            self._waiting.add(id)
            self._queue.put_nowait(id)

    async def _work(self) -> None:
        """One worker: a job at a time, each a task of its own that can be stopped alone."""
        while True:
            id = await self._queue.get()
            self._waiting.discard(id)
            job = asyncio.create_task(self._job(id))
            self._active[id] = job
            try:
                await asyncio.wait([job])
            finally:
                await end_tasks([job], CLEARS_UP_WITHIN_S)  # nothing to end unless the worker was stopped
                if failure := _failure(job):  # the catalogue itself failed; the next start takes it up
                    _LOG.error("%s was left in the middle", id, exc_info=failure)
                if self._active.get(id) is job:
                    del self._active[id]

    async def _stop(self, id: str) -> None:
        """Ends the asset's job, if it has one, and waits until what it made is gone.

        One that is publishing comes to its end by itself: cut off there, it would leave the uploaded file.
        """
        if job := self._active.get(id):
            if id in self._publishing:
                await asyncio.wait([job])
            else:
                await end_tasks([job], CLEARS_UP_WITHIN_S)

    async def _job(self, id: str) -> None:
        """One asset from queued to its end. Raises nothing but cancellation."""
        try:
            asset = await self._catalogue.get(id)
            await self._catalogue.set_state(id, "ingesting")
        except Problem as problem:  # cancelled or deleted while it waited
            _LOG.info("%s is not ingested: %s", id, problem)
            return
        try:
            await self._ingest(asset)
        except Problem as problem:
            _LOG.warning("%s failed (%s): %s %s", id, problem.id, problem.message, problem.detail)
            await self._fail(asset, problem)
        except OSError as exc:
            _LOG.exception("%s failed", id)
            full = exc.errno in _NO_ROOM
            await self._fail(asset, Problem("disk_full", FULL) if full else Problem("internal", UNEXPECTED))
        except UnwantedError:
            _LOG.info("%s was taken away while it was ingested", id)
        except Exception:
            _LOG.exception("%s failed", id)
            await self._fail(asset, Problem("internal", UNEXPECTED))

    async def _ingest(self, asset: Asset) -> None:
        source = asset.upload_path
        if source is None or not source.exists():
            raise Problem("not_found", GONE)
        await self._converter.sweep(asset.id)
        found = await self._converter.probe(source)
        await self._keep_poster(asset, source, found)
        reporter = Reporter(lambda p: self._catalogue.update_progress(asset.id, p.done, p.rate, p.eta_s))
        async with reporter.reporting():
            made = await self._converter.convert(
                asset.id, asset.title, source, found, reporter.note, asset.download, asset.drm
            )
        await self._publish(asset, made)
        _remove(source)
        if self._shelf is not None:
            self._shelf.drop(asset.id)

    async def _keep_poster(self, asset: Asset, source: Path, found: Probe) -> None:
        jpeg = await self._converter.poster(source, found)
        if jpeg is not None:
            await self._catalogue.set_poster(asset.id, jpeg)

    async def _publish(self, asset: Asset, made: Converted) -> None:
        """Tells keys, then the catalogue. Too late to cancel now; a failure takes the keys back."""
        d = made.descriptor
        best = d.renditions[0]  # of the largest picture, or the first sound
        self._publishing.add(asset.id)
        try:
            await self._converter.publish(asset.id, d.generation)
            await self._catalogue.publish(
                asset.id,
                generation=d.generation,
                duration=d.duration,
                width=best.width,
                height=best.height,
                size_bytes=made.stored_bytes,
                renditions=[r.id for r in d.renditions],
                downloads=[
                    {"name": f.name, "size": f.size, "type": f.media_type, "protection": f.protection}
                    for f in d.downloads
                ],
            )
        except BaseException:
            await asyncio.shield(self._take_back(asset, d.generation))
            raise
        finally:
            self._publishing.discard(asset.id)
        _LOG.info("%s published, generation %d, %d bytes", asset.id, d.generation, made.stored_bytes)

    async def _take_back(self, asset: Asset, generation: int) -> None:
        """Removes it, unless it is published after all: a commit may be through whose waiting was cut off."""
        with contextlib.suppress(Problem):
            now = await self._catalogue.get(asset.id)
            if now.state == "published" and now.generation == generation:
                return
        await self._converter.discard(asset.id, generation, asset.drm)

    async def _fail(self, asset: Asset, problem: Problem) -> None:
        """Notes the sentence."""
        with contextlib.suppress(Problem):  # it was cancelled or deleted meanwhile
            await self._catalogue.set_state(asset.id, "failed", error=problem.message)


def _failure(job: "asyncio.Task[None]") -> BaseException | None:
    return None if job.cancelled() else job.exception()


def _has_file(asset: Asset) -> bool:
    return asset.upload_path is not None and asset.upload_path.exists()


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
