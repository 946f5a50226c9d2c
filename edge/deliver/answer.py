"""One small answer as a value, and how it goes out over raw ASGI. Segments stream by themselves (`segment`).

    Answer(status, headers, body)      refusals are Answers too: `refusal(problem)`
HEAD sends the headers of GET, Content-Length included, and no body (RFC 9110 §9.3.2).
"""

import hashlib
from dataclasses import dataclass

from starlette.types import Send

from edge.deliver import ranges
from edge.deliver.cors import Headers
from edge.deliver.headers import common, unstored
from keys.names import b64url
from keys.problems import Problem

_COMMON = {name for name, _ in common(secure=True)}  # every answer gets these anyway


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Headers are ASGI pairs, names in lower case, without Content-Length."""

    status: int
    headers: Headers
    body: bytes = b""
    length_known: bool = True  # False: HEAD of what only GET would measure


@dataclass(frozen=True, slots=True)
class Request:
    """What endpoints need to know of a request besides its route."""

    method: str
    headers: dict[bytes, bytes]  # names in lower case; repeated fields joined by ", " (RFC 9110 §5.3)
    client: str  # address
    at: float = 0.0  # when it was there, in the seconds of `first_byte.FirstByte`


def fields_of(pairs: Headers) -> dict[bytes, bytes]:
    """Request header fields by name."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def refusal(problem: Problem) -> Answer:
    """The answer that refuses. Two of one viewer code differ in the request ID header only (SECURITY T12)."""
    headers = [(name.encode(), value.encode()) for name, value in problem.headers()]
    return Answer(problem.status, [pair for pair in headers if pair[0] not in _COMMON], problem.body())


def strong_etag(body: bytes) -> str:
    """The entity tag of a body that is the same for everyone."""
    return f'"{b64url(hashlib.sha256(body).digest()[:16])}"'


def conditional(request: Request, headers: Headers, body: bytes, etag: str) -> Answer:
    """The body, or a 304 or 412 when the request's preconditions say so. No ranges: small shared bodies."""
    tagged = [*headers, (b"etag", etag.encode()), (b"accept-ranges", b"none")]
    status = ranges.choose("HEAD", request.headers, etag, len(body)).status  # Range counts for GET only
    if status == 412:
        tagged = [*unstored(), (b"etag", etag.encode())]
    return Answer(status, tagged, body if status == 200 else b"")


async def send_answer(send: Send, answer: Answer, extra: Headers, *, head: bool) -> None:
    """Sends it, with `extra` headers after its own."""
    headers = [*answer.headers, *extra]
    if answer.length_known and answer.status not in (
        204,
        304,
    ):  # RFC 9110 §8.6, §15.4.5: no length of a body that is not meant
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body, "more_body": False})
