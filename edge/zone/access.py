"""May this client have this of a signed zone now? Asked of every request: token, URI, revocation.

A zone's link is an RFC 9246 token that a site signed, good until it ends, for whatever its container allows.
It opens no session, and keys is asked only for whom it names and what follows it (`edge.zone.tokens`). A link
that needs a session to hold is refused, not half obeyed: single-use, bound to a network, a pace or limits.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edge.deliver.authorize import ChecksTokens, KnowsRevoked
from edge.zone.keying import Target
from edge.zone.tokens import Tokens
from keys.claims import Claims
from keys.names import DEFAULT_TENANT
from keys.problems import Problem
from keys.zone_links import unfit

KNOWN_MOST: Final = 10_000  # links that a worker remembers to have let in


class Access:
    """The checks of one worker."""

    def __init__(self, checked: ChecksTokens, revocations: KnowsRevoked, tokens: Tokens | None) -> None:
        """Without `tokens` no link that names a viewer or is renewed is taken."""
        self._checked = checked
        self._revocations = revocations
        self.tokens = tokens
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def allowed(self, target: Target) -> Claims:
        """What the token says that allows this now. Problem forbidden, expired, revoked or unavailable."""
        if not target.token:
            raise Problem("forbidden", detail="no token")
        claims = await self._checked.verify(target.token, target.public)
        reason = unfit(claims)
        if claims.kind == "zone" and (claims.renewal is None or claims.renewal.by != target.way):
            reason = "a token that does not travel so"
        if self.tokens is None and (claims.sub or claims.renewal):
            reason = "a link that keys would have to be asked about"
        if reason:
            raise Problem("forbidden", detail=reason)
        if self.tokens is not None:
            await self.tokens.learn(claims, target.token, target.public)
        self.still_allowed(claims)
        link = (claims.iss, claims.lid)
        if claims.kind == "zone" or link in self._known:
            # Was let in while it was known what is revoked, here or by keys: goes on as a session does.
            self._revocations.may_go_on()
        else:
            self._revocations.may_open()
            self._known[link] = None
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return claims

    def goes_on(self, claims: Claims, now: Callable[[], float]) -> None:
        """The same of a link that was let in a moment ago. Problem expired, revoked or unavailable."""
        if claims.exp <= now():
            raise Problem("expired", detail=f"link ended at {claims.exp}")
        self.still_allowed(claims)
        self._revocations.may_go_on()

    def still_allowed(self, claims: Claims) -> None:
        """Returns while the link is not taken back, for an answer that takes long. Problem revoked."""
        self._revocations.check(
            lid=claims.lid,
            viewer=None if self.tokens is None else self.tokens.viewer(claims),
            signer=claims.signer,
            issued=(DEFAULT_TENANT, claims.issued),
        )
        if claims.kind == "zone":
            self._revocations.check(signer=(claims.iss, claims.kid))
