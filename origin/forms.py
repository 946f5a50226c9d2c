"""Multipart forms as they arrive: bytes in, parts out (RFC 7578). Holds no file and little text.

A file's bytes are passed on as they come. What a hostile form may cost is bounded here (SECURITY T15): parts,
the size of part headers (by the parser and in all), and the size of plain fields. Pure.
"""

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from keys.problems import Problem

MAX_PARTS: Final = 100
MAX_HEADERS: Final = 64 * 1024  # bytes of part headers in one form
MAX_FIELD: Final = 8 * 1024  # bytes of all plain fields together


@dataclass(frozen=True, slots=True)
class FileBegin:
    """A file part opens. `filename` is what the client says: text, never a path."""

    filename: str


@dataclass(frozen=True, slots=True)
class FileData:
    """The next bytes of the open file."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The open file is complete."""


@dataclass(frozen=True, slots=True)
class Field:
    """A plain field, complete."""

    name: str
    value: str


Event = FileBegin | FileData | FileEnd | Field


class FormReader:
    """Turns the bytes of one multipart/form-data body into events.

    Problem bad_request for anything malformed.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:  # RFC 2046 §5.1.1
            raise Problem("bad_request", "A form upload is multipart/form-data with a boundary.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )
        self._events: list[Event] = []
        self._parts = self._header_bytes = self._field_bytes = 0
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._field: str | None = None  # name of the open plain field; None while a file is open
        self._text = bytearray()
        self.complete = False

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""
        try:
            self._parser.write(data)
        except FormParserError as exc:
            raise Problem("bad_request", "This form cannot be read.", detail=str(exc)) from exc
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Says the body has ended. Problem bad_request when the form had not."""
        if not self.complete:
            raise Problem("bad_request", "The upload ended before it was complete.")

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Problem("too_large", f"A form may have at most {MAX_PARTS} parts.")
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition.decode("latin-1"))
        if kind != b"form-data":
            raise Problem(
                "bad_request", "This form cannot be read.", detail="part without form-data disposition"
            )
        filename = options.get(b"filename")
        self._field = None if filename is not None else _text(options.get(b"name", b""))
        if filename is not None:
            self._events.append(FileBegin(_text(filename)))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._events.append(FileData(data[start:end]))
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD:
            raise Problem("too_large", "The text fields of this form are too long.")
        self._text += data[start:end]

    def _part_end(self) -> None:
        if self._field is None:
            self._events.append(FileEnd())
        else:
            self._events.append(Field(self._field, _text(bytes(self._text))))
            self._text.clear()

    def _end(self) -> None:
        self.complete = True

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADERS:
            raise Problem("too_large", "The headers of this form are too long.")


def _text(data: bytes) -> str:
    # Browsers write ", CR and LF of a name as %22, %0D and %0A (HTML, "multipart/form-data encoding").
    text = data.decode("utf-8", "replace")
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
