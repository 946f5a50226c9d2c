"""tus 1.0.0 as values: what the headers of a request ask for, and what headers an answer carries. Pure.

Source: the tus resumable upload protocol 1.0.0 (tus.io/protocols/resumable-upload), core and the extensions
named in EXTENSIONS. Everything in a header is an uploader's text: lengths are bounded digits, metadata are
bytes that become harmless lines (`origin.filenames`), IDs of parts are ours or nothing (SECURITY T15).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from keys.names import asset_id
from keys.problems import Problem
from origin.downloads import choice
from origin.filenames import clean_line, display_name, title_of

VERSION: Final = "1.0.0"
PATH: Final = "/v1/tus"
TYPE: Final = "application/offset+octet-stream"
EXTENSIONS: Final = (
    *("creation", "creation-with-upload", "creation-defer-length", "expiration"),
    *("checksum", "termination", "concatenation"),
)
DIGESTS: Final = {"sha1": 20, "sha256": 32}  # bytes; sha1 every server with checksums must know
MAX_METADATA: Final = 8 * 1024  # bytes of the header (SECURITY T15)
MAX_PARTS: Final = 100
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WHOLE, PART, JOINED = (
    "whole",
    "part",
    "joined",
)  # what an upload is: a film, a part of one, or parts put together

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_KEY: Final = re.compile(r"[!-+\--~]{1,128}")  # ASCII that shows, without comma and blank
_ID: Final = re.compile(rf"(?:https?://[^/\s]+)?{PATH}/([0-9a-f]{{32}})")


@dataclass(frozen=True, slots=True)
class Creation:
    """What a POST asks for."""

    kind: str  # WHOLE, PART or JOINED
    length: int | None  # bytes; None: said later, or the sum of the parts
    metadata: str  # the header, written our way
    parts: tuple[str, ...]  # IDs, of a joined upload


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes

    def matches(self, digest: bytes) -> bool:
        """Whether `digest` is it."""
        return hmac.compare_digest(digest, self.digest)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a PATCH, or a POST with a body, brings."""

    offset: int
    length: int | None = None  # of the whole upload, where it is said only now
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What metadata mean to us. Other keys are kept and mean nothing."""

    name: str  # shown to people
    title: str
    asset: str | None  # a wished ID
    download: str  # what viewers may take away whole


def method(actual: str, headers: Mapping[str, str]) -> str:
    """The method meant: X-HTTP-Method-Override goes before the request's own."""
    return headers.get("x-http-method-override", actual).strip().upper()


def check_version(headers: Mapping[str, str]) -> None:
    """Returns for a request of this version. Problem precondition_failed otherwise."""
    if headers.get("tus-resumable") != VERSION:
        raise Problem("precondition_failed", f"Send Tus-Resumable: {VERSION}.")


def creation(headers: Mapping[str, str]) -> Creation:
    """What the headers of a POST ask for. Problem bad_request or too_large."""
    length, deferred = _number(headers, "upload-length"), headers.get("upload-defer-length")
    kind, parts = _concatenation(headers.get("upload-concat"))
    metadata = read_metadata(headers.get("upload-metadata", ""))
    wishes(metadata)
    if deferred not in (None, "1"):
        raise Problem("bad_request", "Upload-Defer-Length can only be 1.")
    if kind == JOINED and (length is not None or deferred):
        raise Problem("bad_request", "The length of a final upload is that of its parts.")
    if kind != JOINED and (length is None) == (deferred is None):
        raise Problem("bad_request", "Send either Upload-Length or Upload-Defer-Length.")
    return Creation(kind, length, write_metadata(metadata), parts)


def first_chunk(headers: Mapping[str, str]) -> Chunk | None:
    """The bytes that come with a POST (creation-with-upload); None when it brings none.

    Problem unsupported_type for a body of another type.
    """
    kind = headers.get("content-type")
    if kind != TYPE:
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Problem("unsupported_type", f"The bytes of an upload are {TYPE}.")
        return None
    return Chunk(0, None, _checksum(headers.get("upload-checksum")))


def chunk(headers: Mapping[str, str]) -> Chunk:
    """What a PATCH brings. Problem unsupported_type or bad_request."""
    if headers.get("content-type") != TYPE:
        raise Problem("unsupported_type", f"The bytes of an upload are {TYPE}.")
    offset = _number(headers, "upload-offset")
    if offset is None:
        raise Problem("bad_request", "Say where these bytes belong, with Upload-Offset.")
    length = _number(headers, "upload-length")
    return Chunk(offset, length, _checksum(headers.get("upload-checksum")))


def read_metadata(text: str) -> dict[str, bytes]:
    """Upload-Metadata: pairs `key base64`, or a key alone. Problem bad_request or too_large."""
    if len(text) > MAX_METADATA:
        raise Problem("too_large", f"Upload-Metadata may have at most {MAX_METADATA} bytes.")
    found: dict[str, bytes] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = pair.partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise Problem("bad_request", "Upload-Metadata has a bad key, or one twice.")
        found[key] = _base64(value.strip(), "Upload-Metadata")
    return found


def write_metadata(metadata: Mapping[str, bytes]) -> str:
    """The pairs as a header; of any text that was read, the same pairs."""
    return ",".join(f"{key} {base64.b64encode(value).decode()}".rstrip() for key, value in metadata.items())


def wishes(metadata: Mapping[str, bytes]) -> Wishes:
    """What the sender wants of us, as the plain upload takes it. Problem bad_request for a bad ID or choice.

    `filename` and `title` are for people; `id` and `download` are words.
    """
    text = {key: value.decode("utf-8", "replace") for key, value in metadata.items()}
    if "drm" in text:
        raise Problem("bad_request", "An upload in pieces takes no DRM keys: use `sluice add --drm`.")
    said = text.get("title", "")
    name = display_name(text.get("filename") or text.get("name") or said)
    wanted = text.get("id") or None
    return Wishes(
        name,
        clean_line(said, title_of(name)),
        asset_id(wanted) if wanted else None,
        choice(text.get("download", "")),
    )


def abilities(max_bytes: int) -> dict[str, str]:
    """The answer to OPTIONS."""
    return {
        "tus-version": VERSION,
        "tus-extension": ",".join(EXTENSIONS),
        "tus-max-size": str(max_bytes),
        "tus-checksum-algorithm": ",".join(DIGESTS),
    }


def location(id: str) -> str:
    """Where an upload is found. Relative: a request's Host is never repeated (SECURITY T6)."""
    return f"{PATH}/{id}"


def date(at: float) -> str:
    """Seconds since the epoch as an HTTP date (RFC 9110 §5.6.7), for Upload-Expires."""
    return formatdate(at, usegmt=True)


def concat(kind: str, parts: tuple[str, ...]) -> str:
    """Upload-Concat of an upload; empty for one that is neither part nor joined."""
    if kind == JOINED:
        return "final;" + " ".join(map(location, parts))
    return "partial" if kind == PART else ""


def _concatenation(text: str | None) -> tuple[str, tuple[str, ...]]:
    if text is None:
        return WHOLE, ()
    if text == "partial":
        return PART, ()
    if not text.startswith("final;"):
        raise Problem("bad_request", "Upload-Concat is partial, or final with its parts.")
    found = [_ID.fullmatch(each) for each in text.removeprefix("final;").split()]
    parts = tuple(match[1] for match in found if match)
    if not parts or len(parts) != len(found) or len(set(parts)) != len(parts):
        raise Problem("bad_request", "Name the parts by their URLs here, each once.")
    if len(parts) > MAX_PARTS:
        raise Problem("too_large", f"An upload may have at most {MAX_PARTS} parts.")
    return JOINED, parts


def _checksum(text: str | None) -> Checksum | None:
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in DIGESTS:
        raise Problem("bad_request", f"Checksums here are {' or '.join(DIGESTS)}.")
    digest = _base64(value.strip(), "Upload-Checksum")
    if len(digest) != DIGESTS[algorithm]:
        raise Problem("bad_request", "This Upload-Checksum has a wrong length.")
    return Checksum(algorithm, digest)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise Problem("bad_request", f"{name.title()} is no number of bytes.")
    return int(text)


def _base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as exc:
        raise Problem("bad_request", f"{where} is not in Base64.") from exc
