"""Whose links are believed: the site's own signing key and further issuers from the configuration.

Each issuer may share a viewer key with this service, under which its links hide `sub` and `cdniip`. Answers
the `Trust` that tokens are verified with, and what a link's private claims say.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from keys.cipher import CLAIM_KEY, BadWrap, Secret, open_claim
from keys.claims import BAD_CLIENT_IP, BAD_SUBJECT
from keys.jws import VerifyKey
from keys.keyring import Keyring
from keys.link_ring import LinkRing
from keys.names import b64url, b64url_decode
from keys.signing import MAX_VIEWER
from keys.tokens import SESSION_ISSUER, Claims, Issuer, Refused, Trust

LINK_LIFETIME_S: Final = 30 * 24 * 3600  # a link's `exp` may lie this far ahead
MAX_ISSUER: Final = 256  # characters
CLOCK_SLACK_S: Final = 300  # an edge whose clock is behind still takes a new session token


@dataclass(frozen=True, slots=True)
class LinkIssuer:
    """One who may sign links, and the 16-byte key under which he hides viewers and networks in them."""

    issuer: Issuer
    viewer_key: Secret | None = field(default=None, repr=False)
    jwks: str = ""  # where he publishes his keys (`keys.jwks_watch`); "": they are as configured


def configured_issuers(config: Mapping[str, Mapping[str, Any]]) -> list[LinkIssuer]:
    """Further issuers: `{iss: {"keys": [public JWK], "viewer_key"?: base64url, "max_lifetime_s"?: seconds}}`.

    Instead of `keys`, `"jwks": URL` says where the issuer publishes them as a JWK Set. ValueError names the
    issuer whose entry is wrong.
    """
    return [_configured(iss, fields) for iss, fields in config.items()]


def _configured(iss: str, fields: Mapping[str, Any]) -> LinkIssuer:
    try:
        source = _jwks_url(fields["jwks"]) if "jwks" in fields else ""
        keys = () if source else tuple(VerifyKey.from_jwk(jwk) for jwk in fields["keys"])
        lifetime_s = int(fields.get("max_lifetime_s", LINK_LIFETIME_S))
        hidden = fields.get("viewer_key")
        viewer_key = Secret(b64url_decode(hidden)) if hidden is not None else None
        if iss == SESSION_ISSUER or not 0 < len(iss) <= MAX_ISSUER or not (keys or source) or lifetime_s <= 0:
            raise ValueError("a name of its own, a key and a positive lifetime are needed")
        if viewer_key is not None and len(viewer_key) != CLAIM_KEY:
            raise ValueError(f"a viewer key is {CLAIM_KEY} bytes")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"issuer {iss}: {type(exc).__name__} {exc}") from exc
    return LinkIssuer(Issuer(iss, "link", keys, lifetime_s), viewer_key, source)


def _jwks_url(text: str) -> str:
    parts = urlsplit(text)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or (here and parts.scheme == "http")):
        raise ValueError("jwks is an https:// address")
    return text


class HasRings(Protocol):
    """Who has the rings of the installation's own keys (`keys.rings`)."""

    @property
    def sessions(self) -> Keyring:
        """The keys of session tokens."""
        ...

    @property
    def links(self) -> LinkRing:
        """The site's keys."""
        ...


class Issuers:
    """All link issuers, and the session tokens' own: what `GET /v1/trust` tells and what opening needs.

    `links` are believed besides the site itself, whose keys are in `rings`.
    """

    def __init__(self, links: Iterable[LinkIssuer], rings: HasRings, longest_session_s: int) -> None:
        self._links = {link.issuer.iss: link for link in links}
        self._rings = rings
        self._session_lifetime_s = longest_session_s + CLOCK_SLACK_S
        lifetimes = (link.issuer.max_lifetime_s for link in self._links.values())
        self.longest_link_s = max(LINK_LIFETIME_S, *lifetimes, 0)

    @property
    def longest_session_token_s(self) -> int:
        """How long a session token may be good for from when it is signed, in seconds."""
        return self._session_lifetime_s

    def set_keys(self, iss: str, keys: tuple[VerifyKey, ...]) -> tuple[VerifyKey, ...]:
        """From now on these are the keys of a link issuer; those it had before."""
        link = self._links[iss]
        self._links[iss] = replace(link, issuer=replace(link.issuer, keys=keys))
        return link.issuer.keys

    def trust(self, now: float) -> Trust:
        """Whom to believe at `now`."""
        ring = self._rings.links
        site = Issuer(ring.iss, "link", tuple(key.public for key in ring.at(now)), LINK_LIFETIME_S)
        keys = tuple(VerifyKey.from_jwk(jwk) for jwk in self._rings.sessions.public_jwks(now))
        session = Issuer(SESSION_ISSUER, "session", keys, self._session_lifetime_s)
        links = {site.iss: site} | {iss: link.issuer for iss, link in self._links.items()}
        return Trust([*links.values(), session])

    def mark(self, now: float) -> str:
        """A short text that changes when `trust` does."""
        text = json.dumps(self.trust(now).to_json(), sort_keys=True)
        return b64url(hashlib.sha256(text.encode()).digest()[:12])

    def viewer(self, claims: Claims) -> str | None:
        """The viewer a verified link names. Refused when hidden under another key, or no printable text."""
        viewer = self._open(claims, claims.sub, BAD_SUBJECT)
        if viewer is not None and not (0 < len(viewer) <= MAX_VIEWER and viewer.isprintable()):
            raise Refused(BAD_SUBJECT)
        return viewer

    def network(self, claims: Claims) -> str | None:
        """The network a verified link is bound to, as CIDR. Refused when it is hidden or unreadable."""
        text = self._open(claims, claims.cdniip, BAD_CLIENT_IP)
        try:
            return None if text is None else str(ipaddress.ip_network(text, strict=False))
        except ValueError as exc:
            raise Refused(BAD_CLIENT_IP) from exc

    def _open(self, claims: Claims, jwe: str, reason: int) -> str | None:
        if not jwe:
            return None
        key = self._viewer_key(claims)
        try:
            return open_claim(key.reveal(), jwe) if key else _no_key(reason)
        except BadWrap as exc:
            raise Refused(reason) from exc

    def _viewer_key(self, claims: Claims) -> Secret | None:
        iss, kid = claims.signer
        link = self._links.get(iss)
        if link is not None:
            return link.viewer_key
        return next((k.viewer_key for k in self._rings.links.keys if k.public.kid == kid), None)


def _no_key(reason: int) -> str:
    raise Refused(reason)
