"""The origin's pages: sign in, upload, and what became of an upload when scripts are off.

Plain HTML files from `origin/web`, filled in with escaped text only. With scripts on, the same `POST /upload`
answers JSON to `web/shared/uploader.js`.
"""

from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import parse_qs

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from keys.problems import Problem
from origin.access import AdminAccess, check_own_page, sign_out
from origin.metrics import Metrics
from origin.refusals import answer, note
from origin.uploads import Outcome, Uploads

WEB: Final = Path(__file__).parent / "web"
SHARED: Final = WEB / "shared"  # parts the console's pages use too
_LOGIN_BYTES: Final = 4096


class Pages:
    """The endpoints; `routes` is what an application mounts."""

    def __init__(self, access: AdminAccess, uploads: Uploads, metrics: Metrics) -> None:
        self._access = access
        self._uploads = uploads
        self._metrics = metrics

    def routes(self) -> list[BaseRoute]:
        """The pages and their files."""
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/login", self.login_page, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/upload", self.upload_page, methods=["GET"]),
            Route("/upload", self.upload, methods=["POST"]),
            Mount("/ui", PageFiles(WEB)),
        ]

    async def home(self, request: Request) -> Response:
        """`GET /`: the upload page is all there is."""
        return RedirectResponse("/upload", 303)

    async def login_page(self, request: Request) -> Response:
        """`GET /login`."""
        return _page("login.html", message="")

    async def login(self, request: Request) -> Response:
        """`POST /login` with `token=…`: the cookie, and on to the upload page."""
        response = RedirectResponse("/upload", 303)
        try:
            self._access.sign_in(request, await form_token(request), response)
        except Problem as problem:
            note(request, problem)
            message = f'<p class="note bad" role="alert">{escape(problem.message)}</p>'
            return _page("login.html", problem.status, message=message)
        return response

    async def logout(self, request: Request) -> Response:
        """`POST /logout`."""
        check_own_page(request.headers)
        response = RedirectResponse("/login", 303)
        sign_out(response)
        return response

    async def upload_page(self, request: Request) -> Response:
        """`GET /upload`; strangers are sent to sign in."""
        try:
            self._access.check(request)
        except Problem:
            return RedirectResponse("/login", 303)
        return HTMLResponse((WEB / "upload.html").read_text("utf-8"))

    async def upload(self, request: Request) -> Response:
        """`POST /upload`, a form with files: what became of each, as a page or, where asked for, as JSON."""
        plain = "text/html" in request.headers.get("accept", "")
        try:
            self._access.check(request)
            outcomes = await self._uploads.form(request)
        except Problem as problem:
            self._metrics.count("uploads_refused")
            note(request, problem)
            return _result([Outcome("Upload", None, problem)]) if plain else answer(problem)
        except BaseException:
            self._metrics.count("uploads_refused")
            raise
        for outcome in outcomes:
            self._metrics.count("uploads" if outcome.problem is None else "uploads_refused")
        if plain:
            return _result(outcomes)
        return JSONResponse({"uploads": [outcome.row() for outcome in outcomes]}, _status(outcomes))


class PageFiles(StaticFiles):
    """The files of pages; may be kept, but are asked for again each time, so that an upgrade shows at once.

    HTML is served by its endpoint alone: here it would be a template with holes.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, follow_symlink=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with `Cache-Control: no-cache`."""
        if path.endswith(".html"):
            raise Problem("not_found")
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


async def form_token(request: Request) -> str:
    """The field `token` of a small urlencoded form. Problem bad_request for another body."""
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind != b"application/x-www-form-urlencoded":
        raise Problem("bad_request", "Sign in with the form.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LOGIN_BYTES:
            raise Problem("too_large")
    return parse_qs(body.decode("ascii", "replace")).get("token", [""])[0].strip()


def _page(name: str, status: int = 200, **texts: str) -> HTMLResponse:
    return HTMLResponse(Template((WEB / name).read_text("utf-8")).substitute(texts), status)


def _result(outcomes: list[Outcome]) -> HTMLResponse:
    accepted = sum(outcome.problem is None for outcome in outcomes)
    heading = "Uploaded" if accepted == len(outcomes) else "Partly uploaded" if accepted else "Not uploaded"
    return _page("result.html", _status(outcomes), heading=heading, rows="".join(map(_row, outcomes)))


def _row(outcome: Outcome) -> str:
    if outcome.problem is None:
        state, sentence = "done", f"Uploaded as {outcome.asset}. It is being prepared now."
    else:
        state, sentence = "failed", outcome.problem.message
    name = escape(outcome.name)
    return (
        f'<li class="{state}"><div class="name">{name}</div><div class="status">{escape(sentence)}</div></li>'
    )


def _status(outcomes: list[Outcome]) -> int:
    """201 when any file was accepted, else the first refusal's status."""
    for outcome in outcomes:
        if outcome.problem is None:
            return HTTPStatus.CREATED
    return next((outcome.problem.status for outcome in outcomes if outcome.problem), HTTPStatus.BAD_REQUEST)
