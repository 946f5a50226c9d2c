"""T12 in time: keys reads the same of its database for an asset that is there as for one that is not.

Statements are counted, not clocked. A token that allows nothing is refused before the first of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from keys import SigningKey, sign_url
from keys.container import split_token
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from keys.tokens import mint

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
THERE, UNPUBLISHED, ABSENT = "film", "draft", "none"


@pytest.fixture
async def assets(service: KeysService) -> tuple[str, ...]:
    """One that is published, one that has a generation only, one nobody heard of."""
    made = await service.new_generation(THERE)
    await service.publish(THERE, made.generation, None)
    await service.new_generation(UNPUBLISHED)
    return THERE, UNPUBLISHED, ABSENT


@pytest.fixture
def statements(stores: Stores, assets: tuple[str, ...]) -> list[str]:
    """Every statement the database is given from now on, without its values."""
    given: list[str] = []

    @event.listens_for(stores.database.engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        given.append(statement)

    return given


def bad_tokens(secrets: Secrets, clock: Clock) -> dict[str, str]:
    """Tokens that allow nothing of these assets."""

    def link(key: SigningKey) -> str:
        return split_token(sign_url(f"{EDGE}/v/other/main.m3u8", key, now=clock.now))[1]

    good = link(secrets.issuer)
    return {
        "no token": "x",
        "altered": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBA"),
        "an unknown signer": link(SigningKey.generate("site")),
        "an unknown site": link(SigningKey.generate("stranger")),
        "a link to another asset": good,
        "a session that keys did not open": mint(
            SigningKey.generate("sluice"), sid=bytes(16), asset=THERE, expires=clock.now + 60,
            now=clock.now, hosts=(EDGE,), paths=".*",
        ),
    }  # fmt: skip


async def test_t12_a_bad_token_is_refused_before_the_database_is_asked(
    service: KeysService, secrets: Secrets, clock: Clock, assets: tuple[str, ...], statements: list[str]
) -> None:
    for what, token in bad_tokens(secrets, clock).items():
        for asset in assets:
            for path in (f"/v/{asset}/main.m3u8", f"/d/{asset}/film.mp4"):
                with pytest.raises(Problem, match="forbidden"):
                    await service.open_session(token, EDGE + path, "198.51.100.7", "edge-1")
            for ask in (service.lease, service.renew):
                with pytest.raises(Problem, match="forbidden"):
                    await ask(token, f"{EDGE}/v/{asset}/aes/720p/0.m4s")
        assert statements == [], what


async def test_t12_a_signed_link_to_what_is_not_there_costs_what_one_to_a_draft_costs(
    service: KeysService, secrets: Secrets, clock: Clock, statements: list[str]
) -> None:
    cost = []
    for asset in (UNPUBLISHED, ABSENT):
        url = f"{EDGE}/v/{asset}/main.m3u8"
        token = split_token(sign_url(url, secrets.issuer, now=clock.now))[1]
        statements.clear()
        with pytest.raises(Problem, match="forbidden"):
            await service.open_session(token, url, "198.51.100.7", "edge-1")
        cost.append(list(statements))
    assert cost[0] == cost[1] and cost[0], "one look at what is published"
