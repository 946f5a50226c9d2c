"""Where a download comes from: a signed link, the edges it is good at, the session it opened there.

Edges are tried in turn. What a link may not do is told at once, in the sentence the edge gave; what is only
trouble (no answer, 5xx) is Trouble, for the caller to wait and try again. What comes encrypted is known by
its Content-Encoding; its session's key, and what the file is, are asked for beside it.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from email.message import Message
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from deploy.commands.fetch_form import Form, Kept, Plain, Sealed
from edge.deliver.disposition import safe_name
from keys.ece import CODING, LONGEST_HEADER, BadCoding, Header
from keys.names import b64url_decode
from keys.problems import STATUS, Problem

MOST_TOLD: Final = 8192  # bytes read of what is small
REFUSED_FOR_GOOD: Final = ("expired", "limit", "revoked")  # said only of a link whose signature holds
NO_DOWNLOAD: Final = "This address does not answer like a download of Sluice."
A_STREAM: Final = (
    "This is a link to a stream, not to a download: make one with `sluice link ASSET --download`."
)
NOT_SEALED: Final = "Offline use is of protected downloads, and this one leaves plain: leave out --offline."
KEPT: Final = ".ece"  # behind the name of a file that is kept encrypted
_RETRY: Final = (408, 425, 429)
_EXTENDED_NAME: Final = re.compile(r"filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*)", re.IGNORECASE)
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


class Trouble(Exception):
    """An edge that could not answer now. `after_s`: how long it asked to be left alone, in seconds."""

    def __init__(self, sentence: str, after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class About:
    """What an edge says of a download."""

    name: str  # safe on a disk
    size: int
    mark: str  # another for another file; of a plain one its entity tag
    sha256: bytes | None  # None when it does not say
    form: Form  # in which this session gets it


class Source:
    """One link at one edge or more. Not for two event loops."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, edges: Sequence[str] = (), *, keep: bool = False
    ) -> None:
        """`edges` are base URLs of further edges the link is good at. ValueError for what is no http URL.

        `keep`: what comes encrypted is wanted so, and nothing else.
        """
        self._keep = keep
        self._http = http
        bases = [base_of(url), *map(base_of, edges)]
        self._link = url[len(bases[0]) :]
        self._bases = list(dict.fromkeys(bases))
        self._at = 0
        self._opened = ""  # path of the URL of the session opened last
        self._place = ""  # of the session that is asked: opened, and what it gets is known
        self.version = 0  # grows with every such session
        self.form: Form = Plain("", 0)  # in which it gets the file

    @property
    def base(self) -> str:
        """The edge that is asked now."""
        return self._bases[self._at]

    @property
    def url(self) -> str:
        """The session's URL at that edge."""
        return self.base + self._place

    def next_edge(self, failed: str) -> None:
        """Turns to the next edge, unless somebody already turned away from the one that failed."""
        if self.base == failed:
            self._at = (self._at + 1) % len(self._bases)

    async def open(self) -> None:
        """Opens a session, which is asked once `about` is done.

        Problem when the link is refused, Trouble when no edge answers.
        """
        refused: Problem | None = None
        trouble: Trouble | None = None
        for _ in self._bases:
            try:
                self._opened = await self._redirected()
                return
            except Trouble as exc:
                trouble = exc
            except Problem as problem:
                if problem.code in REFUSED_FOR_GOOD:
                    raise
                refused = problem
            self.next_edge(self.base)
        if trouble is not None:
            raise trouble
        assert refused is not None, "every edge answered or did not"
        raise refused

    async def about(self) -> About:
        """What the edge says of the file. Problem or Trouble."""
        place = self._opened
        about = await self._about(self.base + place)
        self._place, self.form = place, about.form  # at once: a form is good in its own session only
        self.version += 1
        return about

    async def _about(self, url: str) -> About:
        try:
            answer = await self.ask("HEAD", url)
        except Problem:  # such an answer has no body to say why
            answer = await self.ask("GET", url)
            await answer.aclose()
        if "mpegurl" in answer.headers.get("content-type", ""):
            raise Problem("bad_request", A_STREAM)
        length, etag = answer.headers.get("content-length", ""), answer.headers.get("etag", "")
        if answer.status_code != 200 or not length.isdecimal() or not etag.startswith('"'):
            raise Problem("bad_upstream", NO_DOWNLOAD)
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        if coding == CODING:
            return await self._sealed(url, etag, int(length))
        if coding != "identity":
            raise Problem("bad_upstream", NO_DOWNLOAD, detail=f"content-encoding {coding}")
        if self._keep:
            raise Problem("bad_request", NOT_SEALED)
        digest = _DIGEST.search(answer.headers.get("repr-digest", ""))
        try:
            sha256 = base64.b64decode(digest[1]) if digest else None
        except binascii.Error:
            sha256 = None
        announced = name_in(answer.headers.get("content-disposition", ""))
        return About(self._name(announced), int(length), etag, sha256, Plain(etag, int(length)))

    async def _sealed(self, url: str, etag: str, length: int) -> About:
        """What is said beside a session's key, and in the header of its form."""
        told = await self._read("GET", f"{url}/key")
        begin = await self._read("GET", url, {"range": f"bytes=0-{LONGEST_HEADER - 1}", "if-range": etag})
        try:
            said = json.loads(told)
            key, sha256 = b64url_decode(said["key"]), b64url_decode(said["sha256"])
            name, size, header = str(said["name"]), int(said["size"]), Header.read(begin)
        except (ValueError, KeyError, TypeError, BadCoding) as exc:
            raise Problem("bad_upstream", NO_DOWNLOAD, detail=type(exc).__name__) from exc
        if (len(key), len(sha256)) != (16, 32) or size < 0 or header is None or header.coded(size) != length:
            raise Problem("bad_upstream", NO_DOWNLOAD, detail="a key, digest, size or header of no form")
        form = Sealed(etag, size, header, key)
        if self._keep:  # another session's bytes are others, so they have another mark
            return About(self._name(name) + KEPT, length, etag, sha256, Kept(form))
        return About(self._name(name), size, f'"{said["sha256"]}"', sha256, form)

    async def license(self, device: dict[str, str]) -> bytes:
        """What the edge answers to this device's wish for a license for offline use. Problem or Trouble."""
        wish = json.dumps({"device": device}).encode()
        return await self._read("POST", f"{self.url}/license", {"content-type": "application/json"}, wish)

    async def _read(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        """The body of a small answer, as far as MOST_TOLD. Problem or Trouble."""
        answer = await self.ask(method, url, headers, body)
        found = bytearray()
        async with aclosing(answer):
            try:
                async for data in answer.aiter_raw():
                    found += data
                    if len(found) >= MOST_TOLD:
                        break
            except httpx.HTTPError as exc:
                raise Trouble(f"{base_of(url)} broke off ({type(exc).__name__}).") from exc
        return bytes(found[:MOST_TOLD])

    async def ask(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> httpx.Response:
        """The answer, its body not read: `aclose` it. Problem or Trouble when it is an error."""
        request = self._http.build_request(method, url, headers=headers, content=body)
        try:
            answer = await self._http.send(request, stream=True)
            if answer.is_error:
                await answer.aread()
            elif method == "HEAD":
                await answer.aclose()
        except httpx.HTTPError as exc:
            raise Trouble(f"{base_of(url)} does not answer ({exc or type(exc).__name__}).") from exc
        if answer.is_error:
            raise _refusal(answer)
        return answer

    async def _redirected(self) -> str:
        answer = await self.ask("GET", self.base + self._link)
        await answer.aclose()
        if answer.status_code != 302:
            return self._link  # a session's own URL, good until that session ends
        place = urlsplit(urljoin(self.base + self._link, answer.headers.get("location", "")))
        if place.path.startswith("/v"):
            raise Problem("bad_request", A_STREAM)
        return str(place.path)

    def _name(self, announced: str) -> str:
        last = urlsplit(self._link).path.rsplit("/", 1)[-1]
        return safe_name(announced) or safe_name(last) or "download"


def name_in(disposition: str) -> str:
    """The name a Content-Disposition gives, `filename*` before `filename` (RFC 6266 §4.3). May be empty."""
    extended = _EXTENDED_NAME.search(disposition)
    if extended:
        return unquote(extended[1], errors="replace")
    message = Message()
    message["content-disposition"] = disposition
    return message.get_filename() or ""


def base_of(url: str) -> str:
    """The scheme and host of a URL. ValueError when it has none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username is not None:
        raise ValueError(f"{url[:60]} is no http or https address")
    return f"{parts.scheme}://{parts.netloc}"


def _refusal(answer: httpx.Response) -> Problem | Trouble:
    """What an error says: Trouble where trying again may help."""
    try:
        body = json.loads(answer.content)
        code, sentence = str(body["code"]), str(body["message"])
    except (ValueError, KeyError, TypeError):
        code, sentence = "", f"{base_of(str(answer.request.url))} answered {answer.status_code}."
    if answer.status_code >= 500 or answer.status_code in _RETRY:
        after = answer.headers.get("retry-after", "")
        return Trouble(sentence, float(after) if after.isdecimal() else 0.0)
    if answer.status_code in (404, 410):
        return Problem("not_found", sentence if code else "There is nothing at this address.")
    return Problem(code if code in STATUS else "bad_upstream", sentence)
