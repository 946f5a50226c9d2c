"""The keys service over HTTP: each row of its table proves the caller, reads, asks the service, answers.

What is done is `keys.service`'s; who may ask is `keys.access`'s. Every refusal is a Problem body; an
unforeseen error is `internal`, with its trace in the log under the same ID and nothing of it in the answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import sqlalchemy.exc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keys import reading
from keys.names import b64url
from keys.problems import Problem
from keys.purge import NEW
from keys.service import KeysService
from keys.waiting import while_there

# A database that is locked, gone or not yet there: trouble, so ask again.
_TROUBLE: Final = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    OSError,
)

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Endpoint = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


def create_app(service: KeysService, metrics: Callable[[], str] = lambda: "") -> Starlette:
    """The application. Its lifespan runs the service's background work, and closes the service at the end.

    `metrics` is what `GET /metrics` answers, Prometheus text: counts, and nothing of anybody.

    A server that is told to stop awaits `app.state.hush()` first: it answers the polls that are held.
    """
    endpoints = _Endpoints(service, metrics)
    app = Starlette(
        routes=[_route(method, path, getattr(endpoints, name)) for method, path, name in _TABLE],
        exception_handlers={HTTPException: _routing_refusal},
        lifespan=_lifespan(service),
    )
    app.router.redirect_slashes = False  # such a redirect would repeat the request's Host (SECURITY T6)
    app.state.hush = service.hush
    return app


_TABLE: Final = (
    ("GET", "/healthz", "health"),
    ("GET", "/metrics", "metrics"),
    ("GET", "/.well-known/jwks.json", "jwks"),
    ("POST", "/v1/enrol", "enrol"),
    ("GET", "/v1/nodes", "nodes"),
    ("DELETE", "/v1/nodes/{name}", "remove_node"),
    ("GET", "/v1/trust", "trust"),
    ("POST", "/v1/sessions", "open_session"),
    ("GET", "/v1/sessions", "sessions"),
    ("DELETE", "/v1/sessions", "end_sessions"),
    ("POST", "/v1/renewals", "renew"),
    ("POST", "/v1/zone-links", "zone_link"),
    ("POST", "/v1/leases", "lease"),
    ("POST", "/v1/offline-licenses", "offline_license"),
    ("GET", "/v1/revocations", "revocations"),
    ("POST", "/v1/revocations", "revoke"),
    ("GET", "/v1/purges", "purges"),
    ("POST", "/v1/purges", "purge"),
    ("GET", "/v1/zones", "zones"),
    ("GET", "/v1/keys", "key_states"),
    ("POST", "/v1/rotations", "rotate"),
    ("GET", "/v1/regions/{region}/keys", "region_keys"),
    ("POST", "/v1/activity", "activity"),
    ("POST", "/v1/generations", "new_generation"),
    ("POST", "/v1/generations/{asset}/{generation}/publish", "publish"),
    ("DELETE", "/v1/assets/{asset}", "delete_asset"),
    ("GET", "/v1/assets/{asset}/limits", "asset_limits"),
    ("PATCH", "/v1/assets/{asset}/limits", "limit_asset"),
    ("GET", "/v1/assets/{asset}/drm", "drm"),
)


class _Endpoints:
    def __init__(self, service: KeysService, metrics: Callable[[], str]) -> None:
        self._service = service
        self._metrics = metrics
        self._access = service.access

    async def health(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics(), headers={"content-type": METRICS_TYPE, "cache-control": "no-store"})

    async def jwks(self, request: Request) -> Response:
        return _json(self._service.jwks())

    async def enrol(self, request: Request) -> Response:
        sent = await reading.body(request)
        role = sent.get("role")
        self._access.join(reading.proof(request), role if isinstance(role, str) else "")
        await self._service.roster.enrol(
            reading.text(sent, "name"), reading.text(sent, "role"), reading.member(sent, "jwk")
        )
        return Response(status_code=204)

    async def nodes(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        return _json({"nodes": await self._service.roster.listed()})

    async def remove_node(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        name = request.path_params["name"]
        return _json({"name": name, "role": await self._service.roster.remove(name)})

    async def trust(self, request: Request) -> Response:
        await self._access.node(reading.proof(request))
        return _json(await self._service.trust())

    async def open_session(self, request: Request) -> Response:
        edge = await self._access.node(reading.proof(request), "edge")
        sent = await reading.body(request)
        token, uri, client_ip = (reading.text(sent, name) for name in ("token", "uri", "client_ip"))
        cookies, country = reading.texts(sent, "cookies"), str(sent.get("country", ""))
        opened = await self._service.open_session(
            token, uri, client_ip, edge.name, cookies=cookies, country=country
        )
        return _json(opened.to_json(), 201)

    async def sessions(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        within_s = reading.number(request, "live_within_s", 60)
        viewer = request.query_params.get("viewer")
        return _json({"sessions": await self._service.sessions(within_s, viewer)})

    async def end_sessions(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        return _json(
            {"ended": await self._service.revoker.end_sessions(request.query_params.get("viewer", ""))}
        )

    async def renew(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "edge")
        sent = await reading.body(request)
        opened = await self._service.renew(reading.text(sent, "session_token"), reading.text(sent, "uri"))
        return _json(opened.to_json(), 201)

    async def zone_link(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "edge")
        sent = await reading.body(request)
        said = await self._service.zone_link(reading.text(sent, "token"), reading.text(sent, "uri"))
        return _json(said.to_json())

    async def lease(self, request: Request) -> Response:
        edge = await self._access.node(reading.proof(request), "edge")
        sent = await reading.body(request)
        token, uri = reading.text(sent, "session_token"), reading.text(sent, "uri")
        lease = await self._service.lease(token, uri, edge.name)
        return _json(lease.to_json())

    async def offline_license(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "edge")
        sent = await reading.body(request)
        token, uri = reading.text(sent, "session_token"), reading.text(sent, "uri")
        asked = reading.member(sent, "device"), reading.member(sent, "file")
        return _json((await self._service.offline.grant(token, uri, *asked)).to_json(), 201)

    async def revocations(self, request: Request) -> Response:
        await self._access.node(reading.proof(request))
        after, wait_s = int(reading.number(request, "after", 0)), reading.number(request, "wait", 0)
        trust = request.query_params.get("trust")
        feed = await while_there(request, self._service.revocations(after, wait_s, trust))
        return _json(feed.to_json())

    async def revoke(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        sent = await reading.body(request)
        kind, value = reading.text(sent, "kind"), reading.text(sent, "value")
        revoker = self._service.revoker
        change = revoker.lift if sent.get("lift") is True else revoker.revoke
        return _json((await change(kind, value)).to_json(), 201)

    async def purges(self, request: Request) -> Response:
        node = await self._access.node(reading.proof(request), "edge", "shield")
        self._service.purger.said(node.name, request.query_params.get("zones"))
        # Without a version the asker knows nothing yet.
        after = int(reading.number(request, "after", 0)) if "after" in request.query_params else NEW
        wait_s = reading.number(request, "wait", 0)
        return _json((await while_there(request, self._service.purger.after(after, wait_s))).to_json())

    async def purge(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        sent = await reading.body(request)
        zone, kind = reading.text(sent, "zone"), reading.text(sent, "kind")
        value = reading.text(sent, "value") if "value" in sent else ""
        made = await self._service.purger.purge(zone, kind, value, soft=sent.get("soft") is True)
        warning = self._service.purger.warning(zone)
        return _json(made.to_json() | ({"warning": warning} if warning else {}), 201)

    async def zones(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        return _json({"zones": self._service.purger.zones()})

    async def key_states(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        return _json({"keys": [state.to_json() for state in await self._service.rotator.states()]})

    async def rotate(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        sent = await reading.body(request)
        overlap_s = reading.seconds(sent, "overlap_s")
        at_once = sent.get("at_once") is True
        states = await self._service.rotator.rotate(
            reading.text(sent, "kind"), overlap_s=overlap_s, at_once=at_once
        )
        return _json({"keys": [state.to_json() for state in states]}, 201)

    async def region_keys(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "edge")
        ring = await self._service.rotator.region_keys(request.path_params["region"])
        return _json(ring.to_json())

    async def activity(self, request: Request) -> Response:
        edge = await self._access.node(reading.proof(request), "edge")
        seen = reading.activity(reading.member(await reading.body(request), "sessions"))
        await self._service.add_activity(edge.name, seen)
        return Response(status_code=204)

    async def new_generation(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "origin")
        sent = await reading.body(request)
        document = reading.encoded(sent, "drm") if "drm" in sent else None
        made = await self._service.new_generation(reading.text(sent, "asset"), document)
        return _json(made.to_json(), 201)

    async def publish(self, request: Request) -> Response:
        await self._access.node(reading.proof(request), "origin")
        asset, generation = request.path_params["asset"], request.path_params["generation"]
        if not generation.isdecimal() or len(generation) > 15:
            raise Problem("bad_request", "A generation is a number.")
        sent = await reading.body(request)
        pace = reading.member(sent, "pace") if sent.get("pace") is not None else None
        await self._service.publish(asset, int(generation), pace)
        return Response(status_code=204)

    async def delete_asset(self, request: Request) -> Response:
        await self._access.node_or_admin(reading.proof(request), "origin")
        await self._service.delete_asset(request.path_params["asset"])
        return Response(status_code=204)

    async def asset_limits(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        return _json((await self._service.asset_limits.get(request.path_params["asset"])).to_json())

    async def limit_asset(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        wanted = await reading.body(request)
        limits = await self._service.asset_limits.change(request.path_params["asset"], wanted)
        return _json(limits.to_json())

    async def drm(self, request: Request) -> Response:
        self._access.admin(reading.proof(request))
        document = await self._service.drm.document(request.path_params["asset"])
        return _json({"cpix": b64url(document)})


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(path, _guarded(endpoint), methods=[method])


def _guarded(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with every refusal and every error turned into its answer."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as refused:
            return _refusal(request, refused)
        except _TROUBLE as exc:
            detail = f"database: {type(exc).__name__}"
            return _refusal(request, Problem("unavailable", detail=detail))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception:  # the last line of defence: logged whole, answered without detail
            problem = Problem("internal", "Something went wrong here. The log has more under this ID.")
            log.exception("error id=%s %s %s", problem.id, request.method, request.url.path)
            return _answer(problem)

    return answer


async def _routing_refusal(request: Request, exc: Exception) -> Response:
    """No such path, or not with this method."""
    code = "method_not_allowed" if getattr(exc, "status_code", 404) == 405 else "not_found"
    response = _refusal(request, Problem(code))
    response.headers.update(getattr(exc, "headers", None) or {})
    return response


def _refusal(request: Request, problem: Problem) -> Response:
    log.info(
        "refused id=%s %s %s code=%s detail=%s",
        problem.id,
        request.method,
        request.scope["path"],
        problem.code,
        problem.detail,
    )
    return _answer(problem)


def _answer(problem: Problem) -> Response:
    headers = dict(problem.headers())
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"  # RFC 9110 §11.6.1
    return Response(problem.body(), problem.status, headers)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(value, status, {"cache-control": "no-store", "x-content-type-options": "nosniff"})


def _lifespan(service: KeysService) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(service.run())
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            await service.close()

    return lifespan
