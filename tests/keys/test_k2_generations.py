"""K2: a replaced upload is a generation with keys of its own; sessions stay with the one they opened on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keys import sign_url
from keys.container import split_token
from keys.derive import content_key, key_id
from keys.leases import OpenedSession
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.sessions import Rules
from keys.store_keys import SUPERSEDED_KEPT_S
from keys.stores import Stores

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/7.m4s"


async def opened(service: KeysService, secrets: Secrets, clock: Clock) -> OpenedSession:
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now, session_s=48 * 3600))[1]
    return await service.open_session(token, FILM, "198.51.100.7", "edge-1")


async def published(service: KeysService) -> int:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    return made.generation


async def test_k2_a_session_is_pinned_to_the_generation_it_opened_on_which_is_kept_a_day(
    stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    rules = Rules(maximum_s=48 * 3600)
    service = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock, rules=rules)
    await published(service)
    before = await opened(service, secrets, clock)
    first = await service.lease(before.session_token, SEGMENT)
    assert await published(service) == 2
    after = await opened(service, secrets, clock)
    second = await service.lease(after.session_token, SEGMENT)
    still = await service.lease(before.session_token, SEGMENT)
    assert (before.generation, after.generation) == (1, 2)
    assert (still.generation, still.srk, still.sk) == (1, first.srk, first.sk)
    assert second.sk != first.sk
    clock.advance(SUPERSEDED_KEPT_S + 1)
    await stores.forget(clock.now)
    with pytest.raises(Problem) as caught:
        await service.lease(before.session_token, SEGMENT)
    assert caught.value.code == "revoked"
    assert (await service.lease(after.session_token, SEGMENT)).sk == second.sk


async def test_k2_another_generation_means_other_content_keys_and_other_key_ids(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    keys, ids = set(), set()
    for generation in (1, 2):
        assert await published(service) == generation
        session = await opened(service, secrets, clock)
        lease = await service.lease(session.session_token, SEGMENT)
        keys.add(content_key(lease.srk, "aes", "video", "720p", 0))
        ids.add(key_id("default", "film", generation, "aes", "video", "720p", 0))
    assert len(keys) == len(ids) == 2
