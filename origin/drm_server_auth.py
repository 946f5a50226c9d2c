"""How a question to a DRM server says who asks: read from one setting.

basic USER:PASSWORD            RFC 7617
bearer TOKEN                   RFC 6750
header NAME: VALUE             what many providers have: `header x-api-key: …`
aws ACCESS_KEY SECRET_KEY REGION [SERVICE [SESSION_TOKEN]]    Signature Version 4 (`aws_signing`)
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from origin.aws_signing import Credentials, signed_headers

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,8192}")
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,8190}[\x21-\x7e])?")
_WORD: Final = re.compile(r"[\x21-\x7e]{1,4096}")
# Ours, or of the connection: said by nobody else.
_OURS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "x-speke-version",
    }
)

Signer = Callable[[str, bytes], Mapping[str, str]]  # URL and body of a question to further headers


@dataclass(frozen=True, slots=True)
class Auth:
    """Headers of every question, and what signs one."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sign: Signer | None = field(default=None, repr=False)


def read_auth(setting: str) -> Auth:
    """What `setting` says, "" for nothing. ValueError, a sentence without what it says, when it is none."""
    kind, _, rest = setting.strip().partition(" ")
    rest = rest.strip()
    if not kind:
        return Auth()
    if kind == "basic":
        user, colon, _ = rest.partition(":")
        if not colon or not user or not _VALUE.fullmatch(rest):
            raise ValueError("basic is followed by USER:PASSWORD.")
        return Auth({"Authorization": f"Basic {base64.b64encode(rest.encode()).decode()}"})
    if kind == "bearer":
        if not _TOKEN.fullmatch(rest):
            raise ValueError("bearer is followed by a token.")
        return Auth({"Authorization": f"Bearer {rest}"})
    if kind == "header":
        name, colon, value = rest.partition(":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip()):
            raise ValueError("header is followed by NAME: VALUE.")
        if name.lower() in _OURS:
            raise ValueError("That header is not for the setting to say.")
        return Auth({name: value.strip()})
    if kind == "aws":
        return Auth(sign=_aws(rest.split()))
    raise ValueError("Whose request it is starts with basic, bearer, header or aws.")


def _aws(words: list[str]) -> Signer:
    if not 3 <= len(words) <= 5 or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError("aws is followed by ACCESS_KEY SECRET_KEY REGION [SERVICE [SESSION_TOKEN]].")
    service, token = (*words[3:], *("execute-api", "")[len(words) - 3 :])
    credentials = Credentials(words[0], words[1], words[2], service, token)

    def sign(url: str, body: bytes) -> Mapping[str, str]:
        return signed_headers(credentials, "POST", url, {}, body, datetime.now(UTC))

    return sign
