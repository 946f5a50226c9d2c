"""The client of the keys service, against a real server: typed answers, refusals, time limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keys import sign_url
from keys.client import KeysClient, node_credential
from keys.container import split_token
from keys.leases import Lease, NewGeneration, OpenedSession
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.revocation import RevocationSet
from keys.secrets import Secrets
from keys.service import KeysService
from keys.sessions import Activity
from keys.stores import Stores
from keys.tokens import Trust, verify

if TYPE_CHECKING:
    from tests.keys.conftest import Clock, Serve

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/0.m4s"

MakeClient = Callable[[str], KeysClient]


@contextlib.asynccontextmanager
async def speaking(answer: bytes) -> AsyncIterator[str]:
    """A server that answers these bytes to whatever it is asked; its URL."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def url(service: KeysService, serve: Serve) -> str:
    return await serve(service)


@pytest.fixture
async def client(url: str, secrets: Secrets, clock: Clock, tmp_path: Path) -> AsyncIterator[MakeClient]:
    """A client by role: `edge` and `origin` are enrolled nodes, `admin` an operator."""
    made: list[KeysClient] = []

    def make(role: str) -> KeysClient:
        if role == "admin":
            client = KeysClient(url, lambda: secrets.admin_token)
        else:
            identity = NodeIdentity.load_or_create(tmp_path / f"{role}.json", f"{role}-1", role)
            client = KeysClient(url, node_credential(identity, clock))
        made.append(client)
        return client

    async with KeysClient(url) as newcomer:
        for role in ("edge", "origin"):
            identity = NodeIdentity.load_or_create(tmp_path / f"{role}.json", f"{role}-1", role)
            await newcomer.enrol(identity, secrets.origin_token if role == "origin" else secrets.join_token)
    yield make
    for one in made:
        await one.close()


async def test_a_session_from_publishing_to_revocation_through_the_client(
    client: MakeClient, secrets: Secrets, clock: Clock
) -> None:
    origin, edge, admin = client("origin"), client("edge"), client("admin")
    await edge.health()
    made = await origin.new_generation("film")
    assert isinstance(made, NewGeneration)
    assert len(made.storage_key) == 32
    await origin.publish("film", made.generation, {"burst_s": 20.0})
    token = split_token(sign_url(FILM, secrets.issuer, viewer="anna", now=clock.now))[1]
    session = await edge.open_session(token, FILM, "198.51.100.7")
    assert isinstance(session, OpenedSession)
    trust = Trust.from_json(await edge.trust())
    assert verify(session.session_token, uri=SEGMENT, trust=trust, now=clock.now).sid == session.sid
    lease = await edge.lease(session.session_token, SEGMENT)
    assert isinstance(lease, Lease)
    assert (lease.sk, lease.viewer, lease.pace.burst_s) == (made.storage_key, "anna", 20.0)
    await edge.tell_activity({session.sid: Activity(clock.now, 2, 10, 4.0)})
    (listed,) = await admin.sessions()
    assert (listed["sid"], listed["requests"]) == (session.sid, 2)

    revoked = RevocationSet()
    held = asyncio.create_task(edge.revocations(revoked.version, wait_s=25))
    entry = await admin.revoke("sid", session.sid)
    assert revoked.apply(await held)
    assert revoked.find(now=clock.now, sid=session.sid) == "sid"
    assert entry.version == revoked.version == 1
    with pytest.raises(Problem) as caught:
        await edge.lease(session.session_token, SEGMENT)
    assert caught.value.code == "revoked"
    assert caught.value.message == "This link was withdrawn by its publisher."
    await admin.delete_asset("film")
    await origin.delete_asset("film")


async def test_a_downloads_token_is_renewed_through_the_client(
    client: MakeClient, secrets: Secrets, clock: Clock
) -> None:
    origin, edge, file = client("origin"), client("edge"), f"{EDGE}/d/film/film.mp4"
    await origin.publish("film", (await origin.new_generation("film")).generation)
    link = split_token(sign_url(file, secrets.issuer, renew="redirect", renew_s=50, now=clock.now))[1]
    session, trust = await edge.open_session(link, file, "198.51.100.7"), Trust.from_json(await edge.trust())
    clock.advance(40)
    renewed = await edge.renew(session.session_token, file)
    assert (renewed.sid, renewed.expires) == (session.sid, session.expires)
    ends = [
        verify(text, uri=file, trust=trust, now=clock.now).exp
        for text in (session.session_token, renewed.session_token)
    ]
    assert ends == [int(clock.now) + 10, int(clock.now) + 50]
    assert (await edge.lease(renewed.session_token, file)).sid == session.sid


async def test_t21_what_is_handed_out_does_not_print_its_secrets(
    client: MakeClient, secrets: Secrets, clock: Clock
) -> None:
    origin, edge = client("origin"), client("edge")
    made = await origin.new_generation("film")
    await origin.publish("film", made.generation)
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now))[1]
    session = await edge.open_session(token, FILM, "198.51.100.7")
    lease = await edge.lease(session.session_token, SEGMENT)
    shown = repr((made, session, lease))
    for secret in (repr(lease.srk), repr(lease.sk), session.session_token, repr(made.storage_key)):
        assert secret not in shown


async def test_250_sessions_fit_one_call(client: MakeClient) -> None:
    most = Activity(1_800_000_000.1234567, 2**31, 2**43, *[1234567.123456789] * 5)
    edge = client("edge")
    await edge.tell_activity({f"{n:022}": most for n in range(250)})
    with pytest.raises(Problem) as caught:
        await edge.tell_activity({f"{n:022}": most for n in range(1000)})
    assert caught.value.status in (400, 413), "there is a limit, and the call above is below it"


async def test_the_jwks_is_public(url: str) -> None:
    async with KeysClient(url) as nobody:
        assert [key["alg"] for key in (await nobody.jwks())["keys"]] == ["EdDSA"]
        with pytest.raises(Problem) as caught:
            await nobody.trust()
    assert caught.value.code == "unauthenticated"


async def test_two_services_on_one_database_tell_each_others_revocations(
    client: MakeClient, stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    other = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    held = asyncio.create_task(client("edge").revocations(0, wait_s=25))
    await other.revoker.revoke("viewer", "anna")
    assert [entry.value for entry in (await held).entries] == ["anna"]


async def test_a_poll_in_which_nothing_happens_ends_empty_in_time(client: MakeClient) -> None:
    feed = await client("edge").revocations(0, wait_s=0.05)
    assert (feed.version, feed.entries) == (0, ())


async def test_nobody_at_the_other_end_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with KeysClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Problem) as caught:
            await client.health()
    assert (caught.value.code, caught.value.retry_after_s) == ("unavailable", 2)


async def test_f27_a_service_that_hangs_is_unavailable_after_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with KeysClient(url, timeout_s=0.05) as client:
            with pytest.raises(Problem) as caught:
                await client.open_session("t", FILM, "10.0.0.1")
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (b"200 OK", b"[]"),
        (b"200 OK", b"{}"),
        (b"200 OK", b"nope"),
        (b"500 Oops", b"nope"),
        (b"500 Oops", b'{"code":"forbidden","message":""}'),
        (b"418 Tea", b'{"code":"teapot","message":"1"}'),
        (b"302 Away", b"{}"),
        (b"no HTTP", b""),
    ],
)
async def test_an_answer_of_another_form_is_bad_upstream(status: bytes, body: bytes) -> None:
    answer = b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)
    async with speaking(answer) as url, KeysClient(url) as client:
        with pytest.raises(Problem) as caught:
            await client.revocations(0)
    assert caught.value.code == "bad_upstream"


async def test_an_answer_that_is_cut_is_unavailable() -> None:
    async with speaking(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{") as url, KeysClient(url) as client:
        with pytest.raises(Problem) as caught:
            await client.revocations(0)
    assert caught.value.code == "unavailable"


async def test_the_servers_retry_time_and_id_are_kept() -> None:
    body = b'{"code":"unavailable","status":503,"message":"Later.","id":"abc"}'
    head = b"HTTP/1.1 503 U\r\nretry-after: 7\r\nsluice-request-id: abc\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    async with speaking(head + body) as url, KeysClient(url) as client:
        with pytest.raises(Problem) as caught:
            await client.health()
    assert (caught.value.code, caught.value.retry_after_s, caught.value.id) == ("unavailable", 7, "abc")
    assert caught.value.message == "Later."
