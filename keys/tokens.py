"""May this token fetch this URI now? Strict, in the order of SECURITY 4, for links and for sessions.

    parse → header → key bound to (issuer, kid) → signature → payload and types → exp, nbf → lifetime →
    cdniv, cdnicrit, aud, cdniip → cdniuc → revocation

Refused carries the reason code of RFC 9246 §4.4. A code other than `forbidden` is only ever given after the
signature held: before that, nobody is told anything. What a network or a used `jti` means is for
`keys.sessions`; an edge learns its session's network from the lease.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from keys import jws
from keys.claims import (
    BAD_CONTAINER,
    BAD_ISSUER,
    BAD_NONCE,
    BAD_SIGNATURE,
    MALFORMED_URI,
    Claims,
    Refused,
    check_times,
    read_claims,
)
from keys.container import (
    LINK_PATTERN,
    SESSION_PATTERN,
    BadContainer,
    Matcher,
    canonical_uri,
    regex_container,
)
from keys.names import asset_id, b64url
from keys.renewal import Renewal
from keys.signing import NOT_BEFORE_SLACK, SigningKey

__all__ = [
    "SESSION_ISSUER", "Claims", "Issuer", "Refused", "Trust", "VerifiedTokens",
    "mint", "renewed", "verify",
]  # fmt: skip

SESSION_ISSUER: Final = "sluice"
KINDS: Final = ("link", "session")

Revoked = Callable[[Claims], bool]


@dataclass(frozen=True)
class Issuer:
    """Whom we believe, for what, with which keys, and for how long a time at once."""

    iss: str
    kind: str  # "link" or "session"
    keys: tuple[jws.VerifyKey, ...]
    max_lifetime_s: int  # exp may lie at most this far ahead

    def jwks(self) -> list[dict[str, str]]:
        """The public JWKs."""
        return [key.jwk() for key in self.keys]


class Trust:
    """Every issuer and key tokens may come from. Immutable; compares by content."""

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        self.issuers = tuple(issuers)
        self._by_kid: dict[str, list[tuple[Issuer, jws.VerifyKey]]] = {}
        for issuer in self.issuers:
            if issuer.kind not in KINDS:
                raise ValueError(f"an issuer is for {' or '.join(KINDS)}, not {issuer.kind!r}")
            for key in issuer.keys:
                self._add(issuer, key)

    def _add(self, issuer: Issuer, key: jws.VerifyKey) -> None:
        same = self._by_kid.setdefault(key.kid, [])
        if any(other.iss == issuer.iss for other, _ in same):
            raise ValueError(f"issuer {issuer.iss} has two keys of one ID")
        same.append((issuer, key))

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> "Trust":
        """The trust in an answer of `GET /v1/trust`. ValueError when it is none."""
        rows = fields.get("issuers")
        if not isinstance(rows, list):
            raise ValueError("issuers is a list")
        try:
            return cls(_issuer(row) for row in rows)
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError("an issuer of the wrong shape") from exc

    def to_json(self) -> dict[str, object]:
        """What `from_json` reads."""
        rows = [
            {"iss": i.iss, "kind": i.kind, "keys": i.jwks(), "max_lifetime_s": i.max_lifetime_s}
            for i in self.issuers
        ]
        return {"issuers": rows}

    def signers(self, kid: str) -> list[tuple[Issuer, jws.VerifyKey]]:
        """Each issuer that has a key of this ID, and the key: nearly always one or none."""
        return self._by_kid.get(kid, [])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trust) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


def _issuer(row: Mapping[str, object]) -> Issuer:
    iss, kind, keys, lifetime = row["iss"], row["kind"], row["keys"], row["max_lifetime_s"]
    if not (isinstance(iss, str) and isinstance(kind, str) and isinstance(keys, list)):
        raise ValueError("an issuer of the wrong shape")
    if not isinstance(lifetime, int) or lifetime <= 0:
        raise ValueError("max_lifetime_s is a number of seconds")
    return Issuer(iss, kind, tuple(jws.VerifyKey.from_jwk(key) for key in keys), lifetime)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A token whose signature and types hold: all of the answer that does not depend on the request."""

    claims: Claims
    max_lifetime_s: int
    pattern_limit: int  # characters


def verify(
    text: str,
    *,
    uri: str,
    trust: Trust,
    now: float,
    revoked: Revoked | None = None,
    matcher: Matcher | None = None,
) -> Claims:
    """The claims of a token that allows this URI at `now` (seconds since the epoch). Refused if it does not.

    `uri` is the public URI without its token; it is normalised here too. `matcher` keeps compiled patterns.
    """
    return _check(_open(text, trust, now), uri, now, matcher or Matcher(), revoked)


def _open(text: str, trust: Trust, now: float) -> _Opened:
    try:
        parsed = jws.parse(text)
    except jws.Malformed as exc:
        raise Refused(BAD_SIGNATURE) from exc
    bound = [(issuer, key) for issuer, key in trust.signers(parsed.kid) if key.alg == parsed.alg]
    if not bound:
        raise Refused(BAD_ISSUER)
    signer = next(((issuer, key) for issuer, key in bound if key.holds(parsed)), None)
    if signer is None:
        raise Refused(BAD_SIGNATURE)
    issuer, key = signer
    lifetime = issuer.max_lifetime_s
    claims = read_claims(parsed.payload, issuer.kind, issuer.iss, key.kid, now=now, max_lifetime_s=lifetime)
    return _Opened(claims, lifetime, LINK_PATTERN if issuer.kind == "link" else SESSION_PATTERN)


def _check(opened: _Opened, uri: str, now: float, matcher: Matcher, revoked: Revoked | None) -> Claims:
    """What has to be asked on every request."""
    claims = opened.claims
    check_times(claims.exp, claims.nbf, now, opened.max_lifetime_s)
    try:
        uri = canonical_uri(uri)
    except ValueError as exc:
        raise Refused(MALFORMED_URI) from exc
    try:
        allowed = matcher.allows(claims.cdniuc, uri, issuer=claims.iss, pattern_limit=opened.pattern_limit)
    except BadContainer as exc:
        raise Refused(BAD_CONTAINER) from exc
    if not allowed:
        raise Refused(BAD_CONTAINER)
    if revoked is not None and revoked(claims):
        raise Refused(BAD_NONCE, "revoked")
    return claims


_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def _lean(opened: _Opened) -> _Opened:
    return replace(opened, claims=replace(opened.claims, raw=_NOTHING))


class VerifiedTokens:
    """Verifies with a memory: each text's signature once, its times, URI and revocation every time.

    Holds at most `limit` tokens by SHA-256 of their text, least recently used first out. Without `keep_raw`
    its claims come with no `raw`, which only who mints needs.
    """

    def __init__(self, trust: Trust, limit: int = 10_000, *, keep_raw: bool = True) -> None:
        self._trust = trust
        self._keep_raw = keep_raw
        self._limit = limit
        self._opened: OrderedDict[bytes, _Opened] = OrderedDict()
        self._matcher = Matcher()

    def __len__(self) -> int:
        return len(self._opened)

    @property
    def trust(self) -> Trust:
        """Whom this believes now."""
        return self._trust

    def set_trust(self, trust: Trust) -> None:
        """Believes these issuers from now on; what was verified under others is forgotten."""
        if trust != self._trust:
            self._opened.clear()
        self._trust = trust

    def verify(self, text: str, uri: str, now: float, revoked: Revoked | None = None) -> Claims:
        """As the function `verify`."""
        if len(text) > jws.MAX_BYTES or not text.isascii():
            raise Refused(BAD_SIGNATURE)
        key = hashlib.sha256(text.encode("ascii")).digest()
        opened = self._opened.get(key)
        if opened is None:
            opened = _open(text, self._trust, now)
            opened = self._opened[key] = opened if self._keep_raw else _lean(opened)
            if len(self._opened) > self._limit:
                self._opened.popitem(last=False)
        elif opened.claims.exp <= now:
            del self._opened[key]
        else:
            self._opened.move_to_end(key)
        return _check(opened, uri, now, self._matcher, revoked)


def mint(
    key: SigningKey,
    *,
    sid: bytes,
    asset: str,
    expires: float,
    now: float,
    hosts: Iterable[str],
    paths: str | None = None,
    cdniip: str = "",
    renewal: Renewal | None = None,
    offline: int = 0,
) -> str:
    """A session token: the right to `paths` of `asset` at these public edge base URLs until `expires`.

    `paths` is a POSIX ERE; None: all streams of the asset, `/v/<asset>/.*`. `cdniip` is copied from the link
    when it had one (RFC 9246 §2.1.14), and so are `offline` and `renewal`. That
    also ends the token so much after `now` at the latest. ValueError when it fits no URL.
    """
    if renewal is not None:
        expires = min(expires, now + renewal.extend_s)
    claims: dict[str, object] = {
        "sid": b64url(sid),
        "asset": asset_id(asset),
        "exp": int(expires),
        "nbf": int(now) - NOT_BEFORE_SLACK,
        "cdniuc": regex_container(tuple(hosts), paths or f"/v/{asset}/.*"),
    }
    if cdniip:
        claims["cdniip"] = cdniip
    if offline:
        claims["offline"] = offline
    if renewal is not None:
        claims |= renewal.claims()
    return key.sign(claims)


def renewed(key: SigningKey, claims: Claims, *, ends: float, now: float) -> str:
    """The token that follows a session's, which was verified just now: all it says, and a new end.

    RFC 9246 §3.1: the new `exp` counts from the verification, not from the old one. It never lies beyond
    `ends`, the session's own end.
    """
    assert claims.kind == "session" and claims.renewal is not None, "only such tokens are renewed"
    times = {"exp": int(min(ends, now + claims.renewal.extend_s)), "nbf": int(now) - NOT_BEFORE_SLACK}
    said = {name: value for name, value in claims.raw.items() if name not in ("iss", "iat")}
    return key.sign({**said, **times})
