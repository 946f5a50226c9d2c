"""The HTTP server's protocol: every byte a client sends is read by `edge.guard`, and nothing else reads it.

    uvicorn.Config(app, http=partial(GuardedProtocol, Guard()))

Strict reading and limits are `edge.guard`'s; here they meet a transport. Requests on one connection are
answered strictly in order: what comes of the next one waits, and reading with it, until the answer before
it is out. What is refused gets one answer of `keys.problems`, then the connection is closed after reading
on for a moment, or the client might lose that answer to a reset. `Guard` looks at each connection
once a second, so a request costs no timers.
"""

import asyncio
import enum
import logging
from contextlib import suppress
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from deploy.http_answer import COPIED, Cycle, every_answer
from deploy.http_at_once import AtOnce, sent
from deploy.http_guard import Guard
from deploy.http_outgoing import TOGETHER, Outgoing
from deploy.http_scope import scope_of
from deploy.http_taking import Taking
from edge.guard.body import Body, Chunked, Counted
from edge.guard.due import BodyTime
from edge.guard.head import CHUNKED, Head, read, still_good
from edge.guard.refused import Refused, answer
from keys.problems import Problem

HEAD_END: Final = b"\r\n\r\n"
LOOK_AGAIN_S: Final = 0.05

log = logging.getLogger("sluice.guard")


class Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = "head"  # the rest of a head, or a first one
    IDLE = "idle"  # the next request, after an answer
    BODY = "body"  # the rest of a request's body; its answer may be under way
    ANSWER = "answer"  # the application
    LINGER = "linger"  # the client's end: what it sends is thrown away
    CLOSING = "closing"  # the transport to send what it still has


class GuardedProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.loop = _loop or asyncio.get_event_loop()
        self._guard = guard
        self._limits = guard.limits
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._at_once: AtOnce | None = getattr(config.app, "at_once", None)
        self._phase = Phase.HEAD
        self._since = 0.0  # when this phase began
        self._held = bytearray()  # what came of a head that is not whole, or of the next request
        self._cycle: Cycle | None = None
        self._body: Body | None = None
        self._body_time: BodyTime | None = None
        self._draining = False

    # Called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there. Its first head must come in time, and the crowd must not be too large."""
        self.transport = transport
        transport.set_write_buffer_limits(high=self._limits.write_buffer, low=0)
        self.flow = FlowControl(transport)
        self._taking = Taking(transport)
        self._server = get_local_addr(transport)
        self._client = get_remote_addr(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        self.out = Outgoing(transport, self.loop, TOGETHER if self._scheme == "http" else COPIED)
        self._since = self.loop.time()
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._guard.joined(self)
        crowd = self._guard.crowd
        self._counted_as = crowd.enter(self._client[0] if self._client else "")
        self._over = crowd.over(self._counted_as)
        if self._over and crowd.far_over(self._counted_as):
            self._guard.count("guard_full", 1)
            transport.abort()
        elif getattr(self._state, "draining", False):  # accepted just before the server stopped accepting
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or we ended it."""
        self._state.connections.discard(self)
        self._guard.left(self)
        self._guard.crowd.leave(self._counted_as)
        self._phase = Phase.CLOSING
        if self._cycle is not None and not self._cycle.complete:
            self._cycle.cut()
        self.flow.resume_writing()

    def eof_received(self) -> None:
        """The client sends no more: the transport closes, as every client of ours waits for its answer."""

    def pause_writing(self) -> None:
        """The client takes less than is made."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """It took all of it."""
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        phase = self._phase
        try:
            if phase is Phase.IDLE or phase is Phase.HEAD:
                self._read_head(data)
            elif phase is Phase.BODY:
                self._read_body(data)
            elif phase is Phase.ANSWER:
                self._hold(data)
        except Refused as refused:
            self._refuse(refused)

    # Called by uvicorn

    def shutdown(self) -> None:
        """The service ends: answers under way are finished, and a request on its way may still come.

        An answer whose head is out has promised that the connection stays: it may take one request more.
        """
        self._draining = True
        if self._phase in (Phase.IDLE, Phase.HEAD):
            self.loop.call_later(self._limits.drain_s, self._end_if_silent)
        elif self._cycle is not None and not self._cycle.started:
            self._cycle.keep_alive = False

    def answered(self) -> None:
        """An answer is out in full."""
        self._state.total_requests += 1
        if self._phase in (Phase.LINGER, Phase.CLOSING):
            return
        if self.transport.is_closing():
            self._enter(Phase.CLOSING)
            return
        self.flow.resume_reading()
        self._enter(Phase.IDLE)
        if self._draining:
            self.shutdown()
        if self._held:
            data = bytes(self._held)
            self._held.clear()
            self.data_received(data)

    # Reading

    def _read_head(self, data: bytes) -> None:
        held = self._held
        if held:
            before = len(held)
            held += data
            end = held.find(HEAD_END, max(0, before - 3))
            if end < 0:
                still_good(held, before)
                return
            data = bytes(held)
            held.clear()
        else:
            end = data.find(HEAD_END)
            if end < 0:
                held += data
                if self._phase is Phase.IDLE:
                    self._enter(Phase.HEAD)
                still_good(held)
                return
        end += len(HEAD_END)
        head = read(data[:end], any_method=self._limits.any_method)
        if self._over:
            self._refuse(Refused(self._over, "too many connections"), "guard_full")
            return
        rest = data[end:]
        if not rest and self._at_once is not None and self._answered_at_once(self._at_once, head):
            return
        self._begin(head)
        if rest:
            self.data_received(rest)

    def _answered_at_once(self, at_once: AtOnce, head: Head) -> bool:
        """Whether the application had the answer ready, and it is out."""
        if head.length or not head.keep_alive or self._draining or self.flow.write_paused:
            return False
        ready = at_once(head, self._scheme)
        if ready is None or not sent(self.transport, ready):
            return False
        if ready.rest is None:
            self._state.total_requests += 1
            self._enter(Phase.IDLE)
            return True
        cycle = self._cycle = self._cycle_of(head)
        cycle.goes_on(ready.left)
        self._run(cycle, ready.rest)
        return True

    def _begin(self, head: Head) -> None:
        """A request is there; its body may still come."""
        limit = self._limits.body_bytes
        if limit is not None and head.length > limit:
            raise Refused("too_large", "a body larger than any taken here")
        has_body = head.length != 0
        cycle = self._cycle = self._cycle_of(head)
        self._run(cycle, self._config.loaded_app)
        if has_body:
            self._body = Chunked(limit) if head.length == CHUNKED else Counted(head.length)
            self._enter(Phase.BODY)
            self._body_time = BodyTime(self._limits, self._since)

    def _cycle_of(self, head: Head) -> Cycle:
        has_body = head.length != 0
        return Cycle(
            self,
            scope_of(head, self._server, self._client, self._scheme, self._app_state),
            has_body=has_body,
            expects_continue=head.expects_continue and has_body,
            keep_alive=head.keep_alive and not self._draining,
        )

    def _run(self, cycle: Cycle, app: ASGIApp) -> None:
        self._enter(Phase.ANSWER)
        self._state.tasks.add(self.loop.create_task(cycle.run(app, self._state.tasks)))

    def _read_body(self, data: bytes) -> None:
        cycle, body, time = self._cycle, self._body, self._body_time
        assert cycle is not None and body is not None and time is not None
        content, rest = body.feed(data)
        time.came(len(data), self.loop.time())
        cycle.came(content, more=rest is None)
        if rest is not None:
            self._body = self._body_time = None
            self._enter(Phase.ANSWER)
        elif len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        if rest:
            self._hold(rest)

    def _hold(self, data: bytes) -> None:
        """Keeps what came of the next request until the answer before it is out."""
        self._held += data
        self.flow.pause_reading()

    # Ending

    def _refuse(self, refused: Refused, counter: str = "guard_refused") -> None:
        """The one answer to what cannot be taken, unless another has begun; then the connection ends."""
        problem = Problem(refused.code, detail=refused.why)
        self._guard.count(counter, 1)
        log.info("%s refused: %s %s", problem.id, problem.code, problem.detail)
        cycle = self._cycle
        under_way = cycle is not None and not cycle.complete
        if cycle is not None and under_way:
            cycle.cut()
            if cycle.started:
                self.transport.abort()  # a body is whole or visibly broken
                return
        self.transport.write(answer(problem, every_answer()))
        self.linger()

    def linger(self) -> None:
        """Closes our side and reads on for a moment: a reset would take the answer from the client."""
        self._enter(Phase.LINGER)
        self._held.clear()
        self.flow.resume_reading()
        with suppress(NotImplementedError, OSError):  # TLS has no half-closed state
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def _close(self) -> None:
        """Ends it when what is written is out."""
        self._enter(Phase.CLOSING)
        self.transport.close()

    def _end_if_silent(self) -> None:
        if self._phase is Phase.IDLE or (self._phase is Phase.HEAD and not self._held):
            if self._taking.unread():  # a request, in a moment
                self.loop.call_later(LOOK_AGAIN_S, self._end_if_silent)
            else:
                self._close()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()

    # Looked at once in a while

    def look(self, now: float) -> None:
        """Ends what has taken too long."""
        limits, phase, age = self._limits, self._phase, now - self._since
        waits = self.flow.write_paused  # for the client to take what was answered at once
        if phase is Phase.IDLE:
            if waits:
                self._since = now
            elif age > limits.idle_s:
                self._close()
        elif phase is Phase.HEAD:
            if age > limits.head_s:
                self._late_head()
        elif phase is Phase.BODY:
            self._look_at_body(now)
        elif phase is Phase.LINGER and age > limits.linger_s and not self._taking.unsent():
            self.transport.abort()
        if phase is not Phase.IDLE or waits:
            self._look_at_answer(now)

    def _late_head(self) -> None:
        if self._held:
            self._refuse(Refused("too_slow", "a head that did not come in time"), "guard_late")
        else:
            self._guard.count("guard_late", 1)
            self._close()

    def _look_at_body(self, now: float) -> None:
        assert self._body_time is not None
        if self.flow.read_paused:
            self._body_time.waited_for_us(now)
        elif now > self._body_time.due:
            self._refuse(Refused("too_slow", "a body that came too slowly"), "guard_late")

    def _look_at_answer(self, now: float) -> None:
        if self._taking.stalled_s(now) > self._limits.stall_s:
            self._guard.count("guard_late", 1)
            log.info("a client took nothing of its answer for %g s", self._limits.stall_s)
            self.transport.abort()
