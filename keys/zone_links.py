"""What only keys can do for a link of a signed zone: say whom it names, and make the token that follows.

Edges hold public keys: they check a zone's link alone, and can neither read whom it hides nor prolong it. A
link that asks for renewal (RFC 9246 §3) is exchanged for a *zone token*, signed by keys with the key of
session tokens. It says what the link says (container, viewer, ID, how it is renewed), who signed that, and
two times: `exp`, which each renewal moves on, and `end`, which none does: `cap` seconds after the link was
opened, at most as long as any session. Nothing is written down: all there is to know is in the token.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keys.claims import BAD_NONCE, Claims, log_fields
from keys.container import Matcher
from keys.feed import RevocationFeed
from keys.issuers import Issuers
from keys.limits import NO_LIMITS
from keys.names import DEFAULT_TENANT
from keys.problems import Problem
from keys.rings import Rings
from keys.signing import NOT_BEFORE_SLACK, SigningKey
from keys.tokens import verify

_UNFIT: Final[tuple[tuple[Callable[[Claims], object], str], ...]] = (
    (lambda claims: claims.kind == "session", "a session's token, for a zone"),
    (lambda claims: claims.single_use, "a zone's link cannot be single-use"),
    (lambda claims: claims.cdniip, "a zone's link is bound to no network"),
    (lambda claims: claims.offline, "a zone's link grants no offline use"),
    (lambda claims: claims.pace is not None or claims.limits != NO_LIMITS, "a zone's link has no limits"),
)


def unfit(claims: Claims) -> str:
    """Why no zone takes this token, as only a session could hold to it; "" when one may."""
    return next((reason for is_so, reason in _UNFIT if is_so(claims)), "")


@dataclass(frozen=True, slots=True)
class ZoneLink:
    """What keys says of a zone's link or token."""

    viewer: str | None
    token: str = field(default="", repr=False)  # the one that follows; "" when it asks for none

    def to_json(self) -> dict[str, Any]:
        """The body of `POST /v1/zone-links`. Holds a token."""
        return {"viewer": self.viewer, "token": self.token}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ZoneLink":
        """What `to_json` wrote. KeyError or TypeError when it is something else."""
        viewer, token = fields["viewer"], fields["token"]
        if not (viewer is None or isinstance(viewer, str)) or not isinstance(token, str):
            raise TypeError("a viewer and a token are texts")
        return cls(viewer, token)


def follow(key: SigningKey, claims: Claims, *, longest_s: float, now: float) -> str:
    """The token that follows a zone's link or token, which was verified just now. ValueError: it is too long.

    RFC 9246 §3.1: its `exp` counts from now. It never lies beyond `end`, which is at most `longest_s` away.
    """
    assert claims.renewal is not None, "only such links are renewed"
    end = claims.end or int(now + min(claims.cap or longest_s, longest_s))
    said: dict[str, object] = {
        "lid": claims.lid,
        "by": list(claims.signer),
        "end": end,
        "cdniuc": claims.cdniuc,
        "iat": int(now),
        "nbf": int(now) - NOT_BEFORE_SLACK,
        "exp": int(min(end, now + claims.renewal.extend_s)),
        **claims.renewal.claims(),
    }
    return key.sign(said | ({"sub": claims.sub} if claims.sub else {}))


@dataclass(frozen=True, slots=True)
class ZoneLinks:
    """Answers edges. `longest_s` is how long a session may last."""

    feed: RevocationFeed
    issuers: Issuers
    rings: Rings
    matcher: Matcher
    longest_s: int
    now: Callable[[], float]
    count: Callable[[str], None]

    async def ask(self, token: str, uri: str) -> ZoneLink:
        """What there is to say of this token, for this URI. Refused or Problem when it allows it not."""
        now = self.now()
        claims = verify(token, uri=uri, trust=self.issuers.trust(now), now=now, matcher=self.matcher)
        if reason := unfit(claims):
            raise Problem("forbidden", detail=reason)
        viewer = self.issuers.viewer(claims)
        await self._check_revoked(claims, viewer, now)
        if claims.renewal is None or claims.exp == claims.end:
            return ZoneLink(viewer)
        try:
            following = follow(self.rings.sessions.active(now), claims, longest_s=self.longest_s, now=now)
        except ValueError as exc:
            raise Problem("forbidden", detail=str(exc)) from exc
        self.count("keys_renewals")
        return ZoneLink(viewer, following)

    async def _check_revoked(self, claims: Claims, viewer: str | None, now: float) -> None:
        revoked = await self.feed.refresh()
        kind = revoked.find(
            now=now,
            lid=claims.lid,
            viewer=viewer,
            signer=claims.signer,
            issued=(DEFAULT_TENANT, claims.issued),
        ) or revoked.find(now=now, signer=(claims.iss, claims.kid))
        if kind:
            raise Problem("revoked", detail=log_fields(BAD_NONCE, f"revoked by {kind}"))
