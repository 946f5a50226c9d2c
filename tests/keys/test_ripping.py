"""What is done about rippers, over real databases: once, as the site says, and never to who watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from keys import sign_url
from keys.container import split_token
from keys.leases import OpenedSession
from keys.pace import Pace
from keys.problems import Problem
from keys.revocation import SLOW
from keys.ripping import LOOK_BACK_S, Policy, devices_of
from keys.secrets import Secrets
from keys.service import KeysService
from keys.sessions import Activity, Rules
from keys.store_rippers import Who
from keys.stores import Stores

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/7.m4s"


class Site:
    """A service with a policy, and viewers whose sessions edges tell of."""

    def __init__(self, service: KeysService, secrets: Secrets, clock: Clock, counted: list[str]) -> None:
        self.service = service
        self._secrets = secrets
        self.clock = clock
        self._counted = counted
        self._clients = 0

    def link(self, viewer: str | None) -> str:
        token = split_token(sign_url(FILM, self._secrets.issuer, now=self.clock.now, viewer=viewer))[1]
        assert token is not None
        return token

    async def opened(self, link: str) -> OpenedSession:
        self._clients += 1
        return await self.service.open_session(link, FILM, f"10.0.{self._clients}.1", "edge-1")

    async def ripped(self, viewer: str | None = "rita", sessions: int = 4) -> list[OpenedSession]:
        """Sessions of one link that take from as many places at once, for ten minutes."""
        link = self.link(viewer)
        found = [await self.opened(link) for _ in range(sessions)]
        self.clock.advance(600)
        for place, session in enumerate(found):
            await self.tell(session, media_s=500.0, held_s=590.0, position_s=1000.0 * (place + 1))
        return found

    async def tell(self, session: OpenedSession, **seen: Any) -> None:
        told = Activity(self.clock.now, 100, 10**8, **seen)
        await self.service.add_activity("edge-1", {session.sid: told})

    async def look(self) -> None:
        await self.service.ripping.look(self.clock.now)

    async def ripper(self, session: OpenedSession) -> dict[str, Any]:
        listed = await self.service.sessions(LOOK_BACK_S)
        (found,) = [one["ripper"] for one in listed if one["sid"] == session.sid]
        assert isinstance(found, dict)
        return found

    async def lease_code(self, session: OpenedSession) -> str | None:
        try:
            await self.service.lease(session.session_token, SEGMENT)
        except Problem as problem:
            return problem.code
        return None

    def counted(self) -> list[str]:
        return [name for name in self._counted if name.startswith("keys_ripper")]

    async def slowed(self, name: str) -> bool:
        feed = await self.service.revocations(0, 0)
        return any((e.kind, e.value) == (SLOW, name) and e.until > self.clock.now for e in feed.entries)


@pytest.fixture
async def site(
    any_stores: Stores, secrets: Secrets, clock: Clock, counted: list[str], request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    policy = Policy(getattr(request, "param", "log"))
    service = await KeysService.start(
        any_stores, secrets, hosts=[EDGE], rippers=policy, now=clock, count=counted.append
    )
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    yield Site(service, secrets, clock, counted)


slowing = pytest.mark.parametrize("site", ["slow"], indirect=True)
revoking = pytest.mark.parametrize("site", ["revoke"], indirect=True)


async def test_a_ripper_is_logged_once_and_shown_and_plays_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "keys.ripping")
    found = await site.ripped()
    for _ in range(3):
        await site.look()
        site.clock.advance(30)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("ripper score=") and "action=log" in line and "sessions=40" in line
    assert "rita" not in line and found[0].session_token not in line
    assert site.counted() == ["keys_rippers"]
    shown = await site.ripper(found[0])
    assert shown["score"] >= 60 and shown["acted"] == "log"
    assert {"sessions": 40, "apart": 35}.items() <= shown["signals"].items()
    assert [await site.lease_code(session) for session in found] == [None] * 4
    assert not await site.slowed("rita")


async def test_who_watches_is_shown_with_his_score_and_nothing_is_done(site: Site) -> None:
    session = await site.opened(site.link("anna"))
    site.clock.advance(1200)
    await site.tell(session, media_s=1200.0 + 2 * 600, held_s=300.0, position_s=1800.0)
    await site.look()
    assert await site.ripper(session) == {"score": 35, "signals": {"ahead": 25, "unbroken": 10}, "acted": ""}
    assert site.counted() == []


@slowing
async def test_a_slowed_viewer_is_slowed_by_name_and_an_operator_lifts_it(site: Site) -> None:
    found = await site.ripped()
    await site.look()
    assert await site.slowed("rita") and not await site.slowed("anna")
    assert [await site.lease_code(session) for session in found] == [None] * 4, "slowed, never refused"
    assert await site.lease_code(await site.opened(site.link("rita"))) is None
    assert site.counted() == ["keys_rippers", "keys_rippers_slowed"]
    await site.service.revoker.lift(SLOW, "rita")
    assert not await site.slowed("rita")
    await site.look()
    assert not await site.slowed("rita"), "what an operator lifted stays so while these sessions run"
    assert (await site.ripper(found[0]))["acted"] == "lifted"
    assert site.counted() == ["keys_rippers", "keys_rippers_slowed"]
    await site.service.revoker.revoke(SLOW, "rita")
    assert await site.slowed("rita"), "an operator may slow anybody himself"


@slowing
async def test_without_a_viewer_the_link_is_slowed(site: Site, any_stores: Stores) -> None:
    await site.ripped(viewer=None)
    (who,) = await any_stores.rippers.seen_since(0.0, site.clock.now)
    assert who.viewer is None and who.name == who.link_id
    await site.look()
    assert await site.slowed(who.link_id)


@revoking
@pytest.mark.parametrize("viewer", ["rita", None])
async def test_a_rippers_sessions_end_and_his_links_stay_good(site: Site, viewer: str | None) -> None:
    other = await site.opened(site.link("anna"))
    found = await site.ripped(viewer)
    await site.look()
    assert [await site.lease_code(session) for session in found] == ["revoked"] * 4
    assert {entry.value for entry in (await site.service.revocations(0, 0)).entries} == {s.sid for s in found}
    assert (await site.ripper(found[0]))["acted"] == "revoke"
    assert await site.lease_code(other) is None
    assert await site.lease_code(await site.opened(site.link(viewer))) is None
    await site.look()
    assert site.counted() == ["keys_rippers", "keys_rippers_revoked"]


@revoking
async def test_who_begins_again_after_that_is_ended_again(site: Site) -> None:
    for _ in range(2):
        found = await site.ripped()
        await site.look()
        assert [await site.lease_code(session) for session in found] == ["revoked"] * 4
    assert site.counted() == ["keys_rippers", "keys_rippers_revoked"] * 2


@revoking
async def test_of_two_processes_that_look_at_once_one_acts(
    site: Site, any_stores: Stores, secrets: Secrets, clock: Clock, counted: list[str]
) -> None:
    other = await KeysService.start(
        any_stores, secrets, hosts=[EDGE], rippers=Policy("revoke"), now=clock, count=counted.append
    )
    await site.ripped()
    await asyncio.gather(site.look(), other.ripping.look(clock.now))
    assert site.counted() == ["keys_rippers", "keys_rippers_revoked"]


async def test_viewers_of_the_same_name_in_two_tenants_and_links_of_two_sites_are_others() -> None:
    assert len({Who("a", "x"), Who("b", "x"), Who("a", None, "i", "x"), Who("a", None, "j", "x")}) == 4


def test_devices_are_what_the_pace_feeds_or_the_site_allows() -> None:
    assert devices_of(Pace(), Rules()) == 2
    assert devices_of(Pace(rate=4.5), Rules()) == 5
    assert devices_of(Pace(), Rules(streams=4)) == 4
    assert devices_of(Pace(), Rules(streams=1)) == 2


@pytest.mark.parametrize(("action", "score"), [("warn", 60), ("log", 0), ("log", 101)])
def test_a_policy_nobody_can_follow_is_none(action: str, score: int) -> None:
    with pytest.raises(ValueError, match="log, slow or revoke"):
        Policy(action, score)
