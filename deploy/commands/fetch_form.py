"""In what form the bytes of a download come: as they are, or sealed for the session (`keys.ece`).

A form says which bytes of it hold given bytes of the file, and reads them as they come. The sealed form is
opened record by record, so what is written is the file, whole records at a time, each proved to be what this
session's edge sealed: it is the file, and not the form, that a partial download is of, and another session
goes on where one ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from keys.ece import BadCoding, Coding, Header, Records
from keys.problems import Problem

SPOILT: Final = (
    "What came does not open with this session's key: it was changed on its way. What came before is kept."
)


class Reading(Protocol):
    """Makes bytes of the file from those of one answer, in order."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """What can be said of the file now. Problem bad_upstream when it was changed."""
        ...

    def finish(self) -> bytes:
        """The rest, once all that was asked for has come. Problem bad_upstream."""
        ...


class Form(Protocol):
    """The form a session gets a file in."""

    @property
    def etag(self) -> str:
        """Its entity tag."""
        ...

    @property
    def length(self) -> int:
        """Bytes of all of it."""
        ...

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Which of its bytes hold the bytes `start` ≤ i < `stop` of the file."""
        ...

    def reading(self, start: int, stop: int) -> Reading:
        """Makes those bytes of the file from that span."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """The file as it is."""

    etag: str
    length: int

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The same bytes."""
        return start, stop

    def reading(self, start: int, stop: int) -> Reading:
        """They are what came."""
        return _AsItIs()


class _AsItIs:
    def feed(self, data: bytes) -> Iterable[bytes]:
        return (data,)

    def finish(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file of `size` bytes in the aes128gcm form of one session."""

    etag: str
    size: int
    header: Header
    key: bytes = field(repr=False)  # 16 bytes

    @property
    def length(self) -> int:
        """Bytes of all of it, header included."""
        return self.header.coded(self.size)

    def _records(self, start: int, stop: int) -> range:
        data = self.header.data
        return range(start // data, -(-stop // data))

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The records that hold them, whole."""
        records = self._records(start, stop)
        return self.header.place(records.start), min(self.length, self.header.place(records.stop))

    def reading(self, start: int, stop: int) -> Reading:
        """Opens those records."""
        return _Opening(self, self._records(start, stop), start, stop)


@dataclass(frozen=True, slots=True)
class Kept:
    """The sealed form itself, kept as it comes."""

    sealed: Sealed

    @property
    def etag(self) -> str:
        """Its entity tag."""
        return self.sealed.etag

    @property
    def length(self) -> int:
        """Bytes of all of it."""
        return self.sealed.length

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The same bytes."""
        return start, stop

    def reading(self, start: int, stop: int) -> Reading:
        """They are what came."""
        return _AsItIs()


class _Opening:
    """Opens records; what the first and the last have besides what is wanted is left out."""

    def __init__(self, form: Sealed, records: range, start: int, stop: int) -> None:
        ends = records.stop == form.header.records(form.size)
        coding = Coding(form.key, form.header.salt)
        self._records = Records(coding, form.header.record, records.start, ends=ends)
        self._at = records.start * form.header.data
        self._start = start
        self._stop = stop

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            for plain in self._records.feed(data):
                yield self._wanted(plain)
        except BadCoding as exc:
            raise Problem("bad_upstream", SPOILT, detail=str(exc)) from exc

    def finish(self) -> bytes:
        try:
            plain = self._wanted(self._records.finish())
        except BadCoding as exc:
            raise Problem("bad_upstream", SPOILT, detail=str(exc)) from exc
        if self._at < self._stop:
            raise Problem("bad_upstream", SPOILT, detail=f"{self._at} bytes, not {self._stop}")
        return plain

    def _wanted(self, plain: bytes) -> bytes:
        at, self._at = self._at, self._at + len(plain)
        return plain[max(0, self._start - at) : max(0, self._stop - at)]
