"""T17 and F37: whatever a zone's origin is called, connections go only where an origin may be."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.zone.names import AGAIN_S, KEPT_S, TTL_S, Names, Undialled
from edge.zone.upstream import Asked, NoAnswer, Upstream
from edge.zone.zone import Origin, Zone
from keys.addresses import allowed, disguised, kind, literal
from tests.support.certificates import self_signed
from tests.support.serving import served
from tests.support.zone_origins import Clock, Stub, edge_of, port_of

# Spellings of this machine, of its networks, and of metadata services
NUMBERS = [
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1"),
    *("0177.0.0.1", "0177.1", "017700000001", "127.0.0.1.", "127.000.000.001", "0x7F.0x0.0x0.0x1"),
    *("0", "0.0.0.0", "0x0", "127.255.255.254", "2130706433.", "255.255.255.255", "224.0.0.1", "240.0.0.1"),
    *("10.0.0.1", "012.0.0.1", "172.16.0.1", "192.168.1.1", "3232235777", "100.64.0.1", "198.18.0.1"),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "1.0x7f000001"),
]
SIXES = [
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[0:0:0:0:0:ffff:a9fe:a9fe]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]"),
    *("[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%lo]", "[fc00::1]"),
    *("[fd00:ec2::254]", "[ff02::1]", "[fec0::1]", "[2001:db8::1]", "[100::1]", "[5f00::1]"),
]
NAMES = [
    *("localhost", "LOCALHOST", "localhost.", "app.localhost", "localhost.localdomain", "ip6-localhost"),
    *("xn--localhost-", "metadata.google.internal", "rebind.example", "127.0.0.1.nip.example", "a..b", "."),
    *(
        "ⓛocalhost",
        "１２７.0.0.1",
        "127。0。0。1",
        "loc\u00adalhost",
        "localhost\x00.example",
        "user@127.0.0.1",
    ),
    *("example.com#@127.0.0.1", "127.0.0.1\\.example", "%6c%6f%63alhost", "a" * 300),
]
SPELLINGS = [*NUMBERS, *SIXES, *NAMES]


class Listening:
    """A service on this machine that nobody may reach; counts who connects, on IPv4 and IPv6."""

    def __init__(self) -> None:
        self.connected = 0

    async def __aenter__(self) -> "Listening":
        self._stack = AsyncExitStack()
        four = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = four.sockets[0].getsockname()[1]
        await self._stack.enter_async_context(four)
        if socket.has_ipv6:
            six = await asyncio.start_server(self._take, "::1", self.port)
            await self._stack.enter_async_context(six)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        writer.close()


@dataclass
class Script:
    """A resolver that gives one answer after the other; the last one stays. An OSError is raised."""

    answers: list[Sequence[str] | OSError]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


class Refuses:
    """A resolver like the machine's, but for names: those are all on this machine."""

    async def resolve(self, host: str) -> Sequence[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (OSError, UnicodeError):
            return ["127.0.0.1", "::1", "::ffff:127.0.0.1"]
        return [str(each[4][0]) for each in found]


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses to which a connection was tried."""
    tried: list[str] = []

    async def connect(self: object, host: str, port: int, *rest: Any, **more: Any) -> Any:
        tried.append(host)
        raise httpcore.ConnectError("nobody is there")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    return tried


def test_t17_there_are_enough_spellings() -> None:
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 75


@pytest.mark.parametrize("host", SPELLINGS)
async def test_t17_no_spelling_of_a_forbidden_address_is_connected_to(host: str, dialled: list[str]) -> None:
    upstream = Upstream(names=Names(Refuses()))
    with pytest.raises((NoAnswer, ValueError, httpcore.LocalProtocolError)) as refused:
        await upstream.ask(Origin("http", host, 80), Asked("GET", b"/", [(b"host", b"a")]))
    assert dialled == []
    if isinstance(refused.value, NoAnswer):
        assert refused.value.error in ("destination_ip_prohibited", "dns_error") and not refused.value.sent
    await upstream.close()


async def test_what_is_public_is_connected_to(dialled: list[str]) -> None:
    upstream = Upstream(names=Names(Script([["203.0.114.7"]])))
    for host in ("203.0.114.1", "[2a00::1]", "films.example"):
        with pytest.raises(NoAnswer, match="connection_refused"):
            await upstream.ask(Origin("http", host, 80), Asked("GET", b"/", [(b"host", b"a")]))
    assert dialled == ["203.0.114.1", "2a00::1", "203.0.114.7"]
    await upstream.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "0x7f.1", "127.1", "2130706433"])
async def test_t17_a_service_of_this_machine_sees_no_connection(host: str) -> None:
    async with Listening() as canary:
        upstream = Upstream()  # with the machine's own resolver
        with pytest.raises(NoAnswer, match="destination_ip_prohibited"):
            await upstream.ask(Origin("http", host, canary.port), Asked("GET", b"/", [(b"host", b"a")]))
        assert canary.connected == 0
        await upstream.close()


async def test_t17_a_name_that_is_bound_anew_is_never_followed_inside() -> None:
    """The name is good when it is checked, and leads inside when it is looked up again: it is not."""
    async with Listening() as canary:
        tried: list[str] = []
        clock = Clock(stopped=0.0)
        script = Script([["203.0.114.1"], ["127.0.0.1"]])
        names = Names(script, now=clock)
        for _ in range(5):
            for each in await names.addresses("rebind.example", private=False):
                tried.append(each)
            clock.ahead += TTL_S + AGAIN_S
        assert set(tried) == {"203.0.114.1"} and len(script.asked) == 5
        clock.ahead += TTL_S + KEPT_S
        upstream = Upstream(names=names)
        origin = Origin("http", "rebind.example", canary.port)
        with pytest.raises(NoAnswer, match="destination_ip_prohibited"):
            await upstream.ask(origin, Asked("GET", b"/", [(b"host", b"a")]))
        assert canary.connected == 0
        await upstream.close()


async def test_t17_of_a_mixed_answer_only_what_is_allowed_is_used() -> None:
    names = Names(Script([["10.0.0.1", "203.0.114.1", "::ffff:203.0.114.1", "169.254.169.254", "::1"]]))
    assert await names.addresses("mixed.example", private=False) == ("203.0.114.1",)
    assert await names.addresses("mixed.example", private=True) == ("10.0.0.1", "203.0.114.1", "::1")


async def test_t17_private_networks_are_reached_where_the_operator_says_so() -> None:
    stub = Stub()
    async with served(stub) as url:
        port = port_of(url)
        upstream = Upstream(names=Names(Script([["127.0.0.1"]])))
        zones = [
            Zone.parse(f"/private/=http://films.example:{port}", private=True),
            Zone.parse(f"/literal/=http://127.0.0.1:{port}"),
            Zone.parse(f"/=http://films.example:{port}"),
        ]
        async with edge_of(zones, upstream) as edge:
            assert (await edge.get("/private/")).status_code == 200
            assert (await edge.get("/literal/")).status_code == 200
            got = await edge.get("/")
            assert got.status_code == 502, "though a connection to that name is open"
            assert got.headers["proxy-status"] == "edge-a; error=destination_ip_prohibited"
        assert stub.asked == ["GET /private/", "GET /literal/"]


@pytest.mark.parametrize("host", [*NUMBERS, *SIXES])
def test_t17_a_zone_names_addresses_in_their_usual_spelling_or_not_at_all(host: str) -> None:
    try:
        origin = Zone.parse(f"/=http://{host}:8000").origins[0]
    except ValueError:
        return
    address = literal(origin.host)
    assert address is not None and kind(address) == "private" and origin.is_address


@pytest.mark.parametrize("text", ["0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"])
def test_a_zone_that_names_no_origin_there_can_be_says_why(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Zone.parse(f"/=http://{text}:8000")


def test_origins_of_a_zone_stand_in_their_order() -> None:
    zone = Zone.parse("/a/=http://one.example,https://two.example:8443,http://[2a00::1]:81")
    assert [(each.scheme, each.host, each.port, each.is_address) for each in zone.origins] == [
        ("http", "one.example", 80, False),
        ("https", "two.example", 8443, False),
        ("http", "[2a00::1]", 81, True),
    ]
    for wrong in (
        "/=http://a,",
        "/=http://a,http://a:80",
        "/=",
        "/=http://a,ftp://b",
        "/=http://a/b,http://c",
    ):
        with pytest.raises(ValueError, match=r"zone|origin"):
            Zone.parse(wrong)


@given(st.ip_addresses())
def test_an_address_that_is_public_is_so_for_the_registry_too(address: Any) -> None:
    if kind(address) == "public" and getattr(address, "version", 4) == 4:
        assert address.is_global and not address.is_multicast
    if address.version == 6 and kind(address) == "public" and address.ipv4_mapped is None:
        assert not (
            address.is_private or address.is_loopback or address.is_multicast or address.is_link_local
        )
    assert not disguised(str(address)) and literal(str(address)) == address
    assert allowed(address, private=False) <= allowed(address, private=True)


@pytest.mark.parametrize("host", ["1.2.3.4.example", "a1", "8.com", "x0", "0x.example", "1-2-3-4"])
def test_names_with_digits_are_names(host: str) -> None:
    assert not disguised(host)


async def test_f37_the_last_good_addresses_are_used_while_dns_fails_and_no_longer() -> None:
    clock, broken = Clock(stopped=0.0), OSError("no answer")
    script = Script([["203.0.114.1"], broken])
    names = Names(script, now=clock)
    assert await names.addresses("films.example", private=False) == ("203.0.114.1",)
    clock.ahead = TTL_S - 1
    await names.addresses("films.example", private=False)
    assert len(script.asked) == 1, "good for its time"
    for moment in range(int(TTL_S), int(TTL_S + KEPT_S), 2):
        clock.ahead = moment
        assert await names.addresses("films.example", private=False) == ("203.0.114.1",)
    assert len(script.asked) <= KEPT_S / AGAIN_S + 2, "and DNS is not asked all the time"
    clock.ahead = TTL_S + KEPT_S
    with pytest.raises(Undialled) as gone:
        await names.addresses("films.example", private=False)
    assert gone.value.error == "dns_error"
    script.answers = [["203.0.114.2"]]
    assert await names.addresses("films.example", private=False) == ("203.0.114.2",)


@pytest.mark.parametrize("flip", [["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], [], ["nonsense"]])
async def test_f37_a_flip_to_where_no_origin_is_changes_nothing(flip: list[str]) -> None:
    clock = Clock(stopped=0.0)
    names = Names(Script([["203.0.114.1"], flip]), now=clock)
    for _ in range(10):
        assert await names.addresses("films.example", private=False) == ("203.0.114.1",)
        clock.ahead += TTL_S


async def test_f37_a_move_is_followed_after_its_time() -> None:
    clock = Clock(stopped=0.0)
    names = Names(Script([["203.0.114.1"], ["203.0.114.2"]]), now=clock)
    assert await names.addresses("films.example", private=False) == ("203.0.114.1",)
    clock.ahead = TTL_S
    assert await names.addresses("films.example", private=False) == ("203.0.114.2",)


class Hangs:
    """A resolver that does not come back until it is told to."""

    def __init__(self) -> None:
        self.asked, self.go = 0, asyncio.Event()

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked += 1
        if self.asked > 1:
            await self.go.wait()
        return [f"203.0.114.{self.asked}"]


async def test_f37_a_resolver_that_hangs_is_asked_once_and_waited_for_by_nobody_for_long() -> None:
    clock, hangs = Clock(stopped=0.0), Hangs()
    names = Names(hangs, now=clock)
    await names.addresses("films.example", private=False)
    clock.ahead = TTL_S
    found = await asyncio.gather(*(names.addresses("films.example", private=False) for _ in range(50)))
    assert set(found) == {("203.0.114.1",)} and hangs.asked == 2
    with pytest.raises(Undialled) as late:
        await names.addresses("other.example", private=False)
    assert late.value.error == "dns_timeout"
    hangs.go.set()
    await asyncio.sleep(0)
    await names.close()


async def test_f37_a_zone_lives_through_dns_that_fails_and_says_so_when_it_never_worked() -> None:
    stub = Stub(fields=[])
    async with served(stub) as url:
        clock = Clock(stopped=0.0)
        script = Script([["127.0.0.1"], OSError("SERVFAIL")])
        upstream = Upstream(names=Names(script, now=clock))
        zones = [
            Zone.parse(f"/=http://films.example:{port_of(url)}", private=True),
            Zone.parse("/never/=http://never.example", private=True),
        ]
        async with edge_of(zones, upstream) as edge:
            assert (await edge.get("/")).status_code == 200
            clock.ahead = TTL_S + 1
            for pool in upstream._pools.values():
                await pool.aclose()  # so that connections have to be made
            assert (await edge.get("/")).status_code == 200
            got = await edge.get("/never/")
            assert got.status_code == 502 and int(got.headers["retry-after"]) > 0
            assert got.headers["proxy-status"] == "edge-a; error=dns_error"
        assert set(stub.hosts) == {edge.client.base_url.netloc.decode()}, "the name is not in the way of Host"


async def test_the_next_address_of_a_name_is_tried_when_one_fails_or_takes_long() -> None:
    stub = Stub(fields=[])
    async with served(stub) as url:
        names = Names(Script([["127.0.0.9", "::1", "127.0.0.1"]]))  # nobody listens on the first two
        upstream = Upstream(names=names)
        zone = Zone.parse(f"/=http://films.example:{port_of(url)}", private=True)
        async with edge_of([zone], upstream) as edge:
            assert (await edge.get("/")).status_code == 200
            assert edge.counts["zone_origin_requests"] == 1 and not edge.counts["zone_origin_errors"]


async def test_tls_is_spoken_with_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(certificate, key)
    named: list[str] = []
    here.sni_callback = lambda _, name, __: named.append(name or "")

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answers, "127.0.0.1", 0, ssl=here) as server:
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cafile=str(certificate))
        upstream = Upstream(names=Names(Script([["127.0.0.1"]])), tls=trusting)
        asked = Asked("GET", b"/", [(b"host", b"films.example")])
        reply = await upstream.ask(Origin("https", "localhost", port), asked, private=True)
        assert reply.status == 204 and named == ["localhost"]
        await reply.close()
        with pytest.raises(NoAnswer) as refused:  # the certificate is not of that name
            await upstream.ask(Origin("https", "other.example", port), asked, private=True)
        assert refused.value.error == "tls_certificate_error" and not refused.value.sent
        assert named == ["localhost", "other.example"]
        await upstream.close()
