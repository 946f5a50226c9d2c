"""What a verified token says, with every claim of the type RFC 9246 §2.1 gives it.

Answers: these signed bytes as `Claims`, or the three-digit reason they are refused with. Times, the URI
container, revocation and use are checked by `keys.tokens`: they depend on the request, what is here does
not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keys.cipher import is_claim
from keys.limits import NO_LIMITS, Limits
from keys.names import SESSION_ID_BYTES, asset_id, b64url_decode
from keys.pace import Pace
from keys.problems import Problem
from keys.renewal import COOKIE, REDIRECT, Renewal
from keys.strict_json import strict_object

AUDIENCE: Final = "sluice"
VERSION: Final = 1  # cdniv
EXTENSIONS: Final = frozenset(
    {"lid", "sid", "asset", "cap", "pace", "limits", "offline", "by", "end"}
)  # what cdnicrit may name

OFFLINE_LONGEST_S: Final = 30 * 86_400  # for which a link may grant offline use

# RFC 9246 §4.4: the field s-uri-signing of the log.
NOT_CHECKED: Final = 0
VERIFIED: Final = 200
BAD_SIGNATURE: Final = 400
BAD_ISSUER: Final = 401
BAD_SUBJECT: Final = 402
BAD_AUDIENCE: Final = 403
BAD_EXPIRY: Final = 404
BAD_NOT_BEFORE: Final = 405
BAD_RENEWAL: Final = 406
BAD_NONCE: Final = 407  # jti, and our lid and sid
BAD_VERSION: Final = 408
BAD_CRITICAL: Final = 409
BAD_CLIENT_IP: Final = 410
BAD_CONTAINER: Final = 411
MALFORMED_URI: Final = 500

LINK_ID: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}")  # what `lid` and `jti` may be

REASONS: Final[Mapping[int, str]] = {  # RFC 9246 §4.4: the field s-uri-signing-deny-reason
    BAD_SIGNATURE: "signature",
    BAD_ISSUER: "issuer",
    BAD_SUBJECT: "subject",
    BAD_AUDIENCE: "audience",
    BAD_EXPIRY: "expiry",
    BAD_NOT_BEFORE: "not before",
    BAD_RENEWAL: "renewal",
    BAD_NONCE: "nonce",
    BAD_VERSION: "version",
    BAD_CRITICAL: "critical claims",
    BAD_CLIENT_IP: "client address",
    BAD_CONTAINER: "URI container",
    MALFORMED_URI: "malformed URI",
}

PACE_CLAIM: Final = {"burst": "burst_s", "rate": "rate", "jumps": "jumps"}  # claim member → field of Pace

_MAX_INTEGER: Final = 1 << 53


class Refused(Exception):
    """A token that does not allow this. `reason` is for the log, `code` for the viewer's 403."""

    def __init__(self, reason: int, code: str = "forbidden") -> None:
        self.reason = reason
        self.code = code
        super().__init__(f"{reason} {code}")

    def problem(self) -> Problem:
        """The refusal the viewer gets. Its detail for the log is `log_fields`."""
        return Problem(
            self.code, detail=log_fields(self.reason, "" if self.code == "forbidden" else self.code)
        )


def log_fields(reason: int, more: str = "") -> str:
    """The two fields of RFC 9246 §4.4 as they stand in a log line: the code, and for a denial why, quoted."""
    code = f"s-uri-signing={reason:03}"
    if reason not in REASONS:
        return code
    return f'{code} s-uri-signing-deny-reason="{REASONS[reason]}{f": {more}" if more else ""}"'


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token whose signature holds. Times: seconds since the epoch. An absent text is ""."""

    kind: str  # "link" or "session", from the issuer that signed it; "zone": keys' own, for a zone's link
    iss: str
    kid: str
    exp: int
    nbf: int  # 0 when absent
    iat: int  # 0 when absent
    audience: tuple[str, ...]  # empty when absent
    cdniuc: str
    sub: str  # compact JWE: the viewer, opened by keys only
    cdniip: str  # compact JWE: the network, opened by keys only
    lid: str  # the link's ID: `jti` of a single-use link, else `lid`; "" in a session token
    single_use: bool
    sid: str  # base64url session ID; "" in a link token
    asset: str  # of the session; "" in a link token
    cap: int  # seconds a session of this link may last; 0 when the link does not say
    pace: Mapping[str, float] | None  # what the link overrides, in the field names of `keys.pace.Pace`
    raw: Mapping[str, object] = field(repr=False)
    renewal: Renewal | None = None
    limits: Limits = NO_LIMITS
    by: tuple[str, str] | None = None  # of a zone token: who signed its link, and with which key
    end: int = 0  # of a zone token: no renewal lies beyond; else 0
    offline: int = 0  # seconds a license for offline use of its download lasts; 0: it grants none

    @property
    def signer(self) -> tuple[str, str]:
        """Who signed the link, and with which key: issuer and key ID."""
        return self.by or (self.iss, self.kid)

    @property
    def issued(self) -> int:
        """When it was signed, for tenant epochs: `iat`, else `nbf`; 0 when it does not say."""
        return self.iat or self.nbf

    @property
    def token_id(self) -> str:
        """What revocation knows this token by: its session's ID, or its link's."""
        return self.sid or self.lid


def check_times(exp: int, nbf: int, now: float, max_lifetime_s: int) -> None:
    """Refused unless nbf ≤ now < exp ≤ now + max_lifetime_s. RFC 9246 §2.1 allows no leeway on either."""
    if exp <= now:
        raise Refused(BAD_EXPIRY, "expired")
    if nbf > now:
        raise Refused(BAD_NOT_BEFORE)
    if exp - now > max_lifetime_s:
        raise Refused(BAD_EXPIRY)


def read_claims(payload: bytes, kind: str, iss: str, kid: str, *, now: float, max_lifetime_s: int) -> Claims:
    """The claims in a payload that `iss` signed with `kid`. Refused when one is not as it must be now."""
    try:
        raw = strict_object(payload)
    except ValueError as exc:
        raise Refused(BAD_SIGNATURE) from exc
    if raw.get("iss") != iss:
        raise Refused(BAD_ISSUER)
    exp = _time(raw, "exp", BAD_EXPIRY)
    if exp is None:
        raise Refused(BAD_EXPIRY)
    nbf, iat = _time(raw, "nbf", BAD_NOT_BEFORE) or 0, _time(raw, "iat", BAD_EXPIRY) or 0
    check_times(
        exp, nbf, now, max_lifetime_s
    )  # before the rest: an expired link says so, whatever else it says
    _check_version(raw)
    _check_critical(raw)
    audience = _audience(raw)
    cdniip = _private(raw, "cdniip", BAD_CLIENT_IP)
    cdniuc = _text(raw, "cdniuc", BAD_CONTAINER)
    renewal = _renewal(raw)
    by, end = None, 0
    if kind == "session" and "by" in raw:
        kind, (by, end) = "zone", _zone(raw, exp)
    lid, single_use = ("", False) if kind == "session" else _link_id(raw)
    sid, asset = _session(raw) if kind == "session" else ("", "")
    return Claims(
        kind, iss, kid, exp, nbf, iat, audience, cdniuc, _private(raw, "sub", BAD_SUBJECT), cdniip,
        lid, single_use, sid, asset, _cap(raw), _pace(raw), raw, renewal, _limits(raw), by, end,
        _offline(raw),
    )  # fmt: skip


def _integer(value: object, low: int, high: int) -> int | None:
    """The value when it is a JSON integer in low ≤ value < high. `True` is an int in Python, not in JSON."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value < high:
        return value
    return None


def _time(raw: dict[str, object], name: str, reason: int) -> int | None:
    if name not in raw:
        return None
    value = _integer(raw[name], 0, _MAX_INTEGER)
    if value is None:
        raise Refused(reason)
    return value


def _text(raw: dict[str, object], name: str, reason: int) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(reason)
    return value


def _private(raw: dict[str, object], name: str, reason: int) -> str:
    """A claim that RFC 9246 wants encrypted; "" when absent."""
    if name not in raw:
        return ""
    value = _text(raw, name, reason)
    if not is_claim(value):
        raise Refused(reason)
    return value


def _check_version(raw: dict[str, object]) -> None:
    version = raw.get("cdniv", VERSION)
    if isinstance(version, bool) or version != VERSION or not isinstance(version, int):
        raise Refused(BAD_VERSION)


def _check_critical(raw: dict[str, object]) -> None:
    """RFC 9246 §2.1.13: names of extensions, each known, present, and said once."""
    if "cdnicrit" not in raw:
        return
    names = _text(raw, "cdnicrit", BAD_CRITICAL).split(",")
    if len(set(names)) != len(names) or not set(names) <= EXTENSIONS & raw.keys():
        raise Refused(BAD_CRITICAL)


def _audience(raw: dict[str, object]) -> tuple[str, ...]:
    value = raw.get("aud")
    if value is None and "aud" not in raw:
        return ()
    names = value if isinstance(value, list) else [value]
    found = tuple(name for name in names if isinstance(name, str))
    if len(found) != len(names) or AUDIENCE not in found:
        raise Refused(BAD_AUDIENCE)
    return found


def _renewal(raw: dict[str, object]) -> Renewal | None:
    """RFC 9246 §3.1: cdnistt and cdniets come together or not at all. None: there is no renewal."""
    if ("cdnistt" in raw) != ("cdniets" in raw):
        raise Refused(BAD_RENEWAL)
    by = _integer(raw.get("cdnistt", 0), 0, REDIRECT + 1)
    extend_s = _integer(raw.get("cdniets", 1), 1, _MAX_INTEGER)
    depth = _integer(raw.get("cdnistd", 0), 0, _MAX_INTEGER)
    if by is None or extend_s is None or depth is None:
        raise Refused(BAD_RENEWAL)
    return Renewal(by, extend_s, depth) if by in (COOKIE, REDIRECT) else None


def _link_id(raw: dict[str, object]) -> tuple[str, bool]:
    """RFC 9246 §2.1.11 makes any `jti` single-use; so a link that may be opened again has a `lid` instead."""
    single_use = "jti" in raw
    value = _text(raw, "jti" if single_use else "lid", BAD_NONCE)
    if not LINK_ID.fullmatch(value):
        raise Refused(BAD_NONCE)
    return value, single_use


def _session(raw: dict[str, object]) -> tuple[str, str]:
    sid, asset = _text(raw, "sid", BAD_NONCE), _text(raw, "asset", BAD_CONTAINER)
    try:
        length = len(b64url_decode(sid))
        asset_id(asset)
    except (ValueError, Problem) as exc:
        raise Refused(BAD_NONCE) from exc
    if length != SESSION_ID_BYTES:
        raise Refused(BAD_NONCE)
    return sid, asset


def _zone(raw: dict[str, object], exp: int) -> tuple[tuple[str, str], int]:
    """Of a zone token (`keys.zone_links`): who signed its link, and when it ends for good."""
    by, end = raw["by"], _time(raw, "end", BAD_EXPIRY)
    if end is None or end < exp:
        raise Refused(BAD_EXPIRY)
    if not isinstance(by, list) or len(by) != 2 or not all(isinstance(each, str) and each for each in by):
        raise Refused(BAD_ISSUER)
    return (by[0], by[1]), end


def _cap(raw: dict[str, object]) -> int:
    if "cap" not in raw:
        return 0
    value = _integer(raw["cap"], 1, _MAX_INTEGER)
    if value is None:
        raise Refused(BAD_CRITICAL)
    return value


def _offline(raw: dict[str, object]) -> int:
    if "offline" not in raw:
        return 0
    value = _integer(raw["offline"], 1, OFFLINE_LONGEST_S + 1)
    if value is None:
        raise Refused(BAD_CRITICAL)
    return value


def _pace(raw: dict[str, object]) -> dict[str, float] | None:
    value = raw.get("pace")
    if "pace" not in raw:
        return None
    if not isinstance(value, dict) or not value.keys() <= PACE_CLAIM.keys():
        raise Refused(BAD_CRITICAL)
    found = {PACE_CLAIM[name]: number for name, number in value.items()}
    try:
        Pace().overridden(found)
    except ValueError as exc:
        raise Refused(BAD_CRITICAL) from exc
    return found


def _limits(raw: dict[str, object]) -> Limits:
    try:
        return Limits.from_json(raw["limits"]) if "limits" in raw else NO_LIMITS
    except ValueError as exc:
        raise Refused(BAD_CRITICAL) from exc
