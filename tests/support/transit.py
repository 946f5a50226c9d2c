"""A key management service on loopback that speaks the transit API: what Vault and OpenBao answer.

Real AES-256-GCM with the associated data bound to it, versions that grow, a token that is asked for, and a
switch that makes it fail. Keeps what it was asked, so that a test can see what did not travel.
"""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


class Transit:
    """One transit key, `sluice`, under the mount `transit`."""

    def __init__(self, token: str = "the-kms-token") -> None:
        self.token = token
        self.versions = [os.urandom(32)]
        self.asked: list[str] = []
        self.down = False
        self.type = "aes256-gcm96"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The address of the key."""
        return f"http://127.0.0.1:{self._server.server_port}/v1/transit/keys/sluice"

    def __enter__(self) -> "Transit":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, JSON) as the API has it."""
        self.asked.append(f"{method} {path}")
        if self.down:
            return 503, {"errors": ["sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        bound = base64.b64decode(body.get("associated_data", ""))
        if (method, path) == ("GET", "/v1/transit/keys/sluice"):
            return 200, {"data": {"latest_version": len(self.versions), "type": self.type}}
        if (method, path) == ("POST", "/v1/transit/keys/sluice/rotate"):
            self.versions.append(os.urandom(32))
            return 200, {}
        if (method, path) == ("POST", "/v1/transit/encrypt/sluice"):
            nonce, plain = os.urandom(NONCE), base64.b64decode(body["plaintext"])
            sealed = nonce + AESGCM(self.versions[-1]).encrypt(nonce, plain, bound)
            text = f"vault:v{len(self.versions)}:{base64.b64encode(sealed).decode()}"
            return 200, {"data": {"ciphertext": text}}
        if (method, path) == ("POST", "/v1/transit/decrypt/sluice"):
            return self._decrypted(body["ciphertext"], bound)
        return 404, {"errors": []}

    def _decrypted(self, ciphertext: str, bound: bytes) -> tuple[int, dict[str, Any]]:
        _, version, text = ciphertext.split(":")
        sealed = base64.b64decode(text)
        try:
            key = self.versions[int(version.removeprefix("v")) - 1]
            plain = AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound)
        except (InvalidTag, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


def _handler(transit: Transit) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, method: str) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            token = self.headers.get("x-vault-token", "")
            status, found = transit.answer(method, self.path, token, json.loads(sent or b"{}"))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
