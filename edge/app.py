"""One edge worker as an ASGI application: media over raw ASGI; page, health and metrics through Starlette.

Owns what runs in the background while it serves: the trust, the revocation feed, the renewal of leases,
the telling of activity. What it is made of is handed in (`deploy` assembles); nothing here reads the
environment.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from edge.deliver import first_byte, health, page, path
from edge.deliver.activity import Activity, TakesActivity
from edge.deliver.admission import MEASURED_EVERY_S, Admission, Limits
from edge.deliver.answer import refusal, send_answer
from edge.deliver.authorize import Authorizer
from edge.deliver.clients import networks, nowhere
from edge.deliver.cors import Cors
from edge.deliver.counters import Count, ignore
from edge.deliver.forms import forms
from edge.deliver.headers import cache_status, common
from edge.deliver.heard import Heard
from edge.deliver.keys_clock import KeysClock
from edge.deliver.leases import Leases, LendsKeys, Shelf
from edge.deliver.limit_stores import MemoryLimitStore
from edge.deliver.limits import LimitStore, LinkLimits
from edge.deliver.media import Media
from edge.deliver.meter import Meter
from edge.deliver.needs import Library, PaceGate
from edge.deliver.networks import Networks
from edge.deliver.offline import GrantsOffline, Offline
from edge.deliver.open import Opening, OpensSessions
from edge.deliver.patience import Patience
from edge.deliver.playlist import Playlists
from edge.deliver.renew import Renewals, RenewsTokens
from edge.deliver.revocations import GivesRevocations, Revocations
from edge.deliver.segment import Segments
from edge.deliver.serving import Serving
from edge.deliver.streams import BY_ASSET, IDLE_S, Streams
from edge.deliver.trust import TrustedTokens
from edge.running import kept_running
from edge.zone.access import Access
from edge.zone.at_once import Head, Ready
from edge.zone.beside import Beside
from edge.zone.parts import Parts as ZoneParts
from edge.zone.purges import GivesPurges
from edge.zone.tokens import TellsOfLinks, Tokens
from edge.zone.zone import Zone
from keys.problems import Problem

LAST_WORDS_S: Final = 2.0  # for the activity still to be told when the worker ends

log = logging.getLogger("sluice.edge")


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What an operator says of an edge."""

    node: str  # its name in Cache-Status, such as sluice-edge-1
    public_url: str  # how viewers reach it; tokens are matched against this, never against a request's Host
    web: Path  # folder of the player page
    edges: tuple[str, ...] = ()  # public URLs of all edges: the page may play from each of them
    cors_origins: tuple[str, ...] = ()  # sites whose pages may play from here, such as https://films.example
    framed_by: tuple[str, ...] = ()  # sites that may show the player page in a frame
    token_name: str = path.TOKEN_NAME  # what a token's attribute may be called besides that
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For counts
    running_sessions_s: float = 900.0  # how old the revocation feed may be before running sessions stop
    stream_idle_s: float = IDLE_S  # without a request, after which a stream no longer counts
    busy: Limits = field(default_factory=Limits)  # from when on no new session begins
    start_wait_s: float = 10.0  # how long a starting worker waits for its first answers of keys


class Keys(
    LendsKeys, OpensSessions, RenewsTokens, GrantsOffline, GivesRevocations, GivesPurges, TakesActivity,
    TellsOfLinks, Protocol,
):  # fmt: skip
    """What an edge asks of the keys service; `keys.client.KeysClient` fits."""


class EdgeApp:
    """The application of one worker. Make it once a process; it starts its tasks in the lifespan."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        keys: Keys,
        trusted: TrustedTokens,
        library: Library,
        pace: PaceGate,
        now: Callable[[], float],
        clock: Callable[[], float],
        metrics: Callable[[], str],
        count: Count = ignore,
        observe: first_byte.Observe = first_byte.ignore,
        shelf: Shelf | None = None,
        heard: Heard | None = None,
        limits: LimitStore | None = None,
        country_of: Callable[[str], str] = nowhere,
        origin: health.Part | None = None,
        keys_clock: KeysClock | None = None,
        zones: Sequence[Zone] = (),
        zone_parts: ZoneParts | None = None,
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
    ) -> None:
        """`now` is wall time, `clock` monotonic, both in seconds; `metrics` is Prometheus text, `observe`
        takes first bytes. `shelf` is where this node's workers put leases for each other (without one each
        asks keys itself), `heard` the revocations they heard of; `limits` where links' limits are counted,
        without one by each worker. `country_of` says which country an address is in, "" when it does not
        know. `origin` is what health says of the origin; `keys_clock` is told keys' time. `zones` are
        served beside media, with `zone_parts`. `resources` are
        entered when serving begins, in order, and left in reverse when it ends: the library, the clients,
        whatever lives in the loop. `trusted` is handed in because the library asks it for packagers' keys.
        """
        self.settings = settings
        self.count = count  # for the server before it (`edge.guard.counters`)
        self.zones = zones
        self._resources = resources
        self.trusted = trusted
        self.revocations = Revocations(
            keys,
            now=now,
            clock=clock,
            running_sessions_s=settings.running_sessions_s,
            shared=heard,
            keys_clock=keys_clock,
            refresh_trust=trusted.refresh,
        )
        patience = Patience()
        self._leases = Leases(keys, clock=clock, patience=patience, count=count, shelf=shelf)
        self.revocations.on_news = lambda: self._leases.drop_where(self.revocations.concerns)
        self.activity = Activity(keys, now=now, count=count)
        alone, idle_s = MemoryLimitStore(clock), settings.stream_idle_s
        self._limits = LinkLimits(
            Streams(limits or alone, clock=clock, count=count, idle_s=idle_s),
            Streams(limits or alone, clock=clock, count=count, counted=BY_ASSET, idle_s=idle_s),
            Meter(limits or alone, alone, clock=clock, count=count),
            country_of,
        )
        self.admission = Admission(settings.busy)
        self._clock = clock
        cors = Cors((settings.public_url, *settings.edges), settings.cors_origins)
        secure = settings.public_url.startswith("https:")
        tokens = Tokens(keys, patience, token_name=settings.token_name, secure=secure, now=now, count=count)
        self.beside: Beside | None = (
            None
            if not zones
            else Beside(
                zones,
                Access(trusted, self.revocations, tokens),
                keys,
                cors,
                node=settings.node,
                public_url=settings.public_url,
                now=now,
                token_name=settings.token_name,
                parts=zone_parts,
            )
        )
        self._draining = health.Draining()
        self.state = State({"hush": self.hush})
        authorizer = Authorizer(settings.public_url, trusted, self.revocations, self._leases, now)
        self._common = common(secure=secure)
        self._status = cache_status(settings.node)
        watch = first_byte.FirstByte(clock, observe)
        serving = Serving(
            library,
            self.activity,
            authorizer.still_allowed,
            settings.node,
            now,
            watch,
            count,
            pace_of=self.revocations.pace_of,
        )
        self.media = Media(
            authorizer,
            Opening(
                authorizer,
                keys,
                patience,
                self.admission,
                now=now,
                clock=clock,
                secure=secure,
                country_of=country_of,
                count=count,
            ),
            Playlists(library),
            Segments(serving, pace),
            forms(serving),
            Renewals(authorizer, keys, patience, secure=secure, now=now, count=count),
            Offline(authorizer, keys, patience, library, count=count),
            library,
            self.activity,
            self._limits,
            Networks(clock, count),
            cors,
            node=settings.node,
            secure=secure,
            first_byte=watch,
            token_name=settings.token_name,
            trusted_proxies=networks(settings.trusted_proxies),
            count=count,
        )
        policy = page.content_security_policy(settings.edges, settings.framed_by)
        self._rest = Starlette(
            routes=[
                *page.routes(page.read_files(settings.web), policy),
                *health.routes(self._health(origin), metrics, zone_parts.told if zone_parts else dict),
            ],
            exception_handlers={HTTPException: _routing_refusal},
        )
        self._rest.router.redirect_slashes = False  # such a redirect would repeat the request's Host (T6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: http and lifespan; a WebSocket is closed."""
        if scope["type"] == "http":
            if self.beside and self.beside.takes(scope):
                await self.beside(scope, receive, send)
            elif path.is_media(scope["raw_path"]):
                await self.media(scope, receive, send)
            else:
                await self._other(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def at_once(self, head: Head, scheme: str) -> Ready | None:
        """The answer to a request that is ready (`deploy.http_at_once`)."""
        return None if self.beside is None else self.beside.at_once(head, scheme)

    async def hush(self) -> None:
        """This worker is going to end: health says so from now on. Whoever serves it calls this."""
        self._draining.begun = True

    def _health(self, origin: health.Part | None) -> health.Health:
        return health.Health(
            {"trust": self.trusted, "revocations": self.revocations, "draining": self._draining},
            {"keys": health.Says(self.revocations.missing_for_new), "load": health.Says(self._too_busy)},
            {"clock": self.revocations.keys_clock}
            | ({"origin": origin} if origin is not None else {})
            | ({"zones": self.beside} if self.beside is not None else {}),
        )

    def _too_busy(self) -> str | None:
        return self.admission.reason(self._clock())

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is not media: odd targets are refused before Starlette decodes them."""
        extra = [*self._common, (b"cache-status", self._status)]
        try:
            path.check_target(scope["raw_path"])
        except Problem as problem:
            await send_answer(send, refusal(problem), extra, head=scope["method"] == "HEAD")
            return

        async def with_extra(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._rest(scope, receive, with_extra)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan protocol: resources and background tasks live between startup and shutdown."""
        await receive()
        phase = "startup"
        try:
            async with AsyncExitStack() as stack:
                for resource in self._resources:
                    await stack.enter_async_context(resource)
                await stack.enter_async_context(self._background())
                if self.beside:
                    await stack.enter_async_context(self.beside.running())
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except Exception as exc:
            log.exception("%s failed", phase)
            await send({"type": f"lifespan.{phase}.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        runs = (
            self.trusted.run,
            self.revocations.run,
            self._leases.run,
            self.activity.run,
            self._limits.run,
            *((self.beside.purges.run,) if self.beside else ()),
            self._measure_load,
        )
        tasks = [asyncio.create_task(kept_running(run)) for run in runs]
        try:
            await self._first_answers()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self.activity.post()

    async def _measure_load(self) -> None:
        while True:
            due = self._clock() + MEASURED_EVERY_S
            await asyncio.sleep(MEASURED_EVERY_S)
            self.admission.measured(self._clock() - due)

    async def _first_answers(self) -> None:
        """Waits until this worker can check tokens: started anew, it takes no request it would refuse.

        Its node's other workers answer meanwhile. With keys away it starts all the same, and says 503.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.start_wait_s):
                zones = (self.beside.purges.known,) if self.beside else ()
                for known in (self.trusted.known, self.revocations.known, *zones):
                    await known.wait()


async def _routing_refusal(request: Request, exc: Exception) -> Response:
    """No such path, or not with this method: stored by nobody (SECURITY H36)."""
    found = getattr(exc, "status_code", 404)
    problem = Problem("method_not_allowed" if found == 405 else "not_found")
    headers = dict(problem.headers()) | dict(getattr(exc, "headers", None) or {})  # Allow on a 405
    del headers["x-content-type-options"]  # every answer gets it anyway
    return Response(problem.body(), problem.status, headers)
