"""How the console speaks to the origin service, with the admin token: assets, posters, uploads passed on.

An upload is never held: what the browser sends goes on as it comes, with its length, and when the browser
leaves, the origin sees a cut upload and keeps nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from keys.connections import pooled
from keys.problems import STATUS, Problem

CONNECTIONS: Final = 100
ANSWER_S: Final = 10.0  # for everything but uploads
KEEP_ALIVE_S: Final = 3.0  # below the server's 5, so that no request goes into a connection just being closed
_PASSED_ON: Final = ("content-type", "content-length")


class OriginClient:
    """A client of the origin service at `url`. Refusals come back as the Problems the origin gave."""

    def __init__(self, url: str, admin_token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            transport=pooled(connections=CONNECTIONS, kept_s=KEEP_ALIVE_S),
            headers={"authorization": f"Bearer {admin_token}", "accept": "application/json"},
            timeout=ANSWER_S,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def assets(self) -> list[dict[str, Any]]:
        """Every asset as the origin shows it to operators."""
        try:
            found = json.loads((await self._send("GET", "/v1/assets")).content)["assets"]
        except (ValueError, KeyError, TypeError) as exc:
            raise Problem("bad_upstream", "The origin answered in another form.", detail=repr(exc)) from exc
        return list(found)

    async def act(self, method: str, asset: str, action: str = "") -> None:
        """`POST` an action (cancel, retry) of an asset, or `DELETE` it."""
        await self._send(method, f"/v1/assets/{quote(asset, safe='')}{action}")

    async def poster(self, asset: str) -> bytes:
        """The poster of an asset, a JPEG. Problem not_found when it has none."""
        return (await self._send("GET", f"/v1/assets/{quote(asset, safe='')}/poster.jpg")).content

    async def room(self, size: str) -> None:
        """Returns when an upload of that many bytes would be taken; the origin checks the number."""
        await self._send("GET", f"/v1/uploads?bytes={quote(size, safe='')}")

    async def pass_upload(self, request: Request) -> Response:
        """Sends the body of a form upload on, and the origin's answer back as it is.

        Raises ClientDisconnect, and leaves the origin too, when the browser leaves before the answer.
        """
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        sent = asyncio.Event()
        call = asyncio.create_task(
            self._http.post("/upload", content=_body(request, sent), headers=headers, timeout=None)
        )
        left = asyncio.create_task(_leaving(request, sent))
        try:
            await asyncio.wait({call, left}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise ClientDisconnect
            found = call.result()
        except (httpx.HTTPError, OSError) as exc:
            raise _away(exc) from exc
        finally:
            call.cancel()
            left.cancel()
            await asyncio.gather(call, left, return_exceptions=True)
        return Response(found.content, found.status_code, media_type=found.headers.get("content-type"))

    async def _send(self, method: str, path: str) -> httpx.Response:
        try:
            response = await self._http.request(method, path)
        except (httpx.HTTPError, OSError) as exc:
            raise _away(exc) from exc
        if response.is_error:
            raise _problem(response)
        return response


async def _body(request: Request, sent: asyncio.Event) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece
    sent.set()


async def _leaving(request: Request, sent: asyncio.Event) -> None:
    """Returns when the client leaves after it has sent all."""
    await sent.wait()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _away(exc: Exception) -> Problem:
    return Problem("unavailable", "The origin service does not answer.", detail=type(exc).__name__)


def _problem(response: httpx.Response) -> Problem:
    """The refusal the origin gave; bad_upstream when it is not in our form."""
    try:
        fields: Mapping[str, Any] = json.loads(response.content)
        code, message = str(fields["code"]), str(fields["message"])
        known = STATUS[code] == response.status_code
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        return Problem("bad_upstream", detail=f"origin answered {response.status_code} without a problem")
    return Problem(code, message)
