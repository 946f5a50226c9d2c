"""The `aes128gcm` content coding (RFC 8188): a body as a header and records that are sealed one by one.

    salt(16) ‖ record size(4) ‖ length of key ID(1) ‖ key ID ‖ record 0 ‖ record 1 ‖ …
    record k = AES-128-GCM(CEK, NONCE xor k, data ‖ delimiter ‖ zeros)     delimiter 2 on the last, else 1

Key and nonce come from (key, salt) by HKDF, so a salt may never be used for two bodies under one key. A body
without its last record does not end with a delimiter of 2 and is refused: nothing cut passes for whole.
Record k begins at a place that only its number says, so any record is made and opened without the others.

What Sluice writes has no key ID, no zeros, and RECORD_DATA bytes in every record but the last; what it reads
may have been written by anybody. Pure.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.derive import hkdf_expand, hkdf_extract

CODING: Final = "aes128gcm"  # its name in Content-Encoding
SALT: Final = 16  # bytes
TAG: Final = 16
OVERHEAD: Final = TAG + 1  # of a record: its tag and its delimiter
RECORD_DATA: Final = 64 << 10  # plain bytes of a record: a slice of 1 MiB is sixteen
RECORD: Final = RECORD_DATA + OVERHEAD
HEADER: Final = SALT + 5  # bytes of a header without a key ID
LONGEST_HEADER: Final = HEADER + 255
LEAST_RECORD: Final = 18  # RFC 8188 §2.1: a byte of data each

_FIXED: Final = struct.Struct(">16sIB")
_MORE, _LAST = b"\x01", b"\x02"
_NONCE: Final = 12


class BadCoding(Exception):
    """A body that is none of this coding, was changed or cut, or is of another key."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the records."""

    salt: bytes  # 16 bytes
    record: int = RECORD  # bytes of a sealed record; the last may have fewer
    key_id: bytes = b""

    @property
    def length(self) -> int:
        """Bytes of it."""
        return HEADER + len(self.key_id)

    @property
    def data(self) -> int:
        """Plain bytes of a full record without padding."""
        return self.record - OVERHEAD

    def to_bytes(self) -> bytes:
        """As it is sent."""
        return _FIXED.pack(self.salt, self.record, len(self.key_id)) + self.key_id

    @classmethod
    def read(cls, begin: bytes | bytearray) -> "Header | None":
        """The header a body begins with; None when more of it is needed. BadCoding when it is none."""
        if len(begin) < HEADER:
            return None
        salt, record, named = _FIXED.unpack_from(begin)
        if record < LEAST_RECORD:
            raise BadCoding(f"records of {record} bytes")
        if len(begin) < HEADER + named:
            return None
        return cls(salt, record, bytes(begin[HEADER : HEADER + named]))

    def records(self, size: int) -> int:
        """How many records hold `size` plain bytes: at least one, so that the end can be seen."""
        return max(1, -(-size // self.data))

    def coded(self, size: int) -> int:
        """Bytes of the whole body of `size` plain bytes."""
        return self.length + size + OVERHEAD * self.records(size)

    def place(self, number: int) -> int:
        """Where record `number` begins in the body."""
        return self.length + number * self.record


class Coding:
    """Seals and opens the records of one body: of one key (16 bytes) and one salt. For one thread only."""

    def __init__(self, key: bytes, salt: bytes, room: memoryview | None = None) -> None:
        """`room`, a byte longer than a record's data, saves making one; codings of a thread may share it."""
        prk = hkdf_extract(salt, key)
        self._aead = AESGCM(hkdf_expand(prk, b"Content-Encoding: aes128gcm\0", 16))  # RFC 8188 §2.2
        self._nonce = int.from_bytes(hkdf_expand(prk, b"Content-Encoding: nonce\0", _NONCE), "big")  # §2.3
        self._room = room

    def seal(self, number: int, data: bytes, *, last: bool, padding: int = 0) -> bytes:
        """Record `number`, with so many zeros behind its data."""
        plain = data + (_LAST if last else _MORE) + bytes(padding)
        return self._aead.encrypt(self._at(number), plain, None)

    def seal_into(self, out: memoryview, number: int, data: memoryview, *, last: bool) -> int:
        """Writes record `number` to the beginning of `out`; how many bytes it has."""
        size = len(data)
        if self._room is None or len(self._room) <= size:
            self._room = memoryview(bytearray(size + 1))
        self._room[:size] = data  # the delimiter goes into the same seal, so data has to stand before it
        self._room[size : size + 1] = _LAST if last else _MORE
        plain = self._room[: size + 1]
        return self._aead.encrypt_into(self._at(number), plain, None, out[: size + OVERHEAD])

    def open(self, number: int, record: bytes | bytearray | memoryview, *, last: bool) -> bytes:
        """The data of record `number`. BadCoding unless it is that, whole, and `last` as it says."""
        try:
            plain = self._aead.decrypt(self._at(number), record, None)
        except (InvalidTag, ValueError) as exc:
            raise BadCoding(f"record {number} does not open") from exc
        padded = plain.rstrip(b"\0")
        if padded[-1:] != (_LAST if last else _MORE):
            raise BadCoding(f"record {number} is {'not ' if last else ''}the last")
        return padded[:-1]

    def _at(self, number: int) -> bytes:
        return (self._nonce ^ number).to_bytes(_NONCE, "big")


class Records:
    """Opens records as they come, from number `first` on. `ends`: the last to come is the body's last.

    One record is held back: whether it is the last shows only when more comes, or nothing.
    """

    def __init__(self, coding: Coding, record: int, first: int = 0, *, ends: bool = True) -> None:
        self._coding = coding
        self._record = record
        self._number = first
        self._ends = ends
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of each record that is whole now and not the last to come. BadCoding."""
        self._held += data
        while len(self._held) > self._record:
            record = self._held[: self._record]
            yield self._coding.open(self._number, record, last=False)
            del self._held[: self._record]
            self._number += 1

    def finish(self) -> bytes:
        """The data of the last to come, when nothing else will. BadCoding, also when it was cut."""
        if not self._ends and len(self._held) != self._record:
            raise BadCoding(f"record {self._number} is cut")
        return self._coding.open(self._number, self._held, last=self._ends)


class Decoder:
    """Opens a whole body as it comes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._begin = bytearray()
        self._records: Records | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plain bytes, record by record. BadCoding."""
        if self._records is None:
            self._begin += data
            header = Header.read(self._begin)
            if header is None:
                return
            self._records = Records(Coding(self._key, header.salt), header.record)
            data = bytes(self._begin[header.length :])
        yield from self._records.feed(data)

    def finish(self) -> bytes:
        """The rest, when nothing else comes. BadCoding when the body was cut."""
        if self._records is None:
            raise BadCoding("the header is cut")
        return self._records.finish()


def decoded(key: bytes, body: bytes) -> bytes:
    """What a whole body says. BadCoding."""
    decoder = Decoder(key)
    return b"".join(decoder.feed(body)) + decoder.finish()


def encoded(key: bytes, header: Header, plain: bytes) -> bytes:
    """The whole body of these bytes, without padding. The header's salt is for no other body of this key."""
    coding, last = Coding(key, header.salt), header.records(len(plain)) - 1
    data = header.data
    records = (
        coding.seal(number, plain[number * data : (number + 1) * data], last=number == last)
        for number in range(last + 1)
    )
    return header.to_bytes() + b"".join(records)
