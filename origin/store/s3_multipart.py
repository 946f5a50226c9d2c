"""Multipart uploads of S3, for objects too large to hold: begun, sent part by part, completed or aborted.

Completing names `If-None-Match: *`, so that a name that is taken stays as it is (Amazon S3, conditional
writes). Until then nothing is visible. What a dead writer began is listed and aborted by `sweep`.
"""

import asyncio
import random
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from keys.problems import Problem
from origin.aws_signing import Credentials, signed_headers
from origin.store.s3_address import S3Address, S3Login

TRIES: Final = 5
FIRST_PAUSE_S: Final = 0.1
WAIT_S: Final = 60.0  # for one answer
ABANDONED_S: Final = 86_400  # seconds: an upload this old has no writer any more
LONGEST_ANSWER: Final = 4 << 20  # bytes of XML
AWAY: Final = "The bucket that holds the media does not answer. Try again in a moment."
REFUSED: Final = "The bucket refuses the credentials in secrets/s3-auth, or they may not write. Check them."
NO_BUCKET: Final = "There is no such bucket. Make it, or correct the setting `blobs`."
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class Multiparts:
    """Multipart uploads in one bucket. `close()` when done."""

    def __init__(self, address: S3Address, login: S3Login) -> None:
        self._base = f"{address.endpoint}/{address.bucket}"
        self._address = address
        self._credentials = Credentials(login.access_key, login.secret_key, address.region, "s3", login.token)
        self._http = httpx.AsyncClient(timeout=WAIT_S, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def begin(self, key: str) -> str:
        """A new upload; its ID."""
        found = _tree(await self._call("POST", key, {"uploads": ""}))
        return _text(found, "UploadId")

    async def send(self, key: str, upload: str, number: int, data: bytes) -> str:
        """Part `number` from 1; its ETag. At least 5 MiB but for the last."""
        query = {"partNumber": str(number), "uploadId": upload}
        return str((await self._call("PUT", key, query, data)).headers.get("etag", ""))

    async def complete(self, key: str, upload: str, tags: list[str]) -> bool:
        """Makes the object visible. False when the name is taken: then the upload is still there."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = await self._call(
            "POST", key, {"uploadId": upload}, body, {"if-none-match": "*"}, also=(409, 412)
        )
        if answer.is_error:
            return False
        if _tree(answer).tag.endswith("Error"):  # S3 may say 200 first, and only then that it failed
            raise Problem("unavailable", AWAY, detail="completing a multipart upload failed")
        return True

    async def abort(self, key: str, upload: str) -> None:
        """Throws its parts away. Harmless when it is gone."""
        await self._call("DELETE", key, {"uploadId": upload}, also=(404,))

    async def sweep(self, prefix: str, now: float) -> int:
        """Aborts uploads begun more than a day before `now`; how many."""
        ended = 0
        after: dict[str, str] = {}
        while True:
            answer = await self._call("GET", "", {"uploads": "", "prefix": prefix, **after})
            found = _tree(answer)
            for row in found.iterfind("{*}Upload"):
                begun = datetime.fromisoformat(_text(row, "Initiated").replace("Z", "+00:00"))
                if now - begun.timestamp() > ABANDONED_S:
                    await self.abort(_text(row, "Key"), _text(row, "UploadId"))
                    ended += 1
            if found.findtext("{*}IsTruncated") != "true":
                return ended
            after = {
                "key-marker": _text(found, "NextKeyMarker"),
                "upload-id-marker": _text(found, "NextUploadIdMarker"),
            }

    async def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        also: tuple[int, ...] = (),
    ) -> httpx.Response:
        url = f"{self._base}/{quote(key)}?{urlencode(query, quote_via=quote)}"
        pause, trouble = FIRST_PAUSE_S, ""
        for _ in range(TRIES):
            signed = await asyncio.to_thread(
                signed_headers, self._credentials, method, url, headers or {}, body, datetime.now(UTC)
            )
            try:
                answer = await self._http.request(
                    method, url, content=body, headers={**(headers or {}), **signed}
                )
            except httpx.HTTPError as error:
                trouble = type(error).__name__
            else:
                if answer.is_success or answer.status_code in also:
                    return answer
                if answer.status_code not in _PASSING:
                    raise _problem(answer)
                trouble = str(answer.status_code)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause *= 2
        raise Problem("unavailable", AWAY, detail=f"{method} {key}: {trouble}")


def _problem(answer: httpx.Response) -> Problem:
    if answer.status_code in (401, 403):
        return Problem("bad_upstream", REFUSED, detail=f"S3 answered {answer.status_code}")
    if b"NoSuchBucket" in answer.content[:2000]:
        return Problem("bad_upstream", NO_BUCKET)
    return Problem("bad_upstream", "The bucket refused a write.", detail=f"S3 answered {answer.status_code}")


def _tree(answer: httpx.Response) -> ET.Element:
    data = answer.content
    if len(data) > LONGEST_ANSWER or b"<!" in data:  # no document type: nothing of entities (CWE-776)
        raise Problem("bad_upstream", "The bucket answers something that is not S3's.")
    try:
        return ET.fromstring(data)  # noqa: S314 - without a document type, above
    except ET.ParseError:
        raise Problem("bad_upstream", "The bucket answers something that is not S3's.") from None


def _text(tree: ET.Element, name: str) -> str:
    found = tree.findtext(f"{{*}}{name}")
    if not found:
        raise Problem("bad_upstream", "The bucket answers something that is not S3's.", detail=name)
    return found
