"""Where a bucket is, as one address: `s3://bucket/prefix?endpoint=https://…&region=…`. Pure."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

LIKE: Final = "write it like s3://bucket/prefix?endpoint=https://s3.example&region=eu-west-1"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # Amazon S3, bucket naming rules
_PREFIX = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket, what all names in it begin with, and the server that has it."""

    bucket: str
    prefix: str  # without slashes around it; may be empty
    endpoint: str  # base URL; the bucket is the first part of the path
    region: str

    @classmethod
    def parse(cls, text: str) -> "S3Address":
        """ValueError for what is no such address. Without `endpoint` it is Amazon's of the region."""
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True)
        said = dict(query)
        prefix = parts.path.strip("/")
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"that is no address of a bucket; {LIKE}")
        if len(said) < len(query) or set(said) - {"endpoint", "region"} or parts.fragment:
            raise ValueError(f"an s3:// address says endpoint and region, each once; {LIKE}")
        region = said.get("region", "us-east-1")
        if not _REGION.fullmatch(region):
            raise ValueError(f"{region!r} is no region; {LIKE}")
        return cls(parts.netloc, prefix, _endpoint(said, region), region)

    def under(self, more: str) -> "S3Address":
        """The same bucket, deeper."""
        return S3Address(self.bucket, "/".join(filter(None, (self.prefix, more))), self.endpoint, self.region)


@dataclass(frozen=True, slots=True)
class S3Login:
    """Who asks. One line: `ACCESS_KEY SECRET_KEY [SESSION_TOKEN]`."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, line: str) -> "S3Login":
        """ValueError for another line."""
        words = line.split()
        if len(words) not in (2, 3):
            raise ValueError("credentials of a bucket are ACCESS_KEY SECRET_KEY [SESSION_TOKEN] in one line")
        return cls(*words)


def _endpoint(said: dict[str, str], region: str) -> str:
    endpoint = said.get("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.path:
        raise ValueError(f"{endpoint!r} is no endpoint; {LIKE}")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError(f"{endpoint!r} is another machine: use https://")
    return endpoint


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
