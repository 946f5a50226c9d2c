"""`PUT /v1/assets/{id}/captions/{language}`: captions beside a film, until it is published."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keys.names import asset_id
from keys.problems import Problem
from origin.access import AdminAccess
from origin.captions import Shelf, told
from origin.media.captions_reading import MAX_BYTES
from origin.store.catalogue import Catalogue

LATE = "This film is published: its captions are part of what was signed. Add the film anew with them."


class CaptionsApi:
    """The endpoint; `routes` is what an application mounts."""

    def __init__(self, access: AdminAccess, catalogue: Catalogue, shelf: Shelf) -> None:
        self._access = access
        self._catalogue = catalogue
        self._shelf = shelf

    def routes(self) -> list[Route]:
        """The API's row."""
        return [Route("/v1/assets/{id}/captions/{language}", self.put, methods=["PUT"])]

    async def put(self, request: Request) -> Response:
        """Takes SubRip, WebVTT or TTML. `?name=&forced=1&default=1`. 201 with the number of cues.

        Problem not_found, conflict once it is published, bad_request or too_large.
        """
        self._access.check(request)
        query = request.query_params
        what = told(
            request.path_params["language"],
            name=query.get("name", ""),
            forced=query.get("forced") == "1",
            default=query.get("default") == "1",
        )
        id, data = asset_id(request.path_params["id"]), bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > MAX_BYTES:
                raise Problem("too_large", f"A file of captions has at most {MAX_BYTES >> 20} MiB.")
        if (await self._catalogue.get(id)).state == "published":
            raise Problem("conflict", LATE)
        cues = await asyncio.to_thread(self._shelf.put, id, what, bytes(data))
        return JSONResponse({"language": what.language, "name": what.name, "cues": cues}, 201)
