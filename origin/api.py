"""The origin's JSON API for operators: assets as they are, what may be done with them, and raw uploads.

Every row needs the admin token, or the cookie that signing in gave. Endpoints translate; `origin.uploads`,
the jobs and the catalogue decide.
"""

from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keys.drm import MOST_BYTES
from keys.names import asset_id
from keys.problems import Problem
from origin.access import AdminAccess
from origin.metrics import Metrics
from origin.store.catalogue import Catalogue
from origin.uploads import Uploads


class AssetJobs(Protocol):
    """What the API needs of ingest.

    Each raises Problem not_found or conflict where the asset does not allow it.
    """

    async def cancel(self, id: str) -> None:
        """Stops the ingest of an asset."""

    async def retry(self, id: str) -> None:
        """Queues a failed or cancelled asset again."""

    async def delete(self, id: str) -> None:
        """Removes an asset: its blobs, keys and row."""

    async def provide(self, id: str, document: bytes) -> None:
        """Hands over the CPIX document an asset waits for, and queues it. Also Problem bad_request."""


class Api:
    """The endpoints; `routes` is what an application mounts."""

    def __init__(
        self, access: AdminAccess, catalogue: Catalogue, jobs: AssetJobs, uploads: Uploads, metrics: Metrics
    ) -> None:
        self._access = access
        self._catalogue = catalogue
        self._jobs = jobs
        self._uploads = uploads
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """The API's rows."""
        return [
            Route("/v1/uploads", self.upload, methods=["POST"]),
            Route("/v1/uploads", self.room, methods=["GET"]),
            Route("/v1/jobs", self.queue, methods=["GET"]),
            Route("/v1/assets", self.assets, methods=["GET"]),
            Route("/v1/assets/{id}", self.asset, methods=["GET"]),
            Route("/v1/assets/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/assets/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/assets/{id}/retry", self.retry, methods=["POST"]),
            Route("/v1/assets/{id}/drm", self.provide, methods=["PUT"]),
            Route("/v1/assets/{id}/poster.jpg", self.poster, methods=["GET"]),
        ]

    async def upload(self, request: Request) -> Response:
        """`POST /v1/uploads?name=&id=&title=&download=&drm=`, raw body: 201 once on disk and a film."""
        self._access.check(request, "uploads")
        query = request.query_params
        try:
            asset = await self._uploads.raw(
                request,
                name=query.get("name", ""),
                title=query.get("title", ""),
                asset=query.get("id") or None,
                download=query.get("download", ""),
                drm=query.get("drm", ""),
            )
        except BaseException:
            self._metrics.count("uploads_refused")
            raise
        self._metrics.count("uploads")
        state = (await self._catalogue.get(asset)).state if query.get("drm") else "queued"
        return JSONResponse({"asset": asset, "state": state}, 201)

    async def room(self, request: Request) -> Response:
        """`GET /v1/uploads?bytes=N`: 204 when an upload of N bytes would be taken now; else why not."""
        self._access.check(request, "uploads")
        text = request.query_params.get("bytes", "")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Problem("bad_request", "Say how many bytes.")
        self._uploads.check(int(text))
        return Response(status_code=204)

    async def assets(self, request: Request) -> Response:
        """`GET /v1/assets`: every asset, the newest first."""
        self._access.check(request)
        return JSONResponse({"assets": [asset.public() for asset in await self._catalogue.list()]})

    async def queue(self, request: Request) -> Response:
        """`GET /v1/jobs`: every asset that is not published, as `claims.Job`, who waits longest first."""
        self._access.check(request)
        return JSONResponse({"jobs": [job.public() for job in await self._catalogue.claims.jobs()]})

    async def asset(self, request: Request) -> Response:
        """`GET /v1/assets/{id}`."""
        asset = await self._catalogue.get(self._asset_id(request))
        return JSONResponse(asset.public())

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/assets/{id}`."""
        await self._jobs.delete(self._asset_id(request))
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/assets/{id}/cancel`."""
        await self._jobs.cancel(self._asset_id(request))
        return Response(status_code=204)

    async def retry(self, request: Request) -> Response:
        """`POST /v1/assets/{id}/retry`."""
        await self._jobs.retry(self._asset_id(request))
        return Response(status_code=204)

    async def provide(self, request: Request) -> Response:
        """`PUT /v1/assets/{id}/drm` with a CPIX document: what an upload with `drm=cpix` waits for."""
        id, document = self._asset_id(request), bytearray()
        async for piece in request.stream():
            document += piece
            if len(document) > MOST_BYTES:
                raise Problem("too_large", f"A CPIX document has at most {MOST_BYTES} bytes.")
        await self._jobs.provide(id, bytes(document))
        return Response(status_code=204)

    async def poster(self, request: Request) -> Response:
        """`GET /v1/assets/{id}/poster.jpg`. Problem not_found when there is none."""
        jpeg = await self._catalogue.poster(self._asset_id(request))
        if jpeg is None:
            raise Problem("not_found", "This asset has no poster.")
        return Response(jpeg, headers={"cache-control": "private, max-age=3600"}, media_type="image/jpeg")

    def _asset_id(self, request: Request) -> str:
        self._access.check(request)
        return asset_id(request.path_params["id"])
