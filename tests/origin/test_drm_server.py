"""Keys asked of a DRM server: a real server answers, truly or not."""

import asyncio
import base64
import traceback
import uuid
from collections.abc import AsyncIterator

import pytest

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, ContentKey, Document, UsageRule
from keys.drm_signalling import signalling
from origin.drm_server import NoKeys, ask, check_url
from origin.drm_server_auth import read_auth
from tests.support.serving import listening_on, served
from tests.support.speke_server import BOMB, LIES, PATH, REASON, SpekeServer, asked_of, content_key

PICTURE, SOUND = uuid.UUID(int=0x1234567890ABCDEF), uuid.UUID(int=0xFEDCBA0987654321)


def question(scheme: str = "cbcs") -> Document:
    keys = tuple(ContentKey(kid, None, scheme, bytes(range(16))) for kid in (PICTURE, SOUND))
    systems = [asked_of(key.kid, system_id) for key in keys for system_id in (WIDEVINE, PLAYREADY)]
    if scheme == "cbcs":
        systems += [asked_of(key.kid, FAIRPLAY, lines_only=True) for key in keys]
    rules = (UsageRule(PICTURE, VIDEO), UsageRule(SOUND, AUDIO))
    return Document("a film & more", keys, tuple(systems), rules)


@pytest.fixture
async def server() -> SpekeServer:
    return SpekeServer()


@pytest.fixture
async def url(server: SpekeServer) -> AsyncIterator[str]:
    async with served(server.app()) as base:
        yield base + PATH
        server.release.set()


@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
async def test_keys_and_signalling_are_filled_in(url: str, scheme: str) -> None:
    asked = question(scheme)
    found = await ask(url, asked)
    assert {key.kid: key.key for key in found.keys} == {kid: content_key(kid) for kid in (PICTURE, SOUND)}
    assert (found.content_id, found.rules) == (asked.content_id, asked.rules)
    keys = {key.kid: key for key in found.keys}
    for system in found.systems:
        assert system == signalling(keys[system.kid], system.system_id)
    assert len(found.systems) == len(asked.systems)


async def test_keys_one_has_are_not_sent(server: SpekeServer, url: str) -> None:
    secret = base64.b64encode(b"sixteen secrets!")
    asked = question()
    with_keys = Document(
        asked.content_id,
        tuple(ContentKey(key.kid, b"sixteen secrets!", key.scheme, key.explicit_iv) for key in asked.keys),
        asked.systems,
        asked.rules,
    )
    found = await ask(url, with_keys)
    assert secret not in server.seen[-1]
    assert all(key.key == content_key(key.kid) for key in found.keys)


async def test_only_what_was_asked_for_is_taken(url: str) -> None:
    asked = question()
    one = Document(asked.content_id, asked.keys, asked.systems[-2:], asked.rules)
    found = await ask(url, one)
    assert [(each.pssh, each.content_protection) for each in found.systems] == [(None, None)] * 2


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_refused_with_a_sentence(server: SpekeServer, url: str, lie: str) -> None:
    server.lie = lie
    with pytest.raises(NoKeys) as refused:
        await ask(url, question())
    said = str(refused.value)
    assert said.startswith("The ")
    assert said.isprintable()
    assert len(said) < 600
    for kid in (PICTURE, SOUND):
        assert base64.b64encode(content_key(kid)).decode() not in said
        assert content_key(kid).hex() not in said
    assert len(server.seen) == 1  # nobody follows, and nobody tries again


@pytest.mark.parametrize(("lie", "words"), [("trouble", "500"), ("refused", "400")])
async def test_what_the_server_says_is_told(server: SpekeServer, url: str, lie: str, words: str) -> None:
    server.lie = lie
    with pytest.raises(NoKeys, match=f"{words}.*{REASON}"):
        await ask(url, question())


async def test_a_server_that_waits_is_not_waited_for(server: SpekeServer, url: str) -> None:
    server.lie = "slow"
    with pytest.raises(NoKeys, match=r"did not answer within 0\.2 seconds"):
        await ask(url, question(), timeout_s=0.2)


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    gone = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nX-Speke-Version: 2.0\r\n"
        writer.write(head + b"Content-Length: 1000\r\n\r\n<a>")
        await writer.drain()
        while await reader.read(1 << 16):
            pass
        writer.close()
        gone.set()

    listener = listening_on()
    async with await asyncio.start_server(trickle, sock=listener):
        with pytest.raises(NoKeys, match="did not answer"):
            await ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", question(), timeout_s=0.2)
        async with asyncio.timeout(10):
            await gone.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n",
        b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"",
    ],
    ids=["another 2xx", "an error", "bad chunks", "no HTTP"],
)
async def test_no_key_and_no_password_is_in_what_is_said_of_an_answer(answer: bytes) -> None:
    secret = b"<PlainValue>c2VjcmV0</PlainValue> Bearer password-123"

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write((answer % len(secret) if b"%" in answer else answer) + secret + b"\r\n")
        await writer.drain()
        writer.close()

    listener = listening_on()
    async with await asyncio.start_server(give, sock=listener):
        with pytest.raises(NoKeys) as refused:
            await ask(
                f"http://127.0.0.1:{listener.getsockname()[1]}/", question(), auth="bearer password-123"
            )
    told = "".join(traceback.format_exception(refused.value))
    assert "c2VjcmV0" not in told and "password-123" not in told


async def test_what_a_server_says_back_of_the_password_is_not_told(server: SpekeServer, url: str) -> None:
    server.lie = "refused"
    with pytest.raises(NoKeys) as refused:
        await ask(url, question(), auth=f"header x-key: {REASON.split()[-1]}")
    assert REASON.split()[-1] not in str(refused.value)


async def test_nobody_there_is_said() -> None:
    with listening_on() as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoKeys, match="cannot be asked"):
        await ask(f"http://127.0.0.1:{port}/", question())


@pytest.mark.parametrize(
    ("setting", "header", "value"),
    [
        ("basic me:s3 cr:t", "authorization", "Basic bWU6czMgY3I6dA=="),
        ("bearer abc.def", "authorization", "Bearer abc.def"),
        ("header X-Api-Key: k k", "x-api-key", "k k"),
    ],
)
async def test_whose_question_it_is_is_said(
    server: SpekeServer, url: str, setting: str, header: str, value: str
) -> None:
    server.wants = (header, value)
    assert (await ask(url, question(), auth=setting)).keys[0].key
    with pytest.raises(NoKeys, match="does not know who asks"):
        await ask(url, question())


async def test_a_question_can_be_signed(server: SpekeServer, url: str) -> None:
    await ask(url, question(), auth="aws AKID secret eu-west-1")
    told = server.headers[-1]
    assert "/eu-west-1/execute-api/aws4_request" in told["authorization"]
    assert "SignedHeaders=host;x-amz-date," in told["authorization"]
    assert "secret" not in told["authorization"]


@pytest.mark.parametrize(
    "setting",
    [
        "basic nobody",
        "basic :x",
        "bearer",
        "bearer a b",
        "header X",
        "header X: a\r\nY: b",
        "header Host: x",
        "header X-Speke-Version: 1",
        "aws a b",
        "digest a:b",
        "hunter2",
    ],
)
def test_a_setting_that_says_nobody_is_refused_without_telling_it(setting: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_auth(setting)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://drm.example/",
        "ftp://drm.example/",
        "drm.example",
        "https://",
        "https://me:pw@drm.example/",
        "https://drm.example:99999/",
        "file:///etc/passwd",
        "http://127.0.0.1.evil.example/",
        "https://[::1",
    ],
)
def test_keys_are_not_asked_where_others_could_listen(address: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_url(address)
    assert "pw" not in str(refused.value)


def test_the_bomb_is_one() -> None:
    assert BOMB.count(b"&a") > 100
