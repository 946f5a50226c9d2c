"""Ingest as work to do: each queued asset from its uploaded file to published, or to one clear sentence.

    submit → queued → ingesting → published       whose worker died is taken up anew
               ↑ └────────┴──→ cancelled, failed     retry goes back to queued

The queue is the catalogue's (`origin.store.claims`): several processes, of several machines, work on it, and
each can submit, cancel and retry. The uploaded file is kept until its asset is published or deleted: what was
acknowledged is not lost because a converter failed. A file that breaks things breaks alone: its job fails,
the worker takes the next one. How a file is converted is `convert`'s.
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
from origin.captions import Shelf
from origin.drm import CPIX
from origin.ingest.convert import Converted, Converter, Keys, Provider, Settings
from origin.ingest.jail import jail_level
from origin.ingest.presence import Presence
from origin.ingest.probe import Probe
from origin.ingest.progress import Reporter, UnwantedError
from origin.ingest.worker import Worker
from origin.store.blobs import BlobStore
from origin.store.catalogue import Asset, Catalogue
from origin.store.claims import Claim, Rhythm

UNEXPECTED: Final = "Something went wrong inside Sluice while this was converted; its log says more."
CUT: Final = "The upload was cut off. Upload the file again."
KEYLESS: Final = "The CPIX document of this film did not come. Add the film again."
GONE: Final = "The uploaded file is gone. Upload it again."
FULL: Final = "The server's disk is full. Make room, then try again."
HELD: Final = "A worker that does not answer has this. It is cancelled; try again in half a minute."
LET_GO_WITHIN_S: Final = 15.0  # sooner than whoever asks gives up
UNHELD_LOOK_S: Final = 0.1  # between looks whether a worker elsewhere has let go of an asset
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
        workers: Path | None = None,
        receives: bool = True,
        shared: bool = False,
        rhythm: Rhythm | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        """`workers` is where those of this machine say that they live (`origin.ingest.presence`).

        `provider` asks DRM providers (`origin.drm`). `receives`: uploads come in here, so at a start the
        unfinished ones were cut off. `shared`: every worker of every machine reaches them where they lie. On
        `shelf` lie captions given beside films.
        """
        self._shelf = shelf
        self._catalogue = catalogue
        self._blobs = blobs
        self._keys = keys
        self._node = identity.name
        self._receives = receives
        self._shared = shared
        self._rhythm = rhythm or Rhythm()
        self._converter = Converter(
            settings,
            blobs=blobs,
            records=catalogue,
            keys=keys,
            signer=identity.private,
            provider=provider,
            shelf=shelf,
            last=self._last,
        )
        self._worker = Worker(
            catalogue.claims,
            Presence(workers, identity.name),
            identity.name,
            self._job,
            concurrency=concurrency,
            rhythm=rhythm,
        )
        self._handing_over = WeakValueDictionary[str, asyncio.Lock]()  # by asset: documents, and its end

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works on the queue while entered; first says of what can never be finished why."""
        _LOG.info("media tools run in jail: %s", await jail_level())
        if self._receives:
            await self._tell_what_was_cut()
        async with self._worker.running():
            yield

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
            node="" if self._shared else self._node,
        )
        self._worker.wake()

    async def provide(self, id: str, document: bytes) -> None:
        """Hands the CPIX document of an asset that waits for it to keys, and queues the asset.

        Problem not_found, conflict when it waits for none, or bad_request for one that cannot be used.
        """
        async with self._alone(id):
            asset = await self._catalogue.get(id)
            waits = asset.drm == CPIX and asset.state in ("uploading", "failed", "cancelled")
            if not waits or self._worker.claim_of(id):
                raise Problem("conflict", "This asset waits for no CPIX document.")
            if not _has_file(asset):
                raise Problem("conflict", GONE)
            await self._converter.provide(id, document)
            await self._catalogue.set_state(id, "queued")
            self._worker.wake()

    def _alone(self, id: str) -> asyncio.Lock:
        return self._handing_over.setdefault(id, asyncio.Lock())

    async def taken(self, asset: str) -> bool:
        """Whether there is an asset of this ID."""
        return await self._catalogue.known(asset)

    async def owner(self, path: Path) -> str | None:
        """The asset whose upload this file is; None when it is nobody's."""
        return await self._catalogue.owner(path)

    async def cancel(self, id: str) -> None:
        """Stops an asset that waits or is ingested. Problem not_found, or conflict when it is too late.

        Of one that is ingested elsewhere, the worker hears at its next heartbeat.
        """
        if id in self._worker.publishing:
            raise Problem("conflict", "This is being published now; it is too late to cancel it.")
        async with self._alone(id):
            await self._catalogue.set_state(id, "cancelled")
            await self._worker.stop(id)

    async def retry(self, id: str) -> None:
        """Queues a failed or cancelled asset again. Problem not_found, or conflict when its file is gone."""
        asset = await self._catalogue.get(id)
        if asset.state in ("failed", "cancelled") and not _has_file(asset):
            raise Problem("conflict", GONE)
        await self._catalogue.set_state(id, "queued")
        self._worker.wake()

    async def delete(self, id: str) -> None:
        """Removes an asset: keys, blobs, row and file. Problem not_found. Cut off, it can be asked again.

        Problem conflict when another machine's worker has it, and died: until its lease ends.
        """
        async with self._alone(id):
            asset = await self._catalogue.get(id)
            with contextlib.suppress(Problem):  # nobody begins it, or goes on
                await self._catalogue.set_state(id, "cancelled")
            await self._worker.stop(id)
            await self._let_go(id)
            await self._keys.delete_asset(id)
            await self._blobs.delete_asset(id)
            await self._catalogue.delete(id)
            if self._shelf is not None:
                self._shelf.drop(id)
            _remove(asset.upload_path)

    async def _let_go(self, id: str) -> None:
        """Returns once no worker of another process has it. Problem conflict when that takes too long."""
        try:
            async with asyncio.timeout(LET_GO_WITHIN_S):
                while await self._catalogue.claims.held(id):  # noqa: ASYNC110 - in another process
                    await asyncio.sleep(UNHELD_LOOK_S)
        except TimeoutError:
            raise Problem("conflict", HELD) from None

    async def _tell_what_was_cut(self) -> None:
        """Says of uploads that came in here and were not handed over why they cannot be finished."""
        for asset in await self._catalogue.unfinished():
            if asset.state == "uploading" and asset.node in ("", self._node):
                waits = asset.drm == CPIX and _has_file(asset)
                await self._catalogue.set_state(asset.id, "failed", error=KEYLESS if waits else CUT)

    async def _last(self, id: str) -> bool:
        """Whether no other worker has the asset by now."""
        claim = self._worker.claim_of(id)
        return claim is None or await self._catalogue.claims.last(claim)

    async def _job(self, claim: Claim) -> None:
        """One asset to its end. Raises nothing but cancellation, and what the catalogue itself raises."""
        id = claim.asset
        try:
            asset = await self._catalogue.get(id)
        except Problem as problem:  # deleted in this moment
            _LOG.info("%s is not ingested: %s", id, problem)
            return
        try:
            await self._ingest(asset, claim)
        except Problem as problem:
            _LOG.warning("%s failed (%s): %s %s", id, problem.id, problem.message, problem.detail)
            await self._fail(claim, problem)
        except OSError as exc:
            _LOG.exception("%s failed", id)
            full = exc.errno in _NO_ROOM
            await self._fail(claim, Problem("disk_full", FULL) if full else Problem("internal", UNEXPECTED))
        except UnwantedError:
            _LOG.info("%s was taken away while it was ingested", id)
        except Exception:
            _LOG.exception("%s failed", id)
            await self._fail(claim, Problem("internal", UNEXPECTED))

    async def _ingest(self, asset: Asset, claim: Claim) -> None:
        source = asset.upload_path
        if source is None or not source.exists():
            raise Problem("not_found", GONE)
        await self._converter.sweep(asset.id)
        found = await self._converter.probe(source)
        await self._keep_poster(asset, source, found)
        reporter = Reporter(
            lambda p: self._catalogue.update_progress(asset.id, p.done, p.rate, p.eta_s, fence=claim.fence)
        )
        async with reporter.reporting():
            made = await self._converter.convert(
                asset.id, asset.title, source, found, reporter.note, asset.download, asset.drm
            )
        await self._publish(asset, claim, made)
        _remove(source)
        if self._shelf is not None:
            self._shelf.drop(asset.id)

    async def _keep_poster(self, asset: Asset, source: Path, found: Probe) -> None:
        jpeg = await self._converter.poster(source, found)
        if jpeg is not None:
            await self._catalogue.set_poster(asset.id, jpeg)

    async def _publish(self, asset: Asset, claim: Claim, made: Converted) -> None:
        """Tells keys, then the catalogue. Too late to cancel now; a failure takes the keys back.

        UnwantedError when the claim was lost. One that is lost after it was asked is still stopped: the
        catalogue takes nothing from it, and keys no generation that is behind another.
        """
        d = made.descriptor
        best = d.renditions[0]  # of the largest picture, or the first sound
        self._worker.publishing.add(asset.id)
        try:
            if not await self._worker.still(claim):
                raise UnwantedError
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
                fence=claim.fence,
            )
        except BaseException:
            await asyncio.shield(self._take_back(asset, d.generation))
            raise
        finally:
            self._worker.publishing.discard(asset.id)
        _LOG.info("%s published, generation %d, %d bytes", asset.id, d.generation, made.stored_bytes)

    async def _take_back(self, asset: Asset, generation: int) -> None:
        """Removes it, unless it is published after all: a commit may be through whose waiting was cut off."""
        with contextlib.suppress(Problem):
            now = await self._catalogue.get(asset.id)
            if now.state == "published" and now.generation == generation:
                return
        await self._converter.discard(asset.id, generation, asset.drm)

    async def _fail(self, claim: Claim, problem: Problem) -> None:
        """Notes the sentence."""
        with contextlib.suppress(Problem):  # it was cancelled, deleted or lost meanwhile
            await self._catalogue.set_state(claim.asset, "failed", error=problem.message, fence=claim.fence)


def _has_file(asset: Asset) -> bool:
    return asset.upload_path is not None and asset.upload_path.exists()


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
