"""AWS Signature Version 4 of a request, in its headers. Pure: the time is told.

canonical request = method, path, query, headers, their names, SHA-256 of the body
signature         = HMAC of its SHA-256, time and scope, by a key derived from the secret for that scope
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs, and for what. `token`: of temporary credentials."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    service: str
    token: str = field(default="", repr=False)


def signed_headers(
    credentials: Credentials,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> dict[str, str]:
    """The headers to add: Authorization, X-Amz-Date, X-Amz-Security-Token. `headers` and Host are signed too.

    `now` is in UTC.
    """
    parts = urlsplit(url)
    day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": moment}
    if credentials.token:
        added["X-Amz-Security-Token"] = credentials.token
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **added}.items()}
    signed["host"] = _host(parts)
    names = ";".join(sorted(signed))
    query = sorted((_quoted(name), _quoted(value)) for name, value in parse_qsl(parts.query, True))
    canonical = "\n".join(
        [
            method,
            _path(parts.path, credentials.service),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{credentials.region}/{credentials.service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    told = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**added, "Authorization": f"{_ALGORITHM} {told}"}


def _host(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix({"https": ":443", "http": ":80"}.get(parts.scheme, " "))


def _path(path: str, service: str) -> str:
    # Every service but S3 quotes what the URL has quoted already once more.
    once = quote(unquote(path), safe="/-_.~") or "/"
    return once if service == "s3" else quote(once, safe="/-_.~")


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
