"""What a cache holds and by which rules: requests, responses, entries, and the settings of a shared cache.

An entry keeps what its fields say in the form decisions need, so that a hit parses nothing. It holds no body:
who stores entries keeps the bytes beside them.
"""

from dataclasses import dataclass
from typing import Final

from edge.http.directives import Directives
from edge.http.fields import Fields

Variant = tuple[tuple[bytes, bytes | None], ...]  # (name a Vary gave, normalised value or None) in name order

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it concerns the cache: fields end to end, `uri` absolute (`http://host/path?query`)."""

    method: str
    uri: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a final answer of an origin, as it came."""

    status: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored response but for its body (RFC 9111 §3)."""

    uri: str
    status: int  # 206 as well, when `span` is not the whole
    fields: Fields  # end to end, without what may not be stored, always with a Date
    variant: Variant
    directives: Directives

    requested: float  # when its request was sent, or that of the last validation
    received: float  # when its head came
    date: float  # its Date
    initial_age_s: float  # when it came (RFC 9111 §4.2.3)
    lifetime_s: float  # for how long after its Date it is fresh (§4.2.1)

    etag: bytes | None
    last_modified: bytes | None
    length: int | None = None  # bytes of the body held; None until its end is known
    span: tuple[int, int, int] | None = None  # start ≤ i < stop, of a complete length: only of a 206
    invalid: bool = False  # only after validation (§4.4, a soft purge)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a shared cache uses the freedom the standards leave it. By default nothing is assigned."""

    targets: tuple[bytes, ...] = (b"cdn-cache-control",)  # RFC 9213 §2.2, the first that is valid counts
    default_s: float | None = None  # freshness of what says nothing of it; None: heuristic only
    heuristic_share: float = 0.1  # of the time since Last-Modified (RFC 9111 §4.2.2)
    heuristic_most_s: float = DAY_S
    negative_most_s: float | None = None  # how long a status of 400 and more is fresh at most
    stale_if_error_s: int | None = None  # assigned where the origin says nothing
    stale_while_revalidate_s: int | None = None
    stale_when_disconnected: bool = True  # when the origin cannot be asked (RFC 9111 §4.2.4)
    windows_beat_s_maxage: bool = False  # s-maxage forbids stale answers (§5.2.2.10), also beside RFC 5861's
    request_directives: bool = True  # what clients ask by Cache-Control is honoured
    store_cookies: bool = True  # answers with Set-Cookie
    store_posts: bool = True  # answers to POST that say they are what GET gives (RFC 9110 §9.3.3)
    never_stored: frozenset[int] = frozenset()  # statuses
    body_most: int | None = None  # bytes; longer bodies are not stored
    varies: tuple[bytes, ...] = ()  # request fields that select an answer though no Vary names them
    slices: bool = True  # large bodies are asked for and kept in slices (`edge.http.partial`)
    language_order: bool = False  # the order in Accept-Language counts (RFC 9110 §12.5.4: it does not)
    language_select: bool = True  # what is in the language asked for first is what was asked for
    hidden: frozenset[bytes] = frozenset({b"surrogate-key", b"cache-tag"})  # read here, not passed to clients


PLAIN: Final = Rules()
GUARDED: Final = Rules(  # in front of origins that were not written with a shared cache in mind (SECURITY T8)
    store_cookies=False,
    store_posts=False,
    never_stored=frozenset({400, 405, *range(411, 418), 431, *range(500, 600)}),
    negative_most_s=10,
    language_order=True,
    language_select=False,
)
