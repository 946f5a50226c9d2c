"""The pages at /watch/, player and download, and their files, from a fixed list read once at start.

The link stays in the fragment, so it never reaches this server in a request for the page. Only names on
the list are served: a request never becomes a file path. Content-Security-Policy is SECURITY H38, without
a nonce: no page has an inline script. It holds for the download page's service worker too, whose scope is
/watch/saving/, where nothing is: 204 for whatever is asked for there.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from edge.deliver.answer import strong_etag
from edge.deliver.cors import origin_of

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
INDEX: Final = "index.html"
PERMISSIONS: Final = "encrypted-media=(self), autoplay=(self), camera=(), microphone=(), geolocation=()"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, as served."""

    body: bytes
    content_type: str
    etag: str


def read_files(folder: Path) -> dict[str, PageFile]:
    """The files of the page by relative name: known types, in the folder and in its `vendor` folder."""
    found: dict[str, PageFile] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("vendor/*")]):
        if path.is_file() and path.suffix in TYPES:
            name = path.relative_to(folder).as_posix()
            body = path.read_bytes()
            if name == INDEX:
                body = _with_integrity(body, folder)
            found[name] = PageFile(body, TYPES[path.suffix], strong_etag(body))
    return found


def _with_integrity(html: bytes, folder: Path) -> bytes:
    """The page with the digest that set-up noted in each tag of a third party's script (SECURITY H38)."""
    notes = folder / "vendor" / "vendor.json"
    for name, note in (json.loads(notes.read_bytes()) if notes.is_file() else {}).items():
        source = f'src="vendor/{name}"'
        html = html.replace(source.encode(), f'{source} integrity="{note["integrity"]}"'.encode())
    return html


def content_security_policy(edges: Iterable[str], framed_by: Iterable[str] = ()) -> str:
    """The page's policy: requests to this edge and `edges` (public URLs), frames only in `framed_by`."""
    others = " ".join(sorted({origin_of(url) for url in edges}))
    frames = " ".join(framed_by) or "'none'"
    rules = (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self' blob:",
        "style-src 'self'",
        "img-src 'self' data:",
        f"media-src 'self' blob: {others}".rstrip(),
        f"connect-src 'self' {others}".rstrip(),
        f"frame-ancestors {frames}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def routes(files: Mapping[str, PageFile], policy: str) -> list[BaseRoute]:
    """The routes under /watch."""

    async def serve(request: Request) -> Response:
        name = request.path_params.get("name") or INDEX
        found = files.get(name)
        if found is None:
            return Response(
                "Not found.\n", 404, media_type="text/plain", headers={"Cache-Control": "no-store"}
            )
        headers = {
            "Content-Type": found.content_type,
            "ETag": found.etag,
            "Cache-Control": "no-cache",  # revalidated: a new release shows at once, and costs a 304
            "Content-Security-Policy": policy,
            "Permissions-Policy": PERMISSIONS,
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        known = request.headers.get("if-none-match", "")
        if found.etag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
            return Response(status_code=304, headers=headers)
        return Response(found.body, headers=headers)

    async def to_folder(request: Request) -> Response:
        return RedirectResponse("/watch/", 308)

    async def stay(request: Request) -> Response:
        """A download's address that no worker answered: the browser stays on the page, which tries again."""
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    return [
        Route("/watch", to_folder),
        Route("/watch/saving/{download}", stay),
        Route("/watch/{name:path}", serve),
    ]
