"""Webhooks against a receiver on a real socket: signed, retried, persisted, disabled, never redirected."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import re
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from origin.control.sealing import Sealer
from origin.hooks import retrying
from origin.hooks.dispatcher import Dispatcher
from origin.hooks.sending import Sender
from origin.hooks.store import CLAIMED_S, Webhooks
from origin.store.catalogue import Catalogue
from tests.support.certificates import self_signed
from tests.support.receiver import Receiver, receiving
from tests.support.serving import listening_on

ADMIN = "admin-" + "a" * 40
HERE = [ipaddress.ip_network("127.0.0.0/8")]
ALL = ("asset.created", "asset.queued", "asset.ingesting", "asset.published", "asset.failed", "asset.deleted")


class Place:
    """A catalogue, its webhooks and what sends them, at a time of our own."""

    def __init__(self, catalogue: Catalogue, admin: str = ADMIN) -> None:
        self.now = time.time()
        self.catalogue = catalogue
        self.hooks = Webhooks(catalogue.database, Sealer(admin), lambda: self.now)
        self.counts: list[str] = []
        self.dispatcher = self.dispatching()

    def dispatching(self, sender: Sender | None = None) -> Dispatcher:
        """What sends."""
        sender = sender or Sender(HERE)
        return Dispatcher(
            self.hooks, sender, now=lambda: self.now, count=self.counts.append, look_every_s=0.01
        )


@contextlib.asynccontextmanager
async def placed(url: str, admin: str = ADMIN) -> AsyncIterator[Place]:
    catalogue = await Catalogue.open(url)
    try:
        yield Place(catalogue, admin)
    finally:
        await catalogue.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(f"sqlite:///{tmp_path / 'catalogue.db'}") as found:
        yield found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def ingest(catalogue: Catalogue, id: str, end: str = "published") -> None:
    """An asset from its creation to its end."""
    await catalogue.create(source_name="f.mp4", id=id, state="queued")
    await catalogue.set_state(id, "ingesting")
    if end == "published":
        shape = {"generation": 3, "duration": 90.0, "width": 1280, "height": 720, "size_bytes": 5}
        await catalogue.publish(id, **shape, renditions=["720p"])  # type: ignore[arg-type]
    else:
        await catalogue.set_state(id, end, error="It holds no video.")


def test_a_day_of_waiting_lies_between_the_first_attempt_and_the_last() -> None:
    assert sum(retrying.WAITS_S) == 86_400
    times = [retrying.next_attempt(number, 0.0, 0.0) for number in range(1, len(retrying.WAITS_S) + 2)]
    assert times[-1] is None and times[:-1] == list(retrying.WAITS_S) == sorted(retrying.WAITS_S)


async def test_each_state_of_an_asset_is_told_signed_as_standard_webhooks_says(
    place: Place, receiver: Receiver
) -> None:
    hook, secret = await place.hooks.add(receiver.url, ALL)
    place.now += 1
    await ingest(place.catalogue, "film")
    await ingest(place.catalogue, "broken", "failed")
    await place.catalogue.delete("broken")
    while await place.dispatcher.step():
        pass
    told = {(body["type"], body["data"]["asset"]) for body in receiver.bodies()}
    assert told == {
        *((f"asset.{state}", "film") for state in ("created", "ingesting", "published")),
        *((f"asset.{state}", "broken") for state in ("created", "ingesting", "failed", "deleted")),
    }
    (failed,) = [body for body in receiver.bodies() if body["type"] == "asset.failed"]
    assert failed["data"]["error"] == "It holds no video." and failed["created"].endswith("Z")
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{right}"
        assert headers["host"] in receiver.url and headers["content-type"] == "application/json"
    assert {message.state for message in await place.hooks.messages(hook.id, 50)} == {"delivered"}


async def test_only_events_that_were_asked_for_after_that_are_told(place: Place, receiver: Receiver) -> None:
    await ingest(place.catalogue, "before")
    place.now += 10
    await place.hooks.add(receiver.url, ["asset.published"])
    await ingest(place.catalogue, "ignored", "failed")
    await place.dispatcher.step()
    assert receiver.got == [] and await place.dispatcher.step() == 0


@pytest.mark.parametrize("status", [500, 404, 301, 302, 307])
async def test_what_is_not_taken_is_sent_again_later_the_same(
    place: Place, receiver: Receiver, status: int
) -> None:
    hook, _ = await place.hooks.add(receiver.url, ["asset.created"])
    receiver.answers = [status, status]
    await place.catalogue.create(source_name="f", id="film")
    await place.dispatcher.step()
    (message,) = await place.hooks.messages(hook.id, 5)
    assert (message.state, message.attempts, message.status) == ("waiting", 1, status)
    assert ("redirects are not followed" in message.error) is (300 <= status < 400)
    assert await place.dispatcher.step() == 0, "not before its time"
    for _ in range(2):
        place.now += 60
        await place.dispatcher.step()
    (message,) = await place.hooks.messages(hook.id, 5)
    assert (message.state, message.attempts, message.error) == ("delivered", 3, "")
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.got}) == 3
    assert (await place.hooks.get(hook.id)).failing_since is None
    assert place.counts == ["webhooks_failed", "webhooks_failed", "webhooks_delivered"]


async def test_a_receiver_that_hangs_is_given_up_and_asked_again(place: Place, receiver: Receiver) -> None:
    receiver.hangs = True
    hook, _ = await place.hooks.add(receiver.url, ["asset.created"])
    await place.catalogue.create(source_name="f", id="film")
    await place.dispatching(Sender(HERE, within_s=0.2)).step()
    (message,) = await place.hooks.messages(hook.id, 5)
    assert message.state == "waiting" and "did not answer within" in message.error


async def test_nobody_listening_is_a_failure_with_a_reason(place: Place) -> None:
    listener = listening_on()
    port = listener.getsockname()[1]
    listener.close()
    hook, _ = await place.hooks.add(f"http://127.0.0.1:{port}/", ["asset.created"])
    await place.catalogue.create(source_name="f", id="film")
    await place.dispatcher.step()
    (message,) = await place.hooks.messages(hook.id, 5)
    assert message.status == 0 and "cannot be reached" in message.error


async def test_after_a_day_it_is_given_up_and_after_three_the_webhook_is_disabled(
    place: Place, receiver: Receiver
) -> None:
    hook, _ = await place.hooks.add(receiver.url, ["asset.created"])
    receiver.answers = [500] * 1000
    days = 0
    while (found := await place.hooks.get(hook.id)).disabled is None:
        assert days < 5
        await place.catalogue.create(source_name="f", id=f"film-{days}")
        for _ in range(len(retrying.WAITS_S) + 2):
            await place.dispatcher.step()
            place.now += 8641
        days += 1
    assert re.fullmatch(r"It took no message for [34] days; the last time: It answered 500\.", found.reason)
    assert found.failing_since is not None and found.disabled - found.failing_since >= 3 * 86_400
    states = {message.state for message in await place.hooks.messages(hook.id, 50)}
    assert states == {"given_up"}
    count = len(receiver.got)
    await place.catalogue.create(source_name="f", id="after")
    await place.dispatcher.step()
    assert len(receiver.got) == count, "nothing is sent to a disabled webhook"
    receiver.answers = []
    assert (await place.hooks.enable(hook.id)).reason == ""
    place.now += 1
    await place.catalogue.set_state("after", "failed")
    await place.catalogue.create(source_name="f", id="enabled")
    await place.dispatcher.step()
    assert receiver.bodies()[-1]["data"]["asset"] == "enabled"


async def test_a_receiver_that_answers_gone_is_disabled_at_once(place: Place, receiver: Receiver) -> None:
    hook, _ = await place.hooks.add(receiver.url, ["asset.created"])
    receiver.answers = [410]
    await place.catalogue.create(source_name="f", id="film")
    await place.dispatcher.step()
    assert "410" in (await place.hooks.get(hook.id)).reason


async def test_what_was_to_be_sent_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    async with placed(url) as place:
        await place.hooks.add(receiver.url, ["asset.published"])
        receiver.answers = [503]
        place.now += 1
        await ingest(place.catalogue, "film")
        await place.dispatcher.step()
        await ingest(place.catalogue, "untold")
    async with placed(url) as place:
        place.now += 60
        async with place.dispatcher.running():
            await receiver.wait(3)
    told = [body["data"]["asset"] for body in receiver.bodies()]
    assert told[0] == "film" and sorted(told[1:]) == ["film", "untold"]


async def test_who_dies_while_sending_leaves_the_message_to_be_sent(place: Place, receiver: Receiver) -> None:
    await place.hooks.add(receiver.url, ["asset.created"])
    await place.catalogue.create(source_name="f", id="film")
    await place.hooks.spread()
    (claimed,) = await place.hooks.claim(10, failing=False)  # and never sent
    assert await place.dispatcher.step() == 0
    place.now += CLAIMED_S + 1
    await place.dispatcher.step()
    assert receiver.bodies()[0]["id"] == claimed.id


async def test_of_two_processes_one_sends(place: Place, receiver: Receiver) -> None:
    await place.hooks.add(receiver.url, ["asset.created"])
    for number in range(20):
        await place.catalogue.create(source_name="f", id=f"film-{number}")
    other = place.dispatching()
    for _ in range(4):
        await asyncio.gather(place.dispatcher.step(), other.step())
    ids = [body["id"] for body in receiver.bodies()]
    assert len(ids) == len(set(ids)) == 20


async def test_another_admin_token_disables_what_it_cannot_sign(tmp_path: Path, receiver: Receiver) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    async with placed(url) as place:
        hook, secret = await place.hooks.add(receiver.url, ["asset.created"])
        await place.catalogue.create(source_name="f", id="film")
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("catalogue.db*"))
    assert secret.encode() not in raw and base64.b64decode(secret[6:]) not in raw, "secrets are wrapped"
    async with placed(url, "other-" + "b" * 40) as place:
        await place.dispatcher.step()
        assert "admin token" in (await place.hooks.get(hook.id)).reason
    assert receiver.got == []


async def test_every_change_of_state_is_an_event_in_both_databases(database_url: str) -> None:
    async with placed(database_url) as place:
        hook, _ = await place.hooks.add("http://127.0.0.1:9/", ALL)
        place.now += 1
        await ingest(place.catalogue, "film")
        await place.catalogue.update_progress("film", 0.5, 1.0, None)
        await place.catalogue.delete("film")
        assert await place.hooks.spread() == 4
        assert await place.hooks.spread() == 0
        told = [message.event for message in await place.hooks.messages(hook.id, 50)]
        assert set(told) == {"asset.created", "asset.ingesting", "asset.published", "asset.deleted"}
        claimed = await place.hooks.claim(10, failing=False)
        assert len(claimed) == 4 and await place.hooks.claim(10, failing=False) == []


LOCAL = [
    "http://127.0.0.1/", "http://localhost/", "https://localhost/", "http://[::1]/", "http://127.1/",
    "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://0/", "http://0.0.0.0/",
    "http://[::ffff:127.0.0.1]/", "http://[::]/", "http://10.0.0.1/", "https://169.254.169.254/",
    "http://[fe80::1]/", "http://[fd00:ec2::254]/", "https://192.168.1.1/", "https://[64:ff9b::7f00:1]/",
    "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "https://user@1.1.1.1/",
    "https://u:p@127.0.0.1/", "https://", "https:///x", "https://1.1.1.1:0/", "https://1.1.1.1:99999/",
    "https://1.1.1.1\\@127.0.0.1/", "https://1.1.1.1/#x", "http://1.1.1.1/", "https://a b/", "", "//1.1.1.1/",
]  # fmt: skip


@pytest.mark.parametrize("url", LOCAL)
async def test_t17_no_spelling_of_a_private_address_is_connected_to(url: str) -> None:
    sent = await Sender().send(url, {}, b"{}")
    assert sent.status == 0 and (sent.error.startswith("Not sent: ") or "cannot be reached" in sent.error)
    with pytest.raises(ValueError):
        await Sender().check(url)


async def test_t17_a_name_that_leads_elsewhere_the_second_time_is_not_followed(receiver: Receiver) -> None:
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["1.1.1.1", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    sender = Sender(resolve=rebinding)
    for _ in range(2):
        sent = await sender.send(f"https://rebind.example:{port}/hook", {}, b"{}")
        assert sent.status == 0 and "not public" in sent.error
    assert receiver.got == [] and len(asked) == 2, "one look-up an attempt, and every address counts"


async def test_the_address_that_was_checked_is_the_one_connected_to(receiver: Receiver) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    url = receiver.url.replace("127.0.0.1", "hooks.example")
    sent = await Sender(HERE, resolve).send(url, {}, b"{}")
    assert sent.status == 200 and receiver.got[0][0]["host"].startswith("hooks.example:")


async def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    tried = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sent = await Sender(HERE).send(f"https://localhost:{port}/", {}, b"{}")
    assert sent.status == 0 and "cannot be reached" in sent.error and not tried.is_set()


async def test_nobody_waits_for_a_receiver_that_hangs(place: Place, receiver: Receiver) -> None:
    async with receiving() as hanging:
        await place.hooks.add(hanging.url, ["asset.created"])
        hanging.answers = [500]
        await place.catalogue.create(source_name="f", id="first")
        await place.dispatcher.step()  # it is known to fail by now
        hanging.hangs = True
        await place.hooks.add(receiver.url, ["asset.created"])
        place.now += 60
        dispatcher = place.dispatching(Sender(HERE, within_s=600))
        async with dispatcher.running():
            await hanging.wait(2)
            for number in range(40):
                await place.catalogue.create(source_name="f", id=f"film-{number}")
            await receiver.wait(40)
            assert len(hanging.got) < 40
            hanging.released.set()


async def test_a_failed_test_disables_nothing(place: Place, receiver: Receiver) -> None:
    hook, _ = await place.hooks.add(receiver.url, ["asset.created"])
    receiver.answers = [500, 410]
    for _ in range(2):
        after = await place.dispatcher.send(await place.hooks.test(hook.id))
        assert (after.state, after.attempts) == ("given_up", 1)
        place.now += 5 * 86_400
    found = await place.hooks.get(hook.id)
    assert found.disabled is None and found.failing_since is not None
