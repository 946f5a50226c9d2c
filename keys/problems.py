"""Every refusal Sluice makes, as one shape: code, status, a sentence for people, a detail for the log, an ID.

    Problem
    ├─ 400 bad_request        what was sent cannot be understood
    ├─ 401 unauthenticated    an operator's or a node's token is missing or wrong
    ├─ 403 forbidden          a viewer's token does not allow this (also: no such asset)
    │  ├─ 403 expired         the link or session is over        (said only after its signature was valid)
    │  ├─ 403 limit           one of its link's limits is reached; which one, LIMIT_SENTENCES says
    │  ├─ 403 revoked         taken back by the publisher
    │  ├─ 403 protected       a file that leaves encrypted only, asked for plain
    │  ├─ 403 not_offline     a license asked for under a link that grants no offline use
    │  └─ 403 drm             keys that the license server of a DRM provider gives, asked of us
    ├─ 404 not_found          operators only: strangers get `forbidden`
    │  └─ 404 not_offered     an asset does not have the protection its viewer asks for
    ├─ 405 method_not_allowed
    ├─ 408 too_slow           the request did not arrive in time
    ├─ 409 conflict
    ├─ 410 gone               it was here, and will not be again
    ├─ 412 precondition_failed   the request is for another version
    ├─ 413 too_large
    ├─ 414 target_too_long
    ├─ 415 not_media          the upload is no video or audio that can be played
    │  └─ 415 unsupported_type   a body of another type than this takes
    ├─ 416 range_not_satisfiable
    ├─ 417 expectation_failed
    ├─ 422 invalid            well-formed, but a value in it is none of those this takes
    ├─ 423 locked             another request is at work on this very thing
    ├─ 429 too_many           more connections than one client may have; with Retry-After
    ├─ 431 head_too_large     too many or too large header fields
    ├─ 460 bad_checksum       the bytes are not those their sender meant (tus 1.0)
    ├─ 501 not_implemented    a method that nothing here knows
    ├─ 502 bad_upstream
    ├─ 503 unavailable        trouble, never pace; always with Retry-After
    ├─ 504 not_stored         only-if-cached, and it is not
    ├─ 504 upstream_late      an origin took too long
    ├─ 505 version_not_supported
    ├─ 507 disk_full
    └─ 508 loop               a request that was here before

The public body is JSON `{"code","status","message","id"}`. The ID also stands in the log. A viewer's 403
carries no ID in its body (T12: two refusals must be byte-identical), only in the `Sluice-Request-Id` header.
That of a limit has one more member, `limit`: which one it was.
"""

import json
import re
import secrets

STATUS: dict[str, int] = {
    "bad_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "expired": 403,
    "limit": 403,
    "revoked": 403,
    "protected": 403,
    "not_offline": 403,
    "drm": 403,
    "not_found": 404,
    "not_offered": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "conflict": 409,
    "gone": 410,
    "precondition_failed": 412,
    "too_large": 413,
    "target_too_long": 414,
    "not_media": 415,
    "unsupported_type": 415,
    "range_not_satisfiable": 416,
    "expectation_failed": 417,
    "invalid": 422,
    "locked": 423,
    "too_many": 429,
    "head_too_large": 431,
    "bad_checksum": 460,
    "internal": 500,
    "not_implemented": 501,
    "bad_upstream": 502,
    "unavailable": 503,
    "not_stored": 504,
    "upstream_late": 504,
    "version_not_supported": 505,
    "disk_full": 507,
    "loop": 508,
}

VIEWER_SENTENCES: dict[str, str] = {
    "forbidden": "This link does not open anything here. Ask for a new one.",
    "expired": "This link has expired. Ask for a new one.",
    "limit": "This link has reached one of its limits.",
    "revoked": "This link was withdrawn by its publisher.",
    "not_offered": "This film does not have the protection asked for. Open its link without naming one.",
    "drm": "The license server of this film's DRM provider gives its keys; nobody gets them here.",
    "protected": "This file leaves encrypted only, and this link asks for it plain. Ask for a new one.",
    "not_offline": "This link does not grant offline use. Ask for one that does.",
}

LIMIT_SENTENCES: dict[str, str] = {
    "once": "This link was good for one opening, and has been opened.",
    "opens": "This link was opened too often within a minute. Wait a moment, then try again.",
    "streams": "This is playing on as many devices as it may. Stop one of them, then try again.",
    "asset": "As many people are watching this as may at once. Try again later.",
    "budget": "This link has delivered as much as it may. Ask for a new one.",
    "device": "This link is good only in the browser that opened it first.",
    "offline": "The offline license of this link is another machine's. Ask for a new link.",
    "country": "This link is not good in the country you are in.",
}


class Problem(Exception):
    """A request refused. `message` is for the person who asked, `detail` for the log; both share `id`."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        limit: str = "",
        detail: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        """`limit` names the limit that was reached, where `code` is `limit`."""
        self.code = code
        self.status = STATUS[code]
        usual = LIMIT_SENTENCES.get(limit) or VIEWER_SENTENCES.get(code)
        self.message = message or usual or code.replace("_", " ").capitalize() + "."
        self.limit = limit
        self.detail = detail
        self.retry_after_s = (
            retry_after_s if retry_after_s is not None or self.status not in (429, 503) else 2
        )
        self.id = secrets.token_hex(6)
        super().__init__(f"{code}: {self.message} {detail}".rstrip())

    def body(self) -> bytes:
        """The JSON body that goes to the client."""
        fields: dict[str, object] = {"code": self.code, "status": self.status, "message": self.message}
        if self.limit:
            fields["limit"] = self.limit
        if self.status != 403:
            fields["id"] = self.id
        return json.dumps(fields, separators=(",", ":")).encode()

    def headers(self) -> list[tuple[str, str]]:
        """Headers every refusal carries (SECURITY H36)."""
        found = [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("sluice-request-id", self.id),
        ]
        if self.retry_after_s is not None:
            found.append(("retry-after", str(self.retry_after_s)))
        return found


def retry_after(text: str) -> int | None:
    """The seconds a Retry-After header asks for (RFC 9110 §10.2.3); None for a date, nonsense, or months."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None
