"""RFC 8188: what it says comes out; round trips; whatever is changed, swapped, left out or cut is refused."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.derive import content_key, download_salt
from keys.ece import (
    HEADER,
    LEAST_RECORD,
    RECORD,
    RECORD_DATA,
    TAG,
    BadCoding,
    Coding,
    Decoder,
    Header,
    Records,
    decoded,
    encoded,
)
from keys.names import b64url_decode
from origin.media.seal import SLICE

WALRUS = b"I am the walrus"
ONE = (  # RFC 8188 §3.1
    b64url_decode("yqdlZ-tYemfogSmv7Ws5PQ"),
    b64url_decode("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg"),
)
TWO = (  # §3.2: two records, the first padded
    b64url_decode("BO3ZVPxUlnLORbVGMpbT1Q"),
    b64url_decode(
        "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA"
    ),
)
KEY, SALT = bytes(range(16)), bytes(range(16, 32))
SMALL = Header(SALT, record=25)  # 8 bytes of data


def made(size: int, header: Header = SMALL) -> tuple[bytes, bytes]:
    """Bytes, and the body that says them."""
    plain = random.Random(size).randbytes(size)
    return plain, encoded(KEY, header, plain)


@pytest.mark.parametrize("vector", [ONE, TWO])
def test_rfc_8188_vectors_open(vector: tuple[bytes, bytes]) -> None:
    assert decoded(*vector) == WALRUS


def test_rfc_8188_vectors_come_out_byte_for_byte() -> None:
    key, body = ONE
    assert encoded(key, Header(body[:16], record=4096), WALRUS) == body
    key, body = TWO
    header = Header(body[:16], record=25, key_id=b"a1")
    coding = Coding(key, header.salt)
    records = coding.seal(0, WALRUS[:7], last=False, padding=1) + coding.seal(1, WALRUS[7:], last=True)
    assert header.to_bytes() + records == body
    assert Header.read(body) == header


def test_a_slice_is_a_whole_number_of_records() -> None:
    assert SLICE % RECORD_DATA == 0
    assert RECORD == RECORD_DATA + TAG + 1


@given(
    plain=st.binary(max_size=200),
    record=st.integers(LEAST_RECORD, 60),
    key_id=st.binary(max_size=255),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_what_was_encoded_comes_out_however_it_arrives(
    plain: bytes, record: int, key_id: bytes, cuts: list[int]
) -> None:
    header = Header(SALT, record, key_id)
    body = encoded(KEY, header, plain)
    assert len(body) == header.coded(len(plain))
    decoder, places = Decoder(KEY), [0, *sorted(cuts), len(body)]
    out = b"".join(b"".join(decoder.feed(body[a:b])) for a, b in pairwise(places))
    assert out + decoder.finish() == plain


@given(st.integers(0, 60), st.data())
def test_any_records_open_without_the_others(size: int, data: st.DataObject) -> None:
    plain, body = made(size)
    count = SMALL.records(size)
    first = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(first + 1, count))
    records = Records(Coding(KEY, SALT), SMALL.record, first, ends=stop == count)
    part = body[SMALL.place(first) : SMALL.place(stop)]
    assert b"".join(records.feed(part)) + records.finish() == plain[first * 8 : stop * 8]
    cut = Records(Coding(KEY, SALT), SMALL.record, first, ends=stop == count)
    with pytest.raises(BadCoding):
        b"".join(cut.feed(part[:-1])) + cut.finish()


def test_sealing_in_place_gives_the_same_records() -> None:
    coding, plain = Coding(KEY, SALT), memoryview(b"some bytes")
    out = memoryview(bytearray(64))
    for number, last in ((0, False), (7, True), (1 << 40, False)):
        for size in (10, 0, 3):
            length = coding.seal_into(out, number, plain[:size], last=last)
            assert bytes(out[:length]) == coding.seal(number, bytes(plain[:size]), last=last)


def test_every_flipped_bit_is_refused() -> None:
    _, body = made(20)
    for place in range(len(body) * 8):
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(BadCoding):
            decoded(KEY, bytes(changed))
    with pytest.raises(BadCoding):
        decoded(KEY[::-1], body)


def test_records_swapped_repeated_or_left_out_are_refused() -> None:
    _, body = made(8 * 4)  # the last record is full, too
    head, rest = body[: SMALL.length], body[SMALL.length :]
    records = [rest[at : at + SMALL.record] for at in range(0, len(rest), SMALL.record)]
    wrong = [
        [records[1], records[0], *records[2:]],
        [records[0], records[0], *records[1:]],
        records[1:],
        [records[0], *records[2:]],
        [*records[:2], records[3], records[2]],
        [*records, records[3]],
        [],
    ]
    for each in wrong:
        with pytest.raises(BadCoding):
            decoded(KEY, head + b"".join(each))


def test_a_body_cut_anywhere_is_refused_at_a_record_too() -> None:
    for size in (0, 8, 16, 20):
        _, body = made(size)
        for length in range(len(body)):
            with pytest.raises(BadCoding):
                decoded(KEY, body[:length])
        with pytest.raises(BadCoding):
            decoded(KEY, body + b"\0")


def test_a_record_of_nothing_but_zeros_is_refused() -> None:
    coding = Coding(KEY, SALT)
    for wrong in (b"", b"\0" * 8, b"data\x03", b"data\x01"):
        sealed = coding._aead.encrypt(coding._at(0), wrong, None)
        with pytest.raises(BadCoding):
            coding.open(0, sealed, last=True)
    with pytest.raises(BadCoding):
        Header.read(SALT + (LEAST_RECORD - 1).to_bytes(4, "big") + b"\0")


def test_files_and_sessions_share_neither_key_nor_salt() -> None:
    """SECURITY 3.3: a salt never repeats for one key, and another session has another key."""
    roots = [bytes([n]) * 32 for n in range(3)]
    found = {
        (content_key(root, "ece", "file", f"file-{n}", 0), download_salt(root, f"{n}.mp4"))
        for root in roots
        for n in range(5)
    }
    assert len({key for key, _ in found}) == len({salt for _, salt in found}) == len(found) == 15


def hostile(source: random.Random) -> tuple[bytes, bytes]:
    """A body that somebody wrote to do harm: noise, or a good one with something done to it; what it said."""
    plain, body = made(source.randrange(40))
    changed = bytearray(body)
    match source.randrange(4):
        case 0:
            return plain, source.randbytes(source.randrange(120))
        case 1:
            changed[source.randrange(len(changed))] ^= source.randrange(1, 256)
        case 2:
            del changed[source.randrange(len(changed)) :]
        case _:
            at = source.randrange(len(changed))
            changed[at:at] = source.randbytes(source.randrange(1, 60))
    return plain, bytes(changed)


@pytest.mark.parametrize("bodies", [2_000, pytest.param(100_000, marks=pytest.mark.heavy)])
def test_hostile_bodies_are_refused_and_never_say_anything_else(bodies: int) -> None:
    """The header's key ID is not sealed, nor is the size of an only record: changed, they mean nothing."""
    source = random.Random(bodies)
    refused = 0
    for _ in range(bodies):
        plain, body = hostile(source)
        try:
            assert decoded(KEY, body) == plain
        except BadCoding:
            refused += 1
    assert refused > bodies * 0.9


def test_header_lengths() -> None:
    assert (HEADER, Header(SALT).length, Header(SALT, key_id=b"a1").length) == (21, 21, 23)
    assert Header(SALT).coded(0) == HEADER + 17
    assert Header(SALT).coded(RECORD_DATA) == HEADER + RECORD
    assert Header(SALT).coded(RECORD_DATA + 1) == HEADER + RECORD + 18
