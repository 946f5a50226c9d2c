"""Tokens and remembered answers in both databases."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from keys.problems import Problem
from origin.control.repeats import CLAIMED_S, Remembered, Repeats
from origin.control.sealing import Sealer
from origin.control.tokens import ApiTokens
from origin.store.catalogue import Catalogue
from tests.origin.store.conftest import database_url, postgresql_url

__all__ = ["database_url", "postgresql_url"]  # fixtures

ANSWER = Remembered(201, {"location": "/x"}, b'{"url":"https://edge.example/v;T=1"}')


@pytest.fixture
async def catalogue(database_url: str) -> AsyncIterator[Catalogue]:
    found = await Catalogue.open(database_url)
    yield found
    await found.close()


async def test_a_token_is_found_by_its_hash_until_it_is_revoked(catalogue: Catalogue) -> None:
    tokens = ApiTokens(catalogue.database, time.time)
    made, text = await tokens.add("cms", ["links"])
    found = await tokens.check(text)
    assert (found.id, found.scopes) == (made.id, ("links",))
    with pytest.raises(Problem, match="already"):
        await tokens.add("cms", ["links"])
    await tokens.revoke("cms")
    with pytest.raises(Problem, match="revoked"):
        await tokens.check(text)
    with pytest.raises(Problem):
        await tokens.check(text[:-1] + ("A" if text[-1] != "A" else "E"))
    assert [each.state(time.time()) for each in await tokens.list()] == ["revoked"]


async def test_of_many_at_once_one_may_begin(catalogue: Catalogue) -> None:
    repeats = Repeats(catalogue.database, Sealer("a" * 40), time.time)
    begun = await asyncio.gather(*(repeats.begin("me", "k", b"1") for _ in range(8)), return_exceptions=True)
    assert begun.count(None) == 1
    assert {each.code for each in begun if isinstance(each, Problem)} == {"conflict"}
    await repeats.done("me", "k", ANSWER)
    assert await repeats.begin("me", "k", b"1") == ANSWER
    assert await repeats.begin("you", "k", b"1") is None, "a key is its caller's alone"
    with pytest.raises(Problem, match="another request"):
        await repeats.begin("me", "k", b"2")


async def test_who_died_in_the_middle_frees_the_key_in_the_end(catalogue: Catalogue) -> None:
    now = [1000.0]
    repeats = Repeats(catalogue.database, Sealer("a" * 40), lambda: now[0])
    assert await repeats.begin("me", "k", b"1") is None
    now[0] += CLAIMED_S + 1
    assert await repeats.begin("me", "k", b"1") is None
    with pytest.raises(Problem):
        await repeats.begin("me", "k", b"1")


async def test_remembered_answers_are_wrapped_and_lost_with_the_admin_token(catalogue: Catalogue) -> None:
    first = Repeats(catalogue.database, Sealer("a" * 40), time.time)
    await first.begin("me", "k", b"1")
    await first.done("me", "k", ANSWER)
    with pytest.raises(Problem, match="cannot be read"):
        await Repeats(catalogue.database, Sealer("b" * 40), time.time).begin("me", "k", b"1")
