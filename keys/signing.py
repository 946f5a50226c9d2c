"""The key a site (or keys itself) signs with, and the links it makes with nothing running.

`issuer.json` is the whole of what a site needs: `{"iss","kid","alg","jwk":{private},"viewer_key"}`.
`sign_url` makes the link token (RFC 9246 signed JWT, path style) and puts it into the first path segment,
where every relative URL of a playlist inherits it.
"""

import ipaddress
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from keys import jwk as jwks
from keys import jws
from keys.cipher import CLAIM_KEY, Secret, seal_claim
from keys.claims import AUDIENCE, LINK_ID, OFFLINE_LONGEST_S, PACE_CLAIM
from keys.container import ATTRIBUTE, LINK_PATTERN, canonical_uri, quote, regex_container, split_token
from keys.limits import NO_LIMITS, Limits
from keys.names import asset_id, b64url, b64url_decode, split_download
from keys.pace import Pace
from keys.private_file import write_private
from keys.renewal import WAYS, Renewal

MAX_TOKEN: Final = 1536  # bytes; ffmpeg cuts URLs at 4096
NOT_BEFORE_SLACK: Final = 30  # s: verifiers allow no leeway, so the signer's clock may run ahead by this
MAX_VIEWER: Final = 256  # bytes of a viewer's ID

_STREAM = re.compile(r"/v/([^/]+)/main\.(?:m3u8|mpd)")
_ZONES: Final = "/z/"
_MEDIA: Final = ("/v/", "/d/")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private signing key, its issuer and ID, and for a site the key of private claims."""

    iss: str
    kid: str
    private: jwks.PrivateKey = field(repr=False)
    viewer_key: Secret | None = field(default=None, repr=False)  # 16 bytes, shared with keys

    @classmethod
    def generate(cls, iss: str, alg: str = "EdDSA", *, viewer_key: bool = True) -> "SigningKey":
        """A new random key under its thumbprint. `viewer_key`: whether it can hide `sub` and `cdniip`."""
        private = jwks.new_private(alg)
        hidden = Secret(secrets.token_bytes(CLAIM_KEY)) if viewer_key else None
        return cls(iss, jwks.thumbprint(private.public_key()), private, hidden)

    @classmethod
    def load(cls, path: str | Path) -> "SigningKey":
        """The key in a file. OSError when there is none, ValueError when it is no signing key."""
        return cls.from_json(Path(path).read_bytes())

    @classmethod
    def from_json(cls, data: bytes) -> "SigningKey":
        """The key as `to_json` wrote it. ValueError, which never quotes the content, when it is none."""
        try:
            found = json.loads(data)
            private = jwks.read_private(found["jwk"])
            iss, kid, hidden = found["iss"], found["kid"], found.get("viewer_key")
            viewer_key = Secret(b64url_decode(hidden)) if hidden is not None else None
            whole = isinstance(iss, str) and isinstance(kid, str) and found["alg"] == jwks.algorithm(private)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("not a signing key") from None
        if not whole or (viewer_key is not None and len(viewer_key) != CLAIM_KEY):
            raise ValueError("not a signing key")
        return cls(iss, kid, private, viewer_key)

    def to_json(self) -> bytes:
        """The file's content. A secret."""
        fields: dict[str, object] = {
            "iss": self.iss,
            "kid": self.kid,
            "alg": self.alg,
            "jwk": jwks.private_jwk(self.private),
        }
        if self.viewer_key is not None:
            fields["viewer_key"] = b64url(self.viewer_key.reveal())
        return json.dumps(fields, separators=(",", ":")).encode()

    def save(self, path: str | Path) -> None:
        """Writes the key to a file of mode 0600, in one step."""
        write_private(Path(path), self.to_json())

    @property
    def alg(self) -> str:
        """ "EdDSA" or "ES256"."""
        return jwks.algorithm(self.private)

    def verify_key(self) -> jws.VerifyKey:
        """The public half under its ID."""
        return jws.VerifyKey(self.kid, self.private.public_key())

    def public_jwk(self) -> dict[str, str]:
        """The public JWK with `kid`, `alg` and `use`."""
        return self.verify_key().jwk()

    def sign(self, claims: Mapping[str, object]) -> str:
        """The token of these claims and `iss`. ValueError when it would be too long for a URL."""
        text = jws.sign(self.private, self.kid, {"iss": self.iss, **claims})
        if len(text) > MAX_TOKEN:
            raise ValueError(f"the token has {len(text)} bytes, at most {MAX_TOKEN} fit a URL")
        return text


def sign_url(
    url: str,
    key: SigningKey,
    *,
    start_within_s: int = 7200,
    session_s: int = 21600,
    viewer: str | None = None,
    network: str | None = None,
    once: bool = False,
    hosts: tuple[str, ...] | list[str] = (),
    pace: Mapping[str, float] | None = None,
    link_id: str | None = None,
    limits: Limits | None = None,
    renew: str | None = None,
    renew_s: int = 60,
    offline_s: int | None = None,
    attribute: str = ATTRIBUTE,
    below: bool = False,
    now: float | None = None,
) -> str:
    """The URL as a signed link: the right to open a session on it within `start_within_s` seconds.

    `session_s` is how long that session may last; `viewer` an ID of yours, `network` an address or CIDR, both
    hidden in the link; `once` makes it single-use; `hosts` are further public edge base URLs it is good for;
    `pace` overrides {"burst": s, "rate": × real time, "jumps": n}; `limits`: what else it limits; `link_id`
    is what revocation knows it by, otherwise a random one;
    `renew`, for a download or a zone, has its token last only `renew_s` seconds after
    each request, handed on by "cookie" or "redirect" (RFC 9246 §3), for `session_s` seconds from opening;
    `offline_s`, for a protected download, grants offline use: a license lasts so long, at most 30 days;
    `attribute` is what the token stands under, where the edges know another name (`token-name`). A link
    to `/v/<asset>/main.m3u8` opens `main.mpd` too; any other URL, such as `/d/<asset>/<file>`, is signed
    exactly, or with `below` for all that lies in its folder and below that, as a zone's may be. A zone's
    link, `/z/<zone>/…`, opens no session: it is good for `start_within_s` seconds, as often as it is used;
    with `renew` it is opened within that time.
    ValueError says what does not fit.
    """
    plain = _plain_url(url, attribute)
    bound = once or network is not None or pace is not None or (limits or NO_LIMITS) != NO_LIMITS
    if bound and urlsplit(plain).path.startswith(_ZONES):
        raise ValueError("a zone's link opens no session: its time, its URLs and its viewer bind it")
    issued = int(time.time() if now is None else now)
    claims: dict[str, object] = {
        "aud": AUDIENCE,
        "iat": issued,
        "nbf": issued - NOT_BEFORE_SLACK,
        "exp": issued + _seconds(start_within_s, "start_within_s"),
        "cap": _seconds(session_s, "session_s"),
        "cdniuc": _container(plain, tuple(hosts), below=below),
        "jti" if once else "lid": b64url(secrets.token_bytes(16)) if link_id is None else _link_id(link_id),
    }
    if viewer is not None:
        claims["sub"] = seal_claim(_viewer_key(key), _viewer(viewer))
    if network is not None:
        claims["cdniip"] = seal_claim(_viewer_key(key), str(ipaddress.ip_network(network, strict=False)))
    if pace is not None:
        claims["pace"] = _pace(pace)
    if limits is not None and limits.to_json():
        claims["limits"] = limits.to_json()
        claims["cdnicrit"] = "limits"  # RFC 9246 §2.1.13: who does not know them must refuse the link
    if offline_s is not None:
        claims["offline"] = _offline(plain, offline_s)
    if renew is not None:
        claims |= _renewal(plain, renew, renew_s, below=below)
    return insert_token(plain, key.sign(claims), attribute)


def insert_token(url: str, token: str, attribute: str = ATTRIBUTE) -> str:
    """The URL with the token as path parameter of its first path segment."""
    match = re.match(r"https?://[^/?]+/[^/?]+", url)
    if not match:
        raise ValueError("a signed URL has a path")
    return f"{match[0]};{attribute}={token}{url[match.end() :]}"


def _plain_url(url: str, attribute: str) -> str:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", attribute):
        raise ValueError("an attribute's name is of A-Z, a-z, 0-9 and _")
    if split_token(url)[1] or split_token(url, attribute)[1]:
        raise ValueError("the URL is signed already")
    plain = canonical_uri(url)
    if ";" in urlsplit(plain).path:
        raise ValueError("a signed path has no other parameter")
    return plain


def _container(url: str, hosts: tuple[str, ...], *, below: bool) -> str:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if below and (parts.query or parts.path.startswith(_MEDIA)):
        raise ValueError("what lies below a path is signed for a zone, without a query")
    stream = _STREAM.fullmatch(path)
    split_download(path)  # a name no edge would read is no link
    pattern = rf"/v/{quote(asset_id(stream[1]))}/main\.(m3u8|mpd)" if stream else quote(path)
    if below:
        pattern = quote(path.rpartition("/")[0]) + "/.*"
    container = regex_container((f"{parts.scheme}://{parts.netloc}", *hosts), pattern)
    if len(container) - len("regex:") > LINK_PATTERN:
        raise ValueError("too many hosts, or too long a path, for one link")
    return container


def _seconds(value: int, name: str) -> int:
    if int(value) < 1:
        raise ValueError(f"{name} is at least 1 second")
    return int(value)


def _link_id(text: str) -> str:
    if not LINK_ID.fullmatch(text):
        raise ValueError("a link's ID is 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `~` and -")
    return text


def _viewer_key(key: SigningKey) -> bytes:
    if key.viewer_key is None:
        raise ValueError("this signing key cannot hide a viewer or a network: it has no viewer_key")
    return key.viewer_key.reveal()


def _renewal(url: str, by: str, extend_s: int, *, below: bool) -> dict[str, int]:
    path = urlsplit(url).path
    if by not in WAYS or path.startswith("/v/"):
        raise ValueError(f"a download's or zone's token is renewed by {' or '.join(WAYS)}; a stream's lasts")
    bound = path.rpartition("/")[0] if below else path  # the cookie's Path: no more than what is signed
    return Renewal(WAYS[by], _seconds(extend_s, "renew_s"), len(bound.split("/")) - 1).claims()


def _offline(url: str, length_s: int) -> int:
    download = split_download(urlsplit(url).path)
    if download is None or download[2] == "clear":
        raise ValueError("offline use is of a protected download, /d/<asset>/ece/<file>")
    if not 1 <= int(length_s) <= OFFLINE_LONGEST_S:
        raise ValueError(f"offline_s is 1 to {OFFLINE_LONGEST_S} seconds")
    return int(length_s)


def _pace(pace: Mapping[str, float]) -> dict[str, float]:
    if not pace.keys() <= PACE_CLAIM.keys():
        raise ValueError(f"a link's pace has {', '.join(PACE_CLAIM)}")
    Pace().overridden({PACE_CLAIM[name]: value for name, value in pace.items()})
    return dict(pace)


def _viewer(viewer: str) -> str:
    if not 0 < len(viewer.encode("utf-8")) <= MAX_VIEWER or not viewer.isprintable():
        raise ValueError(f"a viewer's ID is 1 to {MAX_VIEWER} bytes of printable text")
    return viewer
