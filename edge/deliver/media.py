"""All under `/v` and `/d`, over raw ASGI: which endpoint answers, and what every answer and refusal carries.

The target is parsed once, the client asked for once; then one table of kinds. Refusals are
`keys.problems`; a stranger gets one and the same 403 whatever is wrong (SECURITY T12), with CORS headers,
or a player could not even see it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from edge.deliver import extras, init, key, license, path
from edge.deliver.activity import Activity
from edge.deliver.answer import Answer, Request, fields_of, refusal, send_answer
from edge.deliver.authorize import Authorizer
from edge.deliver.body import BodyBroken
from edge.deliver.clients import Network, client_address
from edge.deliver.cors import METHODS, POSTING, Cors, Headers
from edge.deliver.counters import Count, ignore
from edge.deliver.first_byte import SMALL, FirstByte
from edge.deliver.forms import ServesFiles
from edge.deliver.headers import cache_status, common, unstored
from edge.deliver.limits import LinkLimits
from edge.deliver.needs import Library
from edge.deliver.networks import Networks
from edge.deliver.offline import Offline
from edge.deliver.open import Opening
from edge.deliver.path import Kind, Route
from edge.deliver.playlist import Playlists
from edge.deliver.renew import Renewals
from edge.deliver.segment import Segments
from keys.leases import Lease
from keys.limits import NO_LIMITS
from keys.problems import LIMIT_SENTENCES, Problem

ASKING: Final = ("GET", "HEAD")
POST: Final = "POST"
POSTED: Final = (Kind.LEAVE, Kind.LICENSE, Kind.OFFLINE)  # to `leave` as browsers send a beacon
OF_DOWNLOADS: Final = (Kind.DOWNLOAD, Kind.FILE_KEY, Kind.OFFLINE)
KNOWN: Final = ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT")  # known, and not allowed here
STRANGERS: Final = (
    "bad_request",
    "forbidden",
    "expired",
    "limit",
    "revoked",
    "not_offered",
    "too_large",
    "protected",
    "not_offline",
    "drm",
    "method_not_allowed",
    "not_implemented",
)
TROUBLE: Final = ("bad_upstream", "unavailable")

log = logging.getLogger("sluice.edge.media")


class Media:
    """The media endpoints of one worker."""

    def __init__(
        self,
        authorizer: Authorizer,
        opening: Opening,
        playlists: Playlists,
        segments: Segments,
        downloads: Mapping[str, ServesFiles],
        renewals: Renewals,
        offline: Offline,
        library: Library,
        activity: Activity,
        limits: LinkLimits,
        networks: Networks,
        cors: Cors,
        *,
        node: str,
        secure: bool,
        first_byte: FirstByte,
        token_name: str = path.TOKEN_NAME,
        trusted_proxies: Sequence[Network] = (),
        count: Count = ignore,
    ) -> None:
        """`node` is the edge's name in Cache-Status; `secure`: viewers reach it by https.

        `downloads` serve files, by the form they leave in. `token_name` is what a token's attribute may be
        called besides the name RFC 9246 gives it.
        """
        self._authorizer = authorizer
        self._opening = opening
        self._playlists = playlists
        self.segments = segments
        self._downloads = downloads
        self._renewals = renewals
        self._offline = offline
        self._library = library
        self._activity = activity
        self._limits = limits
        self._networks = networks
        self._cors = cors
        self._node = node
        self._common = common(secure=secure)
        self._first_byte = first_byte
        self._token_name = token_name
        self._trusted = trusted_proxies
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request under `/v` or `/d`."""
        at = self._first_byte.now()
        fields = fields_of(scope["headers"])
        origin = fields.get(b"origin")
        method = scope["method"]
        if method == "OPTIONS":
            answer = Answer(204, [*self._cors.preflight(origin), (b"cache-control", b"no-store")])
            await self._send(send, answer, list(self._common), head=False)
            return
        extra = [*self._common, *self._cors.headers(origin)]
        try:
            status = await self._answer(
                scope, Request(method, fields, self._client(scope), at), receive, send, extra
            )
        except BodyBroken:
            raise
        except Exception as exc:
            answer = _refusal(exc, method)
            status = answer.status
            await self._send(send, answer, extra, head=method == "HEAD")
        self._counted(status)

    async def _answer(
        self, scope: Scope, request: Request, receive: Receive, send: Send, extra: Headers
    ) -> int:
        if request.method not in (*ASKING, POST):
            raise Problem("method_not_allowed" if request.method in KNOWN else "not_implemented")
        cookies = request.headers.get(b"cookie", b"")
        route = path.parse(scope["raw_path"], scope["query_string"], cookies, self._token_name)
        if (request.method == POST) != (route.kind in POSTED):
            raise Problem("method_not_allowed")
        if route.kind is Kind.LINK:
            return await self._whole(await self._opening.answer(route, request), request, send, extra)
        if route.kind in OF_DOWNLOADS:
            claims, held = await self._authorizer.download(route, request.client)
            if held is None:
                return await self._whole(await self._opening.download(route, request), request, send, extra)
            if claims.renewal is not None:
                again = None
                if request.method != POST:  # a redirect would make it a GET
                    again = await self._renewals.redirect(route, claims.renewal, claims.exp)
                if again is not None:
                    return await self._whole(again, request, send, extra)
                extra = [*extra, *await self._renewals.headers(route, claims.renewal)]
        else:
            held = await self._authorizer.session(route, request.client)
        lease = held
        self._networks.note(lease.sid, request.client)
        if lease.limits is NO_LIMITS and lease.asset_streams is None:
            return await self._serve(route, request, lease, receive, send, extra)
        return await self._limits.serve(
            lease, route, request, send, lambda send: self._serve(route, request, lease, receive, send, extra)
        )

    async def _serve(
        self, route: Route, request: Request, lease: Lease, receive: Receive, send: Send, extra: Headers
    ) -> int:
        """Answers what a session asks for."""
        if route.kind is Kind.SEGMENT:
            return await self.segments.serve(route, request, lease, receive, send, extra)
        if route.kind is Kind.DOWNLOAD:
            files = self._downloads[route.protection]
            return await files.serve(route, request, lease, receive, send, extra)
        answer = await self._small(route, request, lease, receive)
        self._activity.note(lease.sid)
        if answer.status == 200 and route.kind in SMALL:
            self._first_byte.goes(SMALL[route.kind], request.at)
        return await self._whole(answer, request, send, extra)

    async def _whole(self, answer: Answer, request: Request, send: Send, extra: Headers) -> int:
        await self._send(send, answer, extra, head=request.method == "HEAD")
        return answer.status

    async def _small(self, route: Route, request: Request, lease: Lease, receive: Receive) -> Answer:
        """What is answered whole: playlists, init segments, keys."""
        if route.kind is Kind.LICENSE:
            answer = await license.answer(self._library, route, lease, receive)
            self._count("licenses", 1)
            return answer
        if route.kind is Kind.KEY:
            return await key.answer(self._library, route, lease)
        if route.kind is Kind.FILE_KEY:
            return await key.file_answer(self._library, route, lease)
        if route.kind is Kind.OFFLINE:
            return await self._offline.answer(route, lease, receive)
        if route.kind is Kind.INIT:
            return await init.answer(self._library, self._node, route, request, lease)
        if route.kind in extras.KINDS:
            return await extras.answer(self._library, self._node, route, request, lease)
        if route.kind is Kind.LEAVE:
            await self._limits.leave(lease)
            return Answer(204, unstored())
        return await self._playlists.answer(route, request, lease)

    async def _send(self, send: Send, answer: Answer, extra: Headers, *, head: bool) -> None:
        if not any(name == b"cache-status" for name, _ in answer.headers):
            extra = [*extra, (b"cache-status", cache_status(self._node))]
        await send_answer(send, answer, extra, head=head)

    def _client(self, scope: Scope) -> str:
        peer = scope.get("client")
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer[0] if peer else "", forwarded, self._trusted)

    def _counted(self, status: int) -> None:
        self._count("requests", 1)
        if status >= 500:
            self._count("failed", 1)
        elif status >= 400:
            self._count("refused", 1)


def _refusal(exc: Exception, method: str) -> Answer:
    """The answer to what went wrong. The log never holds the target: there is a token in it."""
    problem = (
        _for_viewer(exc) if isinstance(exc, Problem) else Problem("internal", "Something went wrong here.")
    )
    if problem.code == "internal":
        log.error("%s %s failed", problem.id, method, exc_info=exc)
    else:
        level = logging.WARNING if problem.status >= 500 else logging.INFO
        log.log(level, "%s %s: %s %s", problem.id, method, problem.code, problem.detail)
    answer = refusal(problem)
    if problem.code == "method_not_allowed":
        answer.headers.append((b"allow", POSTING if method in ASKING else METHODS))
    return answer


def _for_viewer(problem: Problem) -> Problem:
    """What a stranger is told of a problem of keys or the origin: never who we are to them."""
    if problem.code == "not_found":  # strangers do not learn what there is
        code = "forbidden"
    elif problem.code in (*STRANGERS, *TROUBLE):
        code = problem.code
    else:
        code = "unavailable"  # such as this node's own token being refused
    told = Problem(
        code,
        limit=problem.limit if problem.limit in LIMIT_SENTENCES else "",
        detail=f"{problem.code}: {problem.detail}",
        retry_after_s=problem.retry_after_s,
    )
    told.id = problem.id
    return told
