"""What an origin is told of a request, and a client of its answer, but for what caching adds. Pure.

A zone with a name passes on what it lists and no more (`zone_request`), so that nothing else a client says
can change an answer (SECURITY T6). A plain edge passes on all that is valid: the client's Host is kept and is
part of the cache key, as is the scheme, so that an origin that makes links or chooses a site by them cannot
be led to make an answer for others wrong. What clients say of X-Forwarded-* and its kin is dropped and said
anew; only X-Forwarded-For of a trusted proxy is carried on. Every other end-to-end field goes through.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.deliver.clients import Network, address, inside
from edge.http.entry import Request
from edge.http.fields import Fields, end_to_end, get, get_all, replaced, without
from edge.http.status import with_cdn_loop, with_via
from edge.zone.keying import Target
from edge.zone.upstream import Reply
from edge.zone.zone import PASSED, Origin, Zone

INTERIM: Final = "http.response.interim"  # of servers whose scope names it: an answer of 1xx

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
_ASKED: Final = frozenset(  # what every zone passes on: which part of an answer, and if it is another one
    {
        b"cdn-loop",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)
_OF_A_BODY: Final = frozenset({b"content-encoding", b"content-language", b"content-type"})
_OWN_AGENT: Final = (b"user-agent", b"sluice")  # some origins refuse who has none


@dataclass(frozen=True, slots=True)
class OfNode:
    """What a node says to a shield besides (`edge.zone.through`)."""

    doubted: float | None = None  # what was asked of the origin by then is no answer before it is validated
    block: int | None = None  # so many bytes of a body in slices are wanted, where all of it is asked for


NO_NODE: Final = OfNode()


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
    interim: bool = False  # whether its client can be given answers of 1xx
    node: OfNode = NO_NODE

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
        INTERIM in scope.get("extensions", ()),
    )


def zone_request(scope: Any, target: Target, scheme: str, token_names: Collection[str] = ()) -> Incoming:
    """The request of an ASGI scope to a zone with a name: what its origin may see of it.

    A token in a cookie, under one of `token_names`, is not: it is another one with each answer.
    """
    zone, fields, method = target.zone, scope["headers"], scope["method"]
    bodiless = method in PASSED
    passed = _ASKED | zone.forward if bodiless else _ASKED | _OF_A_BODY | zone.forward
    declared = get(fields, b"content-length")
    length = None if get(fields, b"transfer-encoding") is not None else int(declared or b"0")
    seen = [field for field in end_to_end(fields) if field[0] in passed]
    if b"cookie" in zone.forward:
        seen = [field for field in _without_tokens(seen, token_names) if field[1]]
    return Incoming(
        Request(method, target.key(scheme), seen),
        target.upstream,
        zone.host_header.encode("ascii"),
        scheme,
        scope["client"][0] if scope["client"] else "",
        (),
        scope["http_version"],
        0 if bodiless else length,  # a body of GET means nothing to anybody here
        INTERIM in scope.get("extensions", ()),
    )


def _without_tokens(fields: Fields, names: Collection[str]) -> Fields:
    """The fields, those of Cookie without the pairs of these names."""
    hidden = {name.encode("ascii") for name in names}
    found = []
    for name, value in fields:
        if name == b"cookie":
            pairs = [pair.strip() for pair in value.split(b";")]
            value = b"; ".join(pair for pair in pairs if pair.partition(b"=")[0] not in hidden)
        found.append((name, value))
    return found


def told(
    zone: Zone, asked: Incoming, fields: Fields, name: str, trusted: Sequence[Network]
) -> list[tuple[bytes, bytes]]:
    """The fields that go to an origin of this zone, made of `fields`: the request's or conditional ones."""
    if not zone.name:
        return forwarded(asked, fields, name, trusted)
    sent = [(b"host", asked.host)] if asked.host else []
    sent += fields
    if b"user-agent" not in zone.forward:
        sent.append(_OWN_AGENT)
    sent += _framing(asked)
    return with_cdn_loop(with_via(sent, name, asked.version), name)


def hops_left(request: Request) -> int | None:
    """Over how many hops it may still go (RFC 9110 §7.6.2); None: as many as there are."""
    value = get(request.fields, b"max-forwards") if request.method in ("OPTIONS", "TRACE") else None
    return int(value) if value is not None and value.isdigit() and len(value) <= 9 else None


def forwarded(
    asked: Incoming, fields: Fields, name: str, trusted: Sequence[Network]
) -> list[tuple[bytes, bytes]]:
    """The same for a plain edge."""
    peer = address(asked.client)
    believed = peer is not None and inside(peer, trusted)
    hops = [*(asked.forwarded_for if believed else ()), asked.client.encode("ascii")]
    sent = [(b"host", asked.host), *without(fields, _SAID_ANEW)]
    left = hops_left(asked.request)
    if left is not None:
        sent = replaced(sent, b"max-forwards", b"%d" % max(0, left - 1))
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
