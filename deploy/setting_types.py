"""The types settings have: how each is written, checked, and named in the table.

The last item of each annotation is the name a person reads. What a value means is said in `deploy.settings`.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from deploy import units


def _parsed_by(parse: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _address(value: str) -> str:
    if not value.startswith(("http://", "https://")) or value.rstrip("/").count("/") != 2:
        raise ValueError(f"{value!r} is no base address; write it like https://edge.example.org")
    try:
        urlsplit(value).port  # noqa: B018 - asked for its ValueError
    except ValueError:
        raise ValueError(f"{value!r} has a port that is none") from None
    return value.rstrip("/").lower()


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


def _host(value: str) -> str:
    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else value))


def _redis(value: str) -> str:
    if "+cluster://" in value:
        from edge.cache.slot_table import (
            ClusterAddress,
        )  # here: it brings the library that others do not need

        ClusterAddress.parse(value)
        return value
    return _one_redis(value)


def _one_redis(value: str) -> str:
    if "+cluster://" in value:
        raise ValueError(
            "control state is in one server, not in a cluster; write redis://, rediss:// or unix://"
        )
    if value not in ("auto", "none") and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(f"{value!r} is neither auto, none nor a redis://, rediss:// or unix:// address")
    return value


def _database(value: str) -> str:
    if value:
        from sqlalchemy.exc import ArgumentError  # here: no edge has to load a database's library

        from keys.database import database_url

        try:
            database_url(value)
        except (ValueError, ArgumentError) as error:
            known = isinstance(error, ValueError)
            raise ValueError(
                str(error) if known else "it must be a postgresql:// or sqlite:// address"
            ) from None
    return value


def _existing(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"there is no file {str(value)!r}")
    return value


def _node_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,39}", value):
        raise ValueError(f"{value!r} is no name; use up to 40 of a-z, 0-9, ., _ and -")
    return value


def _transit_key(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/?#]+/v1/[^?#]+/keys/[^/?#]+", value):
        raise ValueError(
            f"{value!r} is no transit key; write it like https://vault:8200/v1/transit/keys/sluice"
        )
    return _far(value)


def _blobs(value: str) -> str:
    if value:
        from origin.store.s3_address import S3Address

        S3Address.parse(value)
    return value


def _attribute(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", value):
        raise ValueError(f"{value!r} is no name of an attribute; use up to 40 of A-Z, a-z, 0-9 and _")
    return value


def _far(value: str) -> str:
    """Nodes show bearers to each other, so off this machine they speak TLS only."""
    if value.startswith("http://") and not is_loopback(value):
        raise ValueError(f"{value!r} is another machine: use https://")
    return value


def is_loopback(address: str) -> bool:
    """Whether a base address leads to this machine itself."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _program(value: str) -> str:
    if value and not (Path(value).is_file() and os.access(value, os.X_OK)):
        raise ValueError(f"{value!r} is no program that can be run")
    return value


_words = _parsed_by(lambda text: tuple(text.replace(",", " ").split()))

Duration = Annotated[float, _parsed_by(units.seconds), Field(ge=0), "duration"]
Size = Annotated[int, _parsed_by(units.size_bytes), Field(ge=0), "size"]
Address = Annotated[str, AfterValidator(_address), "address"]
Service = Annotated[str, AfterValidator(_address), AfterValidator(_far), "address"]
Services = Annotated[
    tuple[Annotated[str, AfterValidator(_address), AfterValidator(_far)], ...], _words, "addresses"
]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], _words, "addresses"]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], _words, "networks"]
Redis = Annotated[str, AfterValidator(_redis), "redis"]
OneRedis = Annotated[str, AfterValidator(_one_redis), "redis"]
Database = Annotated[str, AfterValidator(_database), "database"]
Bucket = Annotated[str, AfterValidator(_blobs), "address"]
TransitKey = Annotated[str, AfterValidator(_transit_key), "address"]
Program = Annotated[str, AfterValidator(_program), "program"]
Port = Annotated[int, Field(ge=1, le=65_000), "port"]
Level = Annotated[Literal["debug", "info", "warning", "error"], "choice"]
DrmScheme = Annotated[Literal["cbcs", "cenc"], "choice"]
RipperAction = Annotated[Literal["log", "slow", "revoke"], "choice"]
Count = Annotated[int, "number"]
Number = Annotated[float, "number"]
Switch = Annotated[bool, "yes/no"]
Folder = Annotated[Path, "path"]
File = Annotated[Path, AfterValidator(_existing), "path"]
Attribute = Annotated[str, AfterValidator(_attribute), "text"]
Text = Annotated[str, AfterValidator(_node_name), "text"]
Host = Annotated[str, AfterValidator(_host), "IP address"]
