"""Who may run the origin: operators by the admin token, or by the cookie that signing in with it gives.

The cookie never holds the token: it is an expiry time and a MAC over it under the token, so the console,
which knows the same token, takes the same cookie. Cookies do not know ports, and SameSite does not either, so
a request that changes something by cookie must also come from a page of this very host (SECURITY T14, H39).
What nodes may do is `keys.node_directory`.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from keys.derive import enc
from keys.names import b64url
from keys.problems import Problem
from origin.control.callers import caller
from origin.control.scopes import ADMIN

COOKIE: Final = "sluice_admin"
SIGNED_IN_S: Final = 12 * 3600
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class AdminAccess:
    """Checks operators. One admin token; `now` gives seconds since the epoch."""

    def __init__(self, admin_token: str, now: Callable[[], float]) -> None:
        self._token = admin_token.encode()
        self._now = now

    def __repr__(self) -> str:
        return "AdminAccess(…)"

    def check(self, request: HTTPConnection, scope: str = ADMIN) -> None:
        """Returns for an operator, and for an API token that has this scope.

        Problem unauthenticated otherwise, forbidden for a token without it, or when another site's page asks.
        """
        if (token := caller(request)) is not None:
            if scope not in token.scopes:
                lacking = "The admin token alone may do this."
                named = f"This API token does not have the scope {scope}."
                raise Problem("forbidden", lacking if scope == ADMIN else named)
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if not self.is_token(bearer.strip()):
                raise Problem("unauthenticated", "The admin token is wrong.")
            return
        if not self._is_cookie(request.cookies.get(COOKIE, "")):
            raise Problem("unauthenticated", "Sign in with the admin token.")
        if request.scope["method"] not in _SAFE_METHODS:
            check_own_page(request.headers)

    def is_token(self, text: str) -> bool:
        """Whether `text` is the admin token; takes as long for any text."""
        return hmac.compare_digest(_digest(text.encode("utf-8", "surrogatepass")), _digest(self._token))

    def sign_in(self, request: HTTPConnection, token: str, response: Response) -> None:
        """Sets the cookie on `response`.

        Problem unauthenticated for a wrong token, forbidden from another site.
        """
        check_own_page(request.headers)
        if not self.is_token(token):
            raise Problem("unauthenticated", "That is not the admin token.")
        expires = int(self._now()) + SIGNED_IN_S
        response.set_cookie(
            COOKIE,
            f"{expires}.{self._mac(expires)}",
            max_age=SIGNED_IN_S,
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )

    def _is_cookie(self, text: str) -> bool:
        expires, _, mac = text.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        right = hmac.compare_digest(mac.encode(), self._mac(int(expires)).encode())
        return right and self._now() < int(expires) <= self._now() + SIGNED_IN_S

    def _mac(self, expires: int) -> str:
        return b64url(hmac.digest(self._token, enc("sluice1 admin cookie", expires), "sha256"))


def sign_out(response: Response) -> None:
    """Takes the cookie back."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def check_own_page(headers: Headers) -> None:
    """Returns when a page of this host sent the request. Problem forbidden otherwise.

    A plain form on a page with `Referrer-Policy: no-referrer` sends `Origin: null` (Fetch, "append a request
    Origin header"); then the browser's own word in Sec-Fetch-Site, which no page can set, decides.
    """
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if origin == "null" and headers.get("sec-fetch-site") == "same-origin":
        return
    if not host or urlsplit(origin).netloc.lower() != host.lower():
        raise Problem(
            "forbidden", "This must be sent from a page of this server.", detail=f"Origin {origin[:80]!r}"
        )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
