"""The root key at an external key management service that speaks the transit API of Vault and OpenBao.

The key never leaves it: it is handed what is to be wrapped, and answers `vault:v<version>:<base64>`. The
context is the additional data of its AES-256-GCM, so a wrapped key in another's place does not open. Asked
for few things, once each: `keys.hierarchy` keeps the tenant keys it opened.

    POST /v1/<mount>/encrypt/<key>  {plaintext, associated_data}       → {data: {ciphertext}}
    POST /v1/<mount>/decrypt/<key>  {ciphertext, associated_data}      → {data: {plaintext}}
    POST /v1/<mount>/keys/<key>/rotate                                 → 200 or 204
    GET  /v1/<mount>/keys/<key>                                        → {data: {latest_version, type}}
The key must be of type aes256-gcm96. Its access token needs those four paths and no other.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from keys.cipher import BadWrap
from keys.derive import enc
from keys.problems import Problem
from keys.root_keys import Context, Wrapped

TIMEOUT_S: Final = 3.0
KEY_TYPE: Final = "aes256-gcm96"
PREFIX: Final = "vault:"

_PATH = re.compile(r"/v1/([A-Za-z0-9_/-]+)/keys/([A-Za-z0-9_.-]+)")
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})")
_LABEL = re.compile(r"vault:[1-9][0-9]{0,8}")


class TransitRootKeys:
    """A transit key. `url` is its address, as `https://vault.example:8200/v1/transit/keys/sluice`.

    `token` is asked before each request, so that a renewed one counts. ValueError for an address that is
    none.
    """

    def __init__(
        self, url: str, token: Callable[[], str], *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        parts = urlsplit(url)
        path = _PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or not parts.netloc or not path or parts.query:
            raise ValueError(
                f"{url!r} is no transit key; write it like https://vault:8200/v1/transit/keys/me"
            )
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"{url!r} must be https: keys would travel in the clear")
        self._mount, self._key = f"/v1/{path[1]}", path[2]
        self._token = token
        self._http = httpx.AsyncClient(
            base_url=f"{parts.scheme}://{parts.netloc}",
            timeout=TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def newest(self) -> str:
        """The label of the latest version. ValueError when the key is of another type."""
        data = await self._ask("GET", f"keys/{self._key}")
        if data.get("type") != KEY_TYPE:
            raise ValueError(
                f"kms: the transit key {self._key} is of type {data.get('type')}, not {KEY_TYPE}"
            )
        return f"{PREFIX}{int(data['latest_version'])}"

    async def wrap(self, plain: bytes, *context: Context) -> Wrapped:
        """Wrapped by the service under its latest version."""
        body = {"plaintext": _base64(plain), "associated_data": _bound(context)}
        text = str((await self._ask("POST", f"encrypt/{self._key}", body)).get("ciphertext"))
        match = _CIPHERTEXT.fullmatch(text)
        if not match:
            raise Problem("bad_upstream", detail="the key management service answered no ciphertext")
        return Wrapped(f"{PREFIX}{match[1]}", text.encode("ascii"))

    async def unwrap(self, wrapped: Wrapped, *context: Context) -> bytes:
        """What the service wrapped for this context. BadWrap when it refuses."""
        match = _CIPHERTEXT.fullmatch(wrapped.data.decode("ascii", "replace"))
        if not match or wrapped.root != f"{PREFIX}{match[1]}":
            raise BadWrap("not wrapped by a key management service")
        body = {"ciphertext": match[0], "associated_data": _bound(context)}
        data = await self._ask("POST", f"decrypt/{self._key}", body)
        try:
            return base64.b64decode(str(data["plaintext"]), validate=True)
        except (KeyError, binascii.Error) as exc:
            raise Problem("bad_upstream", detail="the key management service answered no plaintext") from exc

    async def rotate(self) -> str:
        """A new version of the key; its label."""
        await self._ask("POST", f"keys/{self._key}/rotate")
        return await self.newest()

    def opens(self, root: str) -> bool:
        """Whether a label is a transit key's."""
        return _LABEL.fullmatch(root) is not None

    async def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """The `data` of the answer. BadWrap for 400, which is what it says to a ciphertext it cannot open."""
        headers = {"x-vault-token": self._token()}
        try:
            answer = await self._http.request(method, f"{self._mount}/{path}", json=body, headers=headers)
        except (httpx.HTTPError, OSError) as exc:
            raise _away(f"{type(exc).__name__}") from exc
        if answer.status_code == 400:
            raise BadWrap("the key management service does not open it")
        if not answer.is_success:
            raise _away(f"status {answer.status_code}")
        try:
            found = json.loads(answer.content or b"{}")
            return dict(found.get("data") or {})
        except (ValueError, TypeError, AttributeError) as exc:
            raise _away("an answer that is no JSON object") from exc


def _away(detail: str) -> Problem:
    text = "The key management service does not answer as it should."
    return Problem("unavailable", text, detail=f"key management service: {detail}")


def _bound(context: tuple[Context, ...]) -> str:
    label, *fields = context
    return _base64(enc(str(label), *fields))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
