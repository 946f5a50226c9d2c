"""The endpoints of tus: `/v1/tus` creates, `/v1/tus/{id}` is an upload. For operators, as the plain upload.

They translate; `protocol` reads, `uploads` decides. Every answer, a refusal too, says Tus-Resumable. The
method that counts is the one meant: it is what access is checked for.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from keys.problems import Problem
from origin.access import AdminAccess
from origin.refusals import answer, note
from origin.tus import protocol
from origin.tus.folder import Record
from origin.tus.protocol import PATH, VERSION, Chunk
from origin.tus.receiving import Live
from origin.tus.uploads import Resumables
from origin.uploads import announced

ASSET: Final = "sluice-asset"  # ours: what the upload became

Endpoint = Callable[[Request], Awaitable[Response]]


class Tus:
    """The endpoints; `routes` is what an application mounts."""

    def __init__(self, access: AdminAccess, uploads: Resumables, count: Callable[[str], None]) -> None:
        self._access = access
        self._uploads = uploads
        self._count = count

    def routes(self) -> list[Route]:
        """The two rows, for every method."""
        return [
            Route(
                PATH, self._meant({"OPTIONS": self.options, "POST": self.create}), methods=protocol.METHODS
            ),
            Route(
                PATH + "/{id}",
                self._meant(
                    {
                        "OPTIONS": self.options,
                        "HEAD": self.head,
                        "PATCH": self.patch,
                        "DELETE": self.delete,
                    }
                ),
                methods=protocol.METHODS,
            ),
        ]

    async def options(self, request: Request) -> Response:
        """`OPTIONS`: what this server can do."""
        return Response(status_code=204, headers=protocol.abilities(self._uploads.max_bytes))

    async def create(self, request: Request) -> Response:
        """`POST /v1/tus`: 201 with Location; with a body of the right type, Upload-Offset too."""
        wanted, first = protocol.creation(request.headers), protocol.first_chunk(request.headers)
        if first is not None and wanted.kind == protocol.JOINED:
            raise Problem("forbidden", "A final upload is made of its parts and nothing else.")
        if first is not None:
            self._fits(wanted.length, announced(request))
        try:
            live = await self._uploads.create(wanted)
        except Problem:
            self._count("uploads_refused")
            raise
        if first is not None:
            await self._first(live, first, request)
        else:
            await self._uploads.finish(live)  # a final upload is complete from the start
        headers = {"location": protocol.location(live.record.id)} | self._progress(live.record)
        return Response(status_code=201, headers=headers)

    async def _first(self, live: Live, first: Chunk, request: Request) -> None:
        try:
            await self._uploads.append(live, first, request.stream(), announced(request))
        except (Problem, ClientDisconnect):
            if live.record.ended is None:  # its sender will not be told where it is
                await self._uploads.remove(live)
            raise

    async def head(self, request: Request) -> Response:
        """`HEAD /v1/tus/{id}`: how far it is. Whoever is sending bytes is interrupted: he may be gone."""
        record = await self._uploads.settled(self._uploads.find(request.path_params["id"]))
        headers = self._progress(record)
        if record.length is None:
            headers["upload-defer-length"] = "1"
        else:
            headers["upload-length"] = str(record.length)
        if record.metadata:
            headers["upload-metadata"] = record.metadata
        if joined := protocol.concat(record.kind, record.parts):
            headers["upload-concat"] = joined
        return Response(status_code=200, headers=headers)

    async def patch(self, request: Request) -> Response:
        """`PATCH /v1/tus/{id}`: 204 once the bytes are on disk; the last ones, once they are a film's."""
        live = self._uploads.find(request.path_params["id"])
        chunk = protocol.chunk(request.headers)
        await self._uploads.append(live, chunk, request.stream(), announced(request))
        return Response(status_code=204, headers=self._progress(live.record))

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/tus/{id}`: 204, and it is gone. An asset it became stays."""
        await self._uploads.remove(self._uploads.find(request.path_params["id"]))
        return Response(status_code=204)

    def _fits(self, length: int | None, body: int | None) -> None:
        if length is not None and body is not None and body > length:
            raise Problem("too_large", "These are more bytes than the upload is to have.")

    def _progress(self, record: Record) -> dict[str, str]:
        headers = {"upload-offset": str(record.offset)}
        headers["upload-expires"] = protocol.date(self._uploads.expires(record))
        if record.asset:
            headers[ASSET] = record.asset
        return headers

    def _meant(self, methods: dict[str, Endpoint]) -> Endpoint:
        """One endpoint that goes by the method meant."""

        async def called(request: Request) -> Response:
            meant = protocol.method(request.method, request.headers)
            request = Request({**request.scope, "method": meant}, request.receive)
            try:
                self._access.check(request, "uploads")
                response = await self._allowed(methods, meant, request)
            except Problem as problem:
                note(request, problem)
                response = answer(problem)
                if problem.code == "precondition_failed":
                    response.headers["tus-version"] = VERSION
                if problem.code == "method_not_allowed":
                    response.headers["allow"] = ", ".join(methods)
            response.headers["tus-resumable"] = VERSION
            response.headers["cache-control"] = "no-store"
            return response

        return called

    async def _allowed(self, methods: dict[str, Endpoint], meant: str, request: Request) -> Response:
        if meant not in methods:
            raise Problem("method_not_allowed")
        if meant != "OPTIONS":
            protocol.check_version(request.headers)
        return await methods[meant](request)
