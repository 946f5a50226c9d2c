"""Who may run the origin: the admin token, or its cookie from a page of the own host."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from keys.problems import Problem
from origin.access import COOKIE, SIGNED_IN_S, AdminAccess

TOKEN = "t" * 43


def request(method: str = "GET", scheme: str = "http", **headers: str) -> Request:
    found = {"host": "127.0.0.1:8001"} | {k.replace("_", "-"): v for k, v in headers.items()}
    raw = [(k.encode(), v.encode()) for k, v in found.items()]
    return Request({"type": "http", "method": method, "scheme": scheme, "path": "/", "headers": raw})


def cookie_of(access: AdminAccess, scheme: str = "http") -> str:
    response = Response()
    access.sign_in(request("POST", scheme, origin="http://127.0.0.1:8001"), TOKEN, response)
    return response.headers["set-cookie"]


def test_the_cookie_is_for_this_site_and_never_holds_the_token() -> None:
    header = cookie_of(AdminAccess(TOKEN, lambda: 1000.0))
    assert TOKEN not in header
    assert "HttpOnly" in header and "SameSite=strict" in header and "Secure" not in header
    assert "Secure" in cookie_of(AdminAccess(TOKEN, lambda: 1000.0), "https")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"origin": "http://127.0.0.1:8001"}, True),
        ({"origin": "null", "sec_fetch_site": "same-origin"}, True),
        ({"origin": "null", "sec_fetch_site": "same-site"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://127.0.0.1:8001.evil.example"}, False),
        ({}, False),
    ],
)
def test_t14_a_cookie_changes_nothing_unless_a_page_of_this_host_asks(
    headers: dict[str, str], allowed: bool
) -> None:
    access = AdminAccess(TOKEN, lambda: 1000.0)
    cookie = cookie_of(access).partition(";")[0]
    access.check(request("GET", cookie=cookie))
    if allowed:
        access.check(request("POST", cookie=cookie, **headers))
        return
    with pytest.raises(Problem, match="forbidden"):
        access.check(request("POST", cookie=cookie, **headers))


def test_a_cookie_ends_and_cannot_be_altered() -> None:
    now = [1000.0]
    access = AdminAccess(TOKEN, lambda: now[0])
    value = cookie_of(access).partition(";")[0].removeprefix(f"{COOKIE}=")
    expires, _, mac = value.partition(".")
    for other in (f"{int(expires) + 1}.{mac}", f"{expires}.{mac[:-2]}AA", expires, "", "x.y", f"²{value}"):
        with pytest.raises(Problem, match="unauthenticated"):
            access.check(request(cookie=f"{COOKIE}={other}".encode().decode("latin-1")))
    now[0] += SIGNED_IN_S
    with pytest.raises(Problem, match="unauthenticated"):
        access.check(request(cookie=f"{COOKIE}={value}"))
    with pytest.raises(Problem, match="unauthenticated"):
        AdminAccess("u" * 43, lambda: 1000.0).check(request(cookie=f"{COOKIE}={value}"))


def test_t21_the_token_does_not_print() -> None:
    assert TOKEN not in repr(AdminAccess(TOKEN, lambda: 0.0))


ROWS = [
    ("GET", "/v1/assets"),
    ("GET", "/v1/assets/film"),
    ("DELETE", "/v1/assets/film"),
    ("POST", "/v1/assets/film/cancel"),
    ("POST", "/v1/assets/film/retry"),
    ("GET", "/v1/assets/film/poster.jpg"),
    ("POST", "/v1/uploads?name=film.mp4"),
    ("GET", "/v1/uploads?bytes=1"),
    ("POST", "/upload"),
]


@pytest.mark.parametrize(("method", "path"), ROWS)
async def test_t12_strangers_get_401_whatever_they_ask(origin: object, method: str, path: str) -> None:
    url: str = origin.url  # type: ignore[attr-defined]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"{COOKIE}=1.x"}):
            response = await http.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.json()["code"] == "unauthenticated"
            assert response.headers["cache-control"] == "no-store"
