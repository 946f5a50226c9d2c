"""What an origin is told of a request, and a client of its answer, but for what caching adds. Pure.

The client's Host is kept and is part of the cache key, as is the scheme: an origin that makes links or
chooses a site by them cannot be led to make an answer for others wrong (SECURITY T6). So what clients
say of X-Forwarded-* and its kin is dropped and said anew; only X-Forwarded-For of a trusted
proxy is carried on. Every other end-to-end field goes through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.deliver.clients import Network, address, inside
from edge.http.entry import Request
from edge.http.fields import Fields, end_to_end, get, get_all, without
from edge.http.status import with_cdn_loop, with_via
from edge.zone.upstream import Reply
from edge.zone.zone import Origin

_SAID_ANEW: Final = frozenset(
    {
        b"content-length",
        b"expect",  # the server has answered it
        b"forwarded",
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-original-url",
        b"x-rewrite-url",
    }
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A client's request."""

    request: Request
    target: bytes  # path and query as they came
    host: bytes
    scheme: str
    client: str  # address of its socket
    forwarded_for: tuple[bytes, ...]  # as it came
    version: str
    length: int | None  # bytes of its body; None: it comes in chunks

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.length != 0


def incoming(scope: Any, origin: Origin) -> Incoming:
    """The request of an ASGI scope. One without Host (HTTP/1.0) is for the origin's."""
    fields: Fields = scope["headers"]
    host = get(fields, b"host") or f"{origin.host}:{origin.port}".encode()
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    uri = f"{scope['scheme']}://{host.decode('ascii').lower()}{target.decode('ascii')}"
    declared = get(fields, b"content-length")
    chunked = get(fields, b"transfer-encoding") is not None
    return Incoming(
        Request(scope["method"], uri, without(end_to_end(fields), {b"host"})),
        target,
        host,
        scope["scheme"],
        scope["client"][0] if scope["client"] else "",
        tuple(get_all(fields, b"x-forwarded-for")),
        scope["http_version"],
        None if chunked else int(declared or b"0"),
    )


def forwarded(
    asked: Incoming, fields: Fields, name: str, trusted: Sequence[Network]
) -> list[tuple[bytes, bytes]]:
    """The fields that go to the origin, made of `fields`: the request's or conditional ones."""
    peer = address(asked.client)
    believed = peer is not None and inside(peer, trusted)
    hops = [*(asked.forwarded_for if believed else ()), asked.client.encode("ascii")]
    sent = [(b"host", asked.host), *without(fields, _SAID_ANEW)]
    sent += [(b"x-forwarded-for", b", ".join(hops)), (b"x-forwarded-proto", asked.scheme.encode())]
    sent += _framing(asked)
    return with_cdn_loop(with_via(sent, name, asked.version), name)


def passed_on(reply: Reply, hidden: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields of an answer that go to the client."""
    gone = hidden
    if reply.status == 204 or get(reply.fields, b"transfer-encoding") is not None:
        gone = hidden | {b"content-length"}  # RFC 9110 §8.6, RFC 9112 §6.3
    return without(end_to_end(reply.fields), gone)


def _framing(asked: Incoming) -> Fields:
    if asked.length is None:
        return [(b"transfer-encoding", b"chunked")]
    if asked.length or asked.request.method in ("POST", "PUT", "PATCH"):
        return [(b"content-length", b"%d" % asked.length)]
    return ()
