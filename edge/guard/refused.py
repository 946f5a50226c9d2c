"""What is refused before any application sees it, and the one small answer it gets (SECURITY T9, H36). Pure.

Nothing of the request is repeated; the connection is closed after it.
"""

from collections.abc import Iterable
from http import HTTPStatus

from keys.problems import Problem


class Refused(Exception):
    """A request that is not taken. `code` is one of `keys.problems`, `why` a fixed sentence for the log."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why


def answer(problem: Problem, extra: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The whole answer, as it goes over the wire. `extra` are fields to add, such as Date."""
    body = problem.body()
    fields = [(name.encode(), value.encode()) for name, value in problem.headers()]
    fields += [*extra, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    status = b"HTTP/1.1 %d %s\r\n" % (problem.status, HTTPStatus(problem.status).phrase.encode())
    return status + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" + body
