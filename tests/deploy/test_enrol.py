"""A node asks until keys takes it; one that is known already needs no join token."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.enrol import enrol, identity
from keys.client import KeysClient
from keys.problems import Problem
from tests.support.serving import served

ANEW = "the-new-join-token"


class Keys:
    """As much of the keys service as enrolling needs."""

    def __init__(self) -> None:
        self.known = False
        self.asked = 0
        self.app = Starlette(
            routes=[
                Route("/v1/enrol", self.enrol, methods=["POST"]),
                Route("/v1/trust", self.trust, methods=["GET"]),
            ]
        )

    async def enrol(self, request: Request) -> Response:
        self.asked += 1
        if request.headers["authorization"] != f"Bearer {ANEW}":
            return _refused("unauthenticated", 401)
        self.known = True
        return Response(status_code=204)

    async def trust(self, request: Request) -> Response:
        return Response(json.dumps({})) if self.known else _refused("unauthenticated", 401)


def _refused(code: str, status: int) -> Response:
    problem = Problem(code)
    return Response(problem.body(), status, dict(problem.headers()))


@pytest.fixture
async def keys() -> AsyncIterator[tuple[Keys, KeysClient]]:
    found = Keys()
    async with served(found.app) as url, KeysClient(url) as client:
        yield found, client


async def test_a_known_node_whose_join_token_is_the_old_one_is_content(
    keys: tuple[Keys, KeysClient], tmp_path: Path
) -> None:
    service, client = keys
    service.known = True
    await enrol(client, identity(tmp_path / "edge-1", "edge-1", "edge"), "old")
    assert service.asked == 1


async def test_an_unknown_node_with_the_old_token_goes_on_asking_and_is_taken_with_the_new(
    keys: tuple[Keys, KeysClient], tmp_path: Path
) -> None:
    service, client = keys
    node = identity(tmp_path / "edge-1", "edge-1", "edge")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await enrol(client, node, "old")
    assert service.asked >= 2 and not service.known
    await enrol(client, node, ANEW)
    assert service.known
