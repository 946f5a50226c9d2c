"""Assets and their jobs in the API: list, read, upload, rename, delete, cancel, retry."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final

from keys.names import asset_id
from keys.problems import Problem
from origin.api import AssetJobs
from origin.control.asset_models import (
    JOB_STATES,
    AssetChange,
    AssetList,
    AssetQuery,
    AssetView,
    JobList,
    JobQuery,
    UploadQuery,
    asset_view,
    job_view,
)
from origin.control.operation import BASE, Call, Operation, Reply, invalid
from origin.control.paging import Paged, cut, read
from origin.filenames import clean_line
from origin.metrics import Metrics
from origin.store.asset_pages import AssetPages, Wanted
from origin.store.catalogue import Asset, Catalogue
from origin.uploads import Uploads

_ETAG = re.compile(r'(?:W/)?"[!#-~]*"')
_UNTITLED: Final = "\0"  # what no title is
_TRIES: Final = 5  # a title is written beside what ingest writes


class AssetOperations:
    """The rows."""

    def __init__(
        self,
        catalogue: Catalogue,
        jobs: AssetJobs,
        uploads: Uploads,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._pages = AssetPages(catalogue.database)
        self._jobs = jobs
        self._uploads = uploads
        self._metrics = metrics
        self._now = now

    def rows(self) -> list[Operation]:
        """In the order of the document."""
        one, tag = "/assets/{id}", "assets"
        match = {"If-Match": "The ETag it must still have, else 412."}
        return [
            Operation(
                "GET", "/assets", "listAssets", tag, "assets:read", "List assets",
                self.list, query=AssetQuery, answer=AssetList,
            ),
            Operation(
                "POST", "/assets", "uploadAsset", tag, "uploads", "Upload a file",
                self.upload, query=UploadQuery, raw=True, answer=AssetView, status=201,
                problems=(408, 409, 413, 415, 507),
                description="The body is the file. For files that may be cut off on their way, use tus "
                "at `/v1/tus`, with the same token: its `Upload-Metadata` takes the same names.",
            ),
            Operation(
                "GET", one, "getAsset", tag, "assets:read", "Read an asset",
                self.get, answer=AssetView, problems=(404,),
                headers={"If-None-Match": "An ETag: 304 while the asset still has it."},
            ),
            Operation(
                "PATCH", one, "changeAsset", tag, "assets:write", "Change its title",
                self.change, body=AssetChange, answer=AssetView, problems=(404, 409, 412),
                headers=match, example={"title": "The Long Way Home"},
            ),
            Operation(
                "DELETE", one, "deleteAsset", tag, "assets:write",
                "Delete it: media, keys, running sessions",
                self.delete, status=204, problems=(404, 409, 412, 503), headers=match,
            ),
            Operation(
                "POST", one + "/cancel", "cancelAsset", tag, "assets:write", "Stop its ingest",
                self.cancel, answer=AssetView, problems=(404, 409),
            ),
            Operation(
                "POST", one + "/retry", "retryAsset", tag, "assets:write",
                "Queue a failed or cancelled one again",
                self.retry, answer=AssetView, problems=(404, 409),
            ),
            Operation(
                "GET", "/jobs", "listJobs", "jobs", "assets:read",
                "List what is on its way to publication, or failed on it",
                self.jobs, query=JobQuery, answer=JobList,
            ),
        ]  # fmt: skip

    async def list(self, call: Call) -> Reply:
        """`GET /assets`."""
        asked = call.queried(AssetQuery)
        wanted = Wanted((asked.state,) if asked.state else (), asked.q)
        found, following = await self._page(wanted, asked)
        return Reply(AssetList(items=[asset_view(asset) for asset in found], next=following))

    async def jobs(self, call: Call) -> Reply:
        """`GET /jobs`."""
        asked = call.queried(JobQuery)
        wanted = Wanted((asked.state,) if asked.state else JOB_STATES)
        found, following = await self._page(wanted, asked)
        shown = [job_view(asset) for asset in found if asset.state in JOB_STATES]
        return Reply(JobList(items=shown, next=following))

    async def get(self, call: Call) -> Reply:
        """`GET /assets/{id}`."""
        asset = await self._asset(call)
        etag = etag_of(asset)
        if _names(call.request.headers.get("if-none-match"), etag, weak=True):
            return Reply(status=304, headers={"etag": etag})
        return _shown(asset)

    async def upload(self, call: Call) -> Reply:
        """`POST /assets`."""
        asked = call.queried(UploadQuery)
        try:
            id = await self._uploads.raw(
                call.request,
                name=asked.name,
                title=asked.title,
                asset=asked.id or None,
                download=asked.download,
                drm=asked.drm,
            )
        except BaseException:
            self._metrics.count("uploads_refused")
            raise
        self._metrics.count("uploads")
        asset = await self._catalogue.get(id)
        return Reply(asset_view(asset), {"location": f"{BASE}/assets/{id}", "etag": etag_of(asset)})

    async def change(self, call: Call) -> Reply:
        """`PATCH /assets/{id}`."""
        title = clean_line(call.sent(AssetChange).title, _UNTITLED)
        if title == _UNTITLED:
            raise invalid("title: it has no character that shows")
        for _ in range(_TRIES):
            asset = await self._matched(call)
            now = max(self._now(), asset.updated + 1e-6)  # never the version it had
            if await self._pages.set_title(asset.id, title, updated=asset.updated, now=now):
                return _shown(await self._catalogue.get(asset.id))
        raise Problem("conflict", "The asset changes all the time. Try again.")

    async def delete(self, call: Call) -> Reply:
        """`DELETE /assets/{id}`."""
        asset = await self._matched(call)
        await self._jobs.delete(asset.id)
        return Reply()

    async def cancel(self, call: Call) -> Reply:
        """`POST /assets/{id}/cancel`."""
        asset = await self._asset(call)
        await self._jobs.cancel(asset.id)
        return _shown(await self._catalogue.get(asset.id))

    async def retry(self, call: Call) -> Reply:
        """`POST /assets/{id}/retry`."""
        asset = await self._asset(call)
        await self._jobs.retry(asset.id)
        return _shown(await self._catalogue.get(asset.id))

    async def _page(self, wanted: Wanted, asked: Paged) -> tuple[Sequence[Asset], str | None]:
        ids = await self._pages.ids(wanted, read(asked.cursor), asked.limit + 1)
        found = []
        for id in ids:
            try:
                found.append(await self._catalogue.get(id))
            except Problem:  # deleted meanwhile
                continue
        return cut(found, lambda asset: (asset.created, asset.id), asked.limit)

    async def _asset(self, call: Call) -> Asset:
        try:
            id = asset_id(call.path["id"])
        except Problem as exc:  # an asset of no such name can be
            raise Problem("not_found", "There is no such asset.") from exc
        return await self._catalogue.get(id)

    async def _matched(self, call: Call) -> Asset:
        """The asset, when it still is what the request's If-Match says."""
        asset = await self._asset(call)
        wanted = call.request.headers.get("if-match")
        if wanted is not None and not _names(wanted, etag_of(asset), weak=False):
            raise Problem("precondition_failed", "The asset is another by now. Read it again.")
        return asset


def etag_of(asset: Asset) -> str:
    """The strong ETag of what the API shows of it."""
    return f'"{hashlib.sha256(asset_view(asset).model_dump_json().encode()).hexdigest()[:32]}"'


def _shown(asset: Asset) -> Reply:
    return Reply(asset_view(asset), {"etag": etag_of(asset)})


def _names(header: str | None, etag: str, *, weak: bool) -> bool:
    """Whether If-Match or If-None-Match names this ETag (RFC 9110 §13.1.1, §13.1.2)."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(each == etag or (weak and each.removeprefix("W/") == etag) for each in _ETAG.findall(header))
