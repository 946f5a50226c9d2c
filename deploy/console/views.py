"""What the console's page asks: one JSON row each, translated to calls of origin and keys.

`GET /api/state` is what the page polls: assets and live sessions together. A service that is away costs its
part and adds a sentence; the other part still shows. `GET /api/edges` is polled apart: an edge may be slow.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.console.edges import Edges
from deploy.console.origin_client import OriginClient
from keys.client import KeysClient
from keys.limits import Limits
from keys.names import asset_id, file_name
from keys.problems import Problem
from keys.revocation import ENTRIES
from keys.secrets import BadSecret
from keys.signing import SigningKey, sign_url
from origin.access import AdminAccess, sign_out
from origin.access import check_own_page as own_page

LIVE_WITHIN_S: Final = 120.0  # sessions seen within this time are shown
MAX_BODY: Final = 16 * 1024  # bytes of a JSON request
MAX_VALUE: Final = 256  # characters of what is revoked

Endpoint = Callable[[Request], Awaitable[Response]]


class Views:
    """The endpoints; `routes` is what the application mounts."""

    def __init__(
        self,
        access: AdminAccess,
        keys: KeysClient,
        origin: OriginClient,
        issuer: Callable[[], SigningKey],
        edges: Sequence[str],
        readings: Edges,
        now: Callable[[], float],
    ) -> None:
        self._access = access
        self._keys = keys
        self._origin = origin
        self._issuer = issuer
        self._edges = list(edges)
        self._readings = readings
        self._now = now

    def routes(self) -> list[Route]:
        """The console's rows. All but signing in and out are for operators."""
        rows: list[tuple[str, str, Endpoint]] = [
            ("GET", "/api/state", self.state),
            ("GET", "/api/edges", self.edges),
            ("POST", "/api/links", self.link),
            ("POST", "/api/revocations", self.revoke),
            ("POST", "/api/purges", self.purge),
            ("POST", "/api/sessions/end", self.end_sessions),
            ("POST", "/api/assets/{id}/cancel", self.cancel),
            ("POST", "/api/assets/{id}/retry", self.retry),
            ("DELETE", "/api/assets/{id}", self.delete),
            ("GET", "/api/assets/{id}/poster.jpg", self.poster),
            ("GET", "/v1/uploads", self.room),
            ("POST", "/upload", self.upload),
        ]
        return [
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            *(Route(path, self._for_operators(view), methods=[method]) for method, path, view in rows),
        ]

    async def login(self, request: Request) -> Response:
        """`POST /login` `{token}`: the cookie."""
        response = Response(status_code=204)
        self._access.sign_in(request, _text(await _body(request), "token"), response)
        return response

    async def logout(self, request: Request) -> Response:
        """`POST /logout`."""
        own_page(request.headers)
        response = Response(status_code=204)
        sign_out(response)
        return response

    async def state(self, request: Request) -> Response:
        """`GET /api/state`: `{assets, sessions, edges, problems, now}`; a part that is away is null."""
        problems: list[str] = []

        async def part(asked: Awaitable[list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
            try:
                return await asked
            except Problem as problem:
                problems.append(problem.message)
                return None

        assets, sessions = await asyncio.gather(
            part(self._origin.assets()), part(self._keys.sessions(LIVE_WITHIN_S))
        )
        return JSONResponse(
            {
                "assets": assets,
                "sessions": sessions,
                "edges": self._edges,
                "problems": problems,
                "now": self._now(),
            }
        )

    async def edges(self, request: Request) -> Response:
        """`GET /api/edges`: `{edges, zones}`, what each does now (`deploy.console.edges`)."""
        edges, zones = await self._readings.rows_and_zones()
        return JSONResponse({"edges": edges, "zones": zones})

    async def link(self, request: Request) -> Response:
        """`POST /api/links` `{asset, start_within_s, session_s, viewer, once, streams, edge, download}`.

        Answers `{link, watch}`. `download` names one, as `ece/NAME` when it leaves encrypted only; null: the
        stream is meant. A download has no `watch`.
        `streams` null: as many at once as the site allows.
        """
        asked = await _body(request)
        edge = _text(asked, "edge")
        if edge not in self._edges:
            raise Problem("bad_request", "There is no such edge.")
        viewer = asked.get("viewer") or None
        if viewer is not None and not isinstance(viewer, str):
            raise Problem("bad_request", "A viewer is a name or number of yours.")
        asset, file = asset_id(_text(asked, "asset")), asked.get("download") or None
        if file is not None:
            file = _text(asked, "download")
            file_name(file.removeprefix("ece/"))
        try:
            link = sign_url(
                f"{edge}/d/{asset}/{file}" if file else f"{edge}/v/{asset}/main.m3u8",
                await asyncio.to_thread(self._issuer),
                start_within_s=_whole(asked, "start_within_s"),
                session_s=_whole(asked, "session_s"),
                viewer=viewer,
                hosts=[other for other in self._edges if other != edge],
                once=asked.get("once") is True,
                limits=Limits(streams=asked.get("streams")),
                now=self._now(),
            )
        except (ValueError, BadSecret) as exc:
            raise Problem("bad_request", f"This link cannot be made: {exc}.") from exc
        page = f"{edge}/watch/{'download.html' if file else ''}#{link}"
        return JSONResponse({"link": link, "watch": page}, 201)

    async def revoke(self, request: Request) -> Response:
        """`POST /api/revocations` `{kind, value}`."""
        asked = await _body(request)
        kind, value = _text(asked, "kind"), _text(asked, "value")
        if kind not in ENTRIES or not 0 < len(value) <= MAX_VALUE:
            raise Problem("bad_request", "This cannot be revoked.")
        await self._keys.revoke(kind, value)
        return Response(status_code=204)

    async def purge(self, request: Request) -> Response:
        """`POST /api/purges` `{zone, kind, value, soft}` (`keys.purge`): 204, or 200 `{warning}`."""
        asked = await _body(request)
        zone, kind, value = (_text(asked, name) for name in ("zone", "kind", "value"))
        soft = asked.get("soft") is True
        _, warning = await self._keys.purge_and_warning(zone, kind, value, soft=soft)
        return JSONResponse({"warning": warning}) if warning else Response(status_code=204)

    async def end_sessions(self, request: Request) -> Response:
        """`POST /api/sessions/end` `{viewer}`: ends what he watches now; answers `{ended}`, how many."""
        ended = await self._keys.end_sessions(_text(await _body(request), "viewer"))
        return JSONResponse({"ended": len(ended)})

    async def cancel(self, request: Request) -> Response:
        """`POST /api/assets/{id}/cancel`."""
        return await self._act(request, "POST", "/cancel")

    async def retry(self, request: Request) -> Response:
        """`POST /api/assets/{id}/retry`."""
        return await self._act(request, "POST", "/retry")

    async def delete(self, request: Request) -> Response:
        """`DELETE /api/assets/{id}`."""
        return await self._act(request, "DELETE", "")

    async def poster(self, request: Request) -> Response:
        """`GET /api/assets/{id}/poster.jpg`."""
        jpeg = await self._origin.poster(_asset(request))
        return Response(jpeg, headers={"cache-control": "private, max-age=3600"}, media_type="image/jpeg")

    async def room(self, request: Request) -> Response:
        """`GET /v1/uploads?bytes=N`: whether the origin would take an upload of N bytes."""
        await self._origin.room(request.query_params.get("bytes", ""))
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        """`POST /upload`: passed on to the origin as it comes."""
        return await self._origin.pass_upload(request)

    async def _act(self, request: Request, method: str, action: str) -> Response:
        await self._origin.act(method, _asset(request), action)
        return Response(status_code=204)

    def _for_operators(self, view: Endpoint) -> Endpoint:
        async def checked(request: Request) -> Response:
            self._access.check(request)
            return await view(request)

        return checked


def _asset(request: Request) -> str:
    return asset_id(request.path_params["id"])


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object sent. Problem bad_request or too_large."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY:
            raise Problem("too_large")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem("bad_request", "Send a JSON object.")
    return found


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise Problem("bad_request", f"“{name}” is missing.")
    return value


def _whole(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 < value < 1 << 31:
        raise Problem("bad_request", f"“{name}” is a number of seconds.")
    return value
