"""Licenses: the session's keys by their IDs and no others, whatever is posted; nobody stores or logs them."""

import json
import logging
import random

import httpx
import pytest

from edge.deliver.license import MOST_BYTES, MOST_IDS, BadLicenseRequest, read_request, write_license
from keys.derive import content_key, key_id
from keys.limits import Limits
from keys.names import b64url, b64url_decode
from keys.problems import Problem
from origin.media.protection import SCHEMES
from tests.edge.parts import GENERATION, TENANT, World, until
from tests.support.hang import at_most
from tests.support.protected import offer

KID = bytes.fromhex("9eb4050de44b4802932e27d75083e266")
CASES = 100_000


def kid_of(track: str, scheme: str) -> bytes:
    return key_id(TENANT, "film", GENERATION, scheme, track, "-", 0)


def asking(*kids: bytes) -> bytes:
    return json.dumps({"kids": [b64url(kid) for kid in kids], "type": "temporary"}).encode()


def test_a_request_as_browsers_write_it_and_the_published_vector() -> None:
    assert read_request(b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"type":"temporary"}') == (KID,)
    assert read_request(b' {"kids": ["nrQFDeRLSAKTLifXUIPiZg"], "more": [1e9, {}]}\r\n') == (KID,)
    twice = [b64url(KID), b64url(bytes(16)), b64url(KID)]
    assert read_request(json.dumps({"kids": twice}).encode()) == (KID, bytes(16))


def test_a_license_is_a_key_set() -> None:
    assert json.loads(write_license({KID: bytes(16)})) == {
        "keys": [{"kty": "oct", "kid": "nrQFDeRLSAKTLifXUIPiZg", "k": "AAAAAAAAAAAAAAAAAAAAAA"}],
        "type": "temporary",
    }


HOSTILE = {
    "nothing": b"",
    "no JSON": b"kids",
    "half of it": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"',
    "two": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"]}{}',
    "a list": b'["nrQFDeRLSAKTLifXUIPiZg"]',
    "null": b"null",
    "no IDs": b'{"kids":[]}',
    "IDs missing": b'{"type":"temporary"}',
    "IDs no list": b'{"kids":"nrQFDeRLSAKTLifXUIPiZg"}',
    "IDs an object": b'{"kids":{"0":"nrQFDeRLSAKTLifXUIPiZg"}}',
    "an ID no text": b'{"kids":[1]}',
    "an ID of nothing": b'{"kids":[""]}',
    "a short ID": b'{"kids":["nrQFDeRLSAKTLifXUIPi"]}',
    "a long ID": b'{"kids":["nrQFDeRLSAKTLifXUIPiZgAA"]}',
    "a padded ID": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg=="]}',
    "an ID in hexadecimal": b'{"kids":["9eb4050de44b4802932e27d75083e266"]}',
    "an ID with bits set after its end": b'{"kids":["nrQFDeRLSAKTLifXUIPiZh"]}',
    "an ID and none": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg",null]}',
    "too many IDs": json.dumps({"kids": [b64url(bytes([n] * 16)) for n in range(MOST_IDS + 1)]}).encode(),
    "kept for later": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"type":"persistent-license"}',
    "a type no text": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"type":["temporary"]}',
    "kids twice": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"kids":["nrQFDeRLSAKTLifXUIPiZg"]}',
    "a name twice, inside": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"a":{"b":1,"b":2}}',
    "NaN": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"a":NaN}',
    "deep": b'{"kids":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "deep objects": b'{"a":' * 800 + b"1" + b"}" * 800,
    "not UTF-8": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg"],"a":"\xff"}',
    "UTF-16": '{"kids":["nrQFDeRLSAKTLifXUIPiZg"]}'.encode("utf-16"),
    "a mark of byte order": b'\xef\xbb\xbf{"kids":["nrQFDeRLSAKTLifXUIPiZg"]}',
    "a control character": b'{"kids":["nrQFDeRLSAKTLifXUIPiZg\x00"]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_request_is_refused(name: str) -> None:
    with at_most(1), pytest.raises(BadLicenseRequest):
        read_request(HOSTILE[name])


def mutated(source: random.Random) -> bytes:
    """A request gone wrong, or not."""
    kids: list[object] = [b64url(source.randbytes(16)) for _ in range(source.randint(0, 4))]
    if source.random() < 0.3:
        kids.append(source.choice([None, 1, "", b64url(source.randbytes(source.randint(0, 40))), [], {}]))
    fields = {
        "kids": kids,
        **({"type": source.choice(["temporary", "x", 1])} if source.random() < 0.5 else {}),
    }
    body = bytearray(json.dumps(fields, separators=source.choice([(",", ":"), (", ", ": ")])).encode())
    for _ in range(source.choice([0, 0, 1, 2, 8])):
        at = source.randrange(len(body))
        match source.randrange(4):
            case 0:
                body[at] = source.randrange(256)
            case 1:
                del body[at : at + source.randint(1, 9)]
                body += b" "
            case 2:
                body[at:at] = source.choice(
                    [b'"', b"{", b"[" * 99, b"\\u0000", b"1e999", b"-" * 9, b"9" * 300]
                )
            case _:
                body += body[:at]
    return bytes(body)


def read_many(cases: int, seed: int) -> tuple[int, int]:
    """How many of these are read, and how many refused; nothing else happens to any."""
    source, read, refused = random.Random(seed), 0, 0
    with at_most(1) as step:
        for _ in range(cases):
            step()
            try:
                kids = read_request(mutated(source))
            except BadLicenseRequest:
                refused += 1
                continue
            assert 1 <= len(set(kids)) == len(kids) <= MOST_IDS and {len(kid) for kid in kids} == {16}
            read += 1
    return read, refused


def test_a_request_gone_wrong_is_read_or_refused() -> None:
    read, refused = read_many(2_000, 1)
    assert read > 200 and refused > 200


@pytest.mark.heavy
def test_a_hundred_thousand_requests_gone_wrong_are_read_or_refused() -> None:
    read, refused = read_many(CASES, 2)
    assert read > 10_000 and refused > 10_000


# ---- over a socket


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_license_has_the_keys_of_this_session_and_no_others(
    edge: World, client: httpx.AsyncClient, scheme: str
) -> None:
    offer(edge)
    base, lease = edge.session(protection=scheme), edge.keys.lease_of(b64url(bytes(16)))
    other = next(each for each in SCHEMES if each != scheme)
    wanted = (KID, kid_of("video", scheme), kid_of("audio", scheme), kid_of("video", other))
    answer = await client.post(f"{base}license", content=asking(*wanted), headers={"origin": edge.url})
    assert answer.status_code == 200
    found = {b64url_decode(row["kid"]): b64url_decode(row["k"]) for row in answer.json()["keys"]}
    assert found == {
        kid_of(track, scheme): content_key(lease.srk, scheme, track, "-", 0) for track in ("video", "audio")
    }
    assert (await client.get(f"{base}720p/key/0")).content == found[kid_of("video", scheme)]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == answer.headers["cdn-cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == edge.url
    assert (edge.counted["licenses"], edge.observed[0][0]) == (1, "key")


async def test_of_ids_that_are_not_the_sessions_nothing_is_told(
    edge: World, client: httpx.AsyncClient
) -> None:
    offer(edge)
    for scheme, kid in (("cenc", KID), ("cenc", kid_of("video", "cbcs")), ("cbcs", kid_of("audio", "cenc"))):
        answer = await client.post(edge.session(protection=scheme) + "license", content=asking(kid))
        assert (answer.status_code, answer.content) == (403, Problem("forbidden").body())
    assert "licenses" not in edge.counted


async def test_what_is_posted_is_bounded_and_neither_it_nor_a_license_is_logged(
    edge: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    offer(edge)
    caplog.set_level(logging.DEBUG)
    url = edge.session(protection="cenc") + "license"

    async def endless() -> object:
        for _ in range(100):
            yield b"[" * 1000

    for body, status in ((b" " * MOST_BYTES, 400), (b" " * (MOST_BYTES + 1), 413), (endless(), 413)):
        answer = await client.post(url, content=body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
    for name in ("nothing", "an ID in hexadecimal", "deep", "not UTF-8"):
        answer = await client.post(url, content=HOSTILE[name])
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    answer = await client.post(url, content=asking(kid_of("video", "cenc")))
    assert answer.status_code == 200
    (row,) = answer.json()["keys"]
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "license request" in told
    for secret in (row["k"], b64url_decode(row["k"]).hex(), "9eb4050d", "[[["):
        assert secret not in told
    assert "failed" not in edge.counted


async def test_a_license_is_posted_for_and_everything_else_is_not(
    edge: World, client: httpx.AsyncClient
) -> None:
    offer(edge)
    base = edge.session(protection="cbcs")
    refused = await client.get(f"{base}license")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST, OPTIONS")
    for name in ("main.m3u8", "720p/index.m3u8", "720p/key/0", "720p/0.m4s"):
        assert (await client.post(base + name, content=asking(KID))).status_code == 405
    aes = edge.session() + "license"
    assert (await client.post(aes, content=asking(kid_of("video", "aes")))).status_code == 403
    assert (await client.get(f"{base}720p/key/1")).status_code == 403  # one key for a track
    preflight = await client.options(f"{base}license", headers={"origin": edge.url})
    assert b"Content-Type" in preflight.headers["access-control-allow-headers"].encode()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_t4_a_revoked_or_ended_session_gets_no_license_and_no_key(
    edge: World, client: httpx.AsyncClient, scheme: str
) -> None:
    offer(edge)
    base = edge.session(protection=scheme)
    asked = asking(kid_of("video", scheme))
    assert (await client.post(f"{base}license", content=asked)).status_code == 200
    over = edge.session(protection=scheme, ends_in=-1)
    assert (await client.post(f"{over}license", content=asked)).json()["code"] == "expired"
    edge.keys.revoke("sid", b64url(bytes(16)))
    await until(lambda: len(edge.app.revocations.revoked) == 1)
    for answer in (
        await client.post(f"{base}license", content=asked),
        await client.get(f"{base}audio/key/0"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
    assert edge.counted["licenses"] == 1


async def test_t2_a_license_counts_as_a_stream_like_a_key(edge: World, client: httpx.AsyncClient) -> None:
    offer(edge)
    edge.keys.limits = Limits(streams=1)
    first, second = (edge.session(bytes([n] * 16), protection="cenc") for n in range(2))
    asked = asking(kid_of("video", "cenc"))
    assert (await client.post(f"{first}license", content=asked)).status_code == 200
    refused = await client.post(f"{second}license", content=asked)
    assert (refused.status_code, refused.json()["limit"]) == (403, "streams")
    assert (await client.post(f"{first}leave")).status_code == 204
    assert (await client.post(f"{second}license", content=asked)).status_code == 200
