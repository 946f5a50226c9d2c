"""Sessions, revocations and zones in the API: asked of the keys service, with the operator's token.

Keys decides and remembers; here its answers are put into the API's form.
"""

from typing import Any, Final, Literal, Protocol

from pydantic import Field, ValidationError

from keys.problems import Problem
from keys.purge import Purge
from keys.revocation import Entry
from origin.control.operation import LINE, Call, Line, Model, Operation, Reply
from origin.control.paging import Paged, page

LONGEST_LOOK_S: Final = 7 * 86_400
_ADMIN_KINDS: Final = ("kid", "epoch")  # they end everything of a site


class Keys(Protocol):
    """What is asked of keys: `keys.client.KeysClient` with the admin token."""

    async def sessions(
        self, live_within_s: float = 60, viewer: str | None = None
    ) -> list[dict[str, Any]]: ...
    async def end_sessions(self, viewer: str) -> list[str]: ...
    async def revoke(self, kind: str, value: str) -> Entry: ...
    async def lift(self, kind: str, value: str) -> Entry: ...
    async def zones(self) -> list[dict[str, Any]]: ...
    async def purge_and_warning(
        self, zone: str, kind: str, value: str = "", *, soft: bool = False
    ) -> tuple[Purge, str]: ...


class Ripper(Model):
    """Whether the session looks like a ripper's."""

    score: int
    signals: dict[str, int]
    acted: str


class SessionView(Model):
    """One playback session."""

    sid: str
    lid: str
    asset: str
    generation: int
    viewer: str | None
    client_ip: str
    opened: float
    expires: float
    edge: str
    last_seen: float | None
    requests: int
    bytes: int
    media_s: float
    state: str
    ripper: Ripper
    offline_until: float | None


class SessionList(Model):
    """A page of sessions, the one seen last first."""

    items: list[SessionView]
    next: str | None = Field(description="Cursor of the next page; null: this is the last.")


class SessionQuery(Paged):
    """Which sessions."""

    live_within_s: float = Field(
        default=60, ge=0, le=LONGEST_LOOK_S, description="Seen within so many seconds."
    )
    viewer: Line = Field(default="", description="Of this viewer only.")
    asset: Line = Field(default="", description="Of this asset only.")


class EndQuery(Model):
    """Whose sessions are to end."""

    viewer: Line = Field(min_length=1)


class Ended(Model):
    """The sessions that ended."""

    ended: list[str]


class RevocationRequest(Model):
    """What is taken back, or with `lift` given again."""

    kind: Literal["sid", "lid", "viewer", "asset", "kid", "epoch", "slow"]
    value: Line = Field(min_length=1)
    lift: bool = False


class RevocationView(Model):
    """What the log of revocations says."""

    version: int
    kind: str
    value: str
    until: float = Field(description="Until when it counts; 0: it lifts those before.")


class ZoneView(Model):
    """A zone, and the edges and shields that say they have it."""

    name: str
    nodes: list[str]


class ZoneList(Model):
    """The zones that are served."""

    items: list[ZoneView]


class PurgeRequest(Model):
    """What is to go from every edge."""

    kind: Literal["url", "prefix", "key", "zone"]
    value: str = Field(
        default="", max_length=2048, pattern=LINE, description="Path, or surrogate key; of a zone: none."
    )
    soft: bool = Field(default=False, description="Only make it stale.")


class PurgeView(Model):
    """What the log of purges says."""

    version: int
    zone: str
    kind: str
    value: str
    soft: bool
    warning: str = Field(description="A sentence when no edge has such a zone; else empty.")


class PlayingOperations:
    """The rows."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def rows(self) -> list[Operation]:
        """In the order of the document."""
        away = (502, 503)
        return [
            Operation(
                "GET", "/sessions", "listSessions", "sessions", "sessions:read", "List who watches what",
                self.sessions, query=SessionQuery, answer=SessionList, problems=away,
            ),
            Operation(
                "DELETE", "/sessions", "endSessions", "sessions", "sessions:write",
                "End all sessions of a viewer; his links stay good",
                self.end, query=EndQuery, answer=Ended, problems=away,
            ),
            Operation(
                "DELETE", "/sessions/{sid}", "endSession", "sessions", "sessions:write", "End one session",
                self.end_one, status=204, problems=(404, *away),
            ),
            Operation(
                "POST", "/revocations", "revoke", "sessions", "sessions:write", "Revoke, or lift",
                self.revoke, body=RevocationRequest, answer=RevocationView, status=201,
                problems=(404, 409, *away), example={"kind": "viewer", "value": "customer-4711"},
            ),
            Operation(
                "GET", "/zones", "listZones", "zones", "zones:read", "List zones",
                self.zones, answer=ZoneList, problems=away,
            ),
            Operation(
                "POST", "/zones/{zone}/purges", "purgeZone", "zones", "zones:purge",
                "Purge what edges keep of a zone",
                self.purge, body=PurgeRequest, answer=PurgeView, status=201, problems=away,
                example={"kind": "key", "value": "article-7"},
            ),
        ]  # fmt: skip

    async def sessions(self, call: Call) -> Reply:
        """`GET /sessions`."""
        asked = call.queried(SessionQuery)
        found = await self._keys.sessions(asked.live_within_s, asked.viewer or None)
        try:
            known = [SessionView.model_validate(each) for each in found]
        except ValidationError as exc:
            raise Problem(
                "bad_upstream", "Keys tells of sessions in another form.", detail=str(exc)[:300]
            ) from exc
        wanted = [each for each in known if asked.asset in ("", each.asset)]
        shown, following = page(wanted, lambda each: (float(each.last_seen or 0), each.sid), asked)
        return Reply(SessionList(items=list(shown), next=following))

    async def end(self, call: Call) -> Reply:
        """`DELETE /sessions?viewer=V`."""
        return Reply(Ended(ended=await self._keys.end_sessions(call.queried(EndQuery).viewer)))

    async def end_one(self, call: Call) -> Reply:
        """`DELETE /sessions/{sid}`."""
        await self._keys.revoke("sid", call.path["sid"])
        return Reply()

    async def revoke(self, call: Call) -> Reply:
        """`POST /revocations`."""
        asked = call.sent(RevocationRequest)
        if asked.kind in _ADMIN_KINDS and call.caller is not None:
            raise Problem("forbidden", "The admin token alone takes back signing keys and epochs.")
        change = self._keys.lift if asked.lift else self._keys.revoke
        return Reply(RevocationView.model_validate((await change(asked.kind, asked.value)).to_json()))

    async def zones(self, call: Call) -> Reply:
        """`GET /zones`."""
        return Reply(ZoneList(items=[ZoneView.model_validate(each) for each in await self._keys.zones()]))

    async def purge(self, call: Call) -> Reply:
        """`POST /zones/{zone}/purges`."""
        asked = call.sent(PurgeRequest)
        made, warning = await self._keys.purge_and_warning(
            call.path["zone"], asked.kind, asked.value, soft=asked.soft
        )
        return Reply(PurgeView.model_validate(made.to_json() | {"warning": warning}))
