"""The plain bytes of an encrypted file, to a player on this machine, for as long as they may go.

HTTP on 127.0.0.1, GET and HEAD of one path that nobody can guess; one range (RFC 9110 §14). Records are
opened as they are sent. One that does not open, or a license that is over, ends the answer short. The path
stands on the player's command line, so where the system says whose a connection is, others' are refused.
"""

import hmac
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from edge.deliver import ranges
from keys.ece import RECORD_DATA, BadCoding, Coding
from keys.names import b64url
from keys.offline import BadLicense, License

HOST: Final = "127.0.0.1"
IDLE_S: Final = 60.0  # a connection without a request


class NotNow(Exception):
    """The license is not good any more."""


class Film:
    """An encrypted file, open. BadLicense when the license is for another, OSError when it is not there."""

    def __init__(self, path: Path, license: License, key: bytes, allowed: Callable[[], bool]) -> None:
        """`allowed` is asked before every record, in any thread."""
        self.license = license
        self._key = key
        self._allowed = allowed
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        header, size = license.header, license.file.size
        if (os.pread(self._fd, header.length, 0), os.fstat(self._fd).st_size) != (
            header.to_bytes(),
            header.coded(size),
        ):
            os.close(self._fd)
            raise BadLicense("the license is for another file, or the file is not whole")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    @property
    def size(self) -> int:
        """Plain bytes of it."""
        return self.license.file.size

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The plain bytes start ≤ i < stop. BadCoding: it was changed; NotNow: the license is over."""
        header, coding = self.license.header, Coding(self._key, self.license.salt)
        last = header.records(self.size) - 1
        for number in range(start // RECORD_DATA, -(-stop // RECORD_DATA)):
            if not self._allowed():
                raise NotNow
            at = number * RECORD_DATA
            sealed = os.pread(self._fd, header.record, header.place(number))
            plain = coding.open(number, sealed, last=number == last)
            yield plain[max(0, start - at) : max(0, stop - at)]


class Server:
    """Serves one film while it is entered."""

    def __init__(self, film: Film) -> None:
        path = f"/{secrets.token_urlsafe(32)}/{quote(film.license.file.name)}"

        class Answers(_Answers):
            pass

        Answers.film, Answers.at = film, path
        self._http = _Own((HOST, 0), Answers)
        self.url = f"http://{HOST}:{self._http.server_port}{path}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.socket.close()


class _Own(ThreadingHTTPServer):
    daemon_threads = True

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Whether the connection may be this user's: another's is closed unread."""
        return owner(client_address[1], self.server_port) in (None, os.getuid())


def owner(client: int, server: int, tables: Path = Path("/proc/net")) -> int | None:
    """The user ID of the client's end of a connection on HOST between these ports; None: nobody says."""
    here = f"{int.from_bytes(socket.inet_aton(HOST), sys.byteorder):08X}"  # as proc_net_tcp(5) writes it
    ends = f"{here}:{client:04X}", f"{here}:{server:04X}"
    for name in ("tcp", "tcp6"):  # the latter: of ::ffff:127.0.0.1
        try:
            rows = (tables / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if len(fields) > 7 and all(map(str.endswith, fields[1:3], ends)):
                return int(fields[7])
    return None


class _Answers(BaseHTTPRequestHandler):
    film: Film
    at: str
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if not hmac.compare_digest(self.path.encode("utf-8", "replace"), self.at.encode()):
            self._start(404, 0)
            return
        fields = {
            name.lower().encode(): value.encode("latin-1", "replace") for name, value in self.headers.items()
        }
        etag = f'"{b64url(self.film.license.file.sha256)}"'
        part = ranges.choose(self.command, fields, etag, self.film.size)
        length = part.stop - part.start
        more = [("ETag", etag), ("Accept-Ranges", "bytes")]
        if part.status in (206, 416):
            more.append(("Content-Range", ranges.content_range(part, self.film.size)))
        if part.status in (200, 206):
            more.append(("Content-Type", self.film.license.file.media_type))
        self._start(part.status, length, more)
        if self.command != "HEAD" and length:
            self._body(part)

    def _start(self, status: int, length: int, more: list[tuple[str, str]] | None = None) -> None:
        self.send_response_only(status)
        if status != 304:
            self.send_header("Content-Length", str(length))
        for name, value in more or []:
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def _body(self, part: ranges.Part) -> None:
        self.connection.settimeout(None)  # a player that is paused does not read
        try:
            for plain in self.film.read(part.start, part.stop):
                self.wfile.write(plain)
        except (BadCoding, NotNow, OSError):  # visibly short
            self.close_connection = True
            return
        self.connection.settimeout(IDLE_S)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the path is a secret."""
