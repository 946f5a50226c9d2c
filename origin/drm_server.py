"""How keys are asked of a DRM provider: SPEKE v2.0, one POST of a CPIX document and its answer.

The answer has to be to the question: the same content, the same keys for the same tracks in the same scheme,
everything that was asked for and nothing else. Keys come in the clear unless they are encrypted to a
certificate, so the address is https, or of this machine.
"""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keys.connections import pooled
from keys.cpix import ContentKey, Document, DrmSystem
from keys.cpix_xml import MAX_BYTES, BadCpix, read_cpix, write_cpix
from origin.drm_server_auth import Auth, read_auth

TIMEOUT_S: Final = 30.0  # for the whole exchange
SPEKE_VERSION: Final = "2.0"
MAX_MESSAGE: Final = 4096  # bytes read of what a server says of its refusal; less of it is told

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")


class NoKeys(Exception):
    """The DRM server gave no keys that can be used; the text is a sentence for people, without any secret."""


def question(document: Document) -> Document:
    """The document without the keys it has, which are never sent."""
    return replace(document, keys=tuple(replace(key, key=None) for key in document.keys))


async def ask(
    url: str,
    document: Document,
    *,
    auth: str = "",
    private_key: RSAPrivateKey | None = None,
    timeout_s: float = TIMEOUT_S,
    client: httpx.AsyncClient | None = None,
) -> Document:
    """The document with its keys and signalling filled in by the server at `url`. Raises NoKeys.

    `auth` says whose request it is (`drm_server_auth`). `private_key` opens keys encrypted to its
    certificate. BadCpix when the question itself is no document; ValueError for a `url` that is not https
    (or of this machine), and for an `auth` that is none.
    """
    check_url(url)
    who = read_auth(auth)
    body = write_cpix(question(document))
    told = {
        "Content-Type": "application/xml",
        "Accept": "application/xml",
        "Accept-Encoding": "identity",  # a size limit is of what is read
        "X-Speke-Version": SPEKE_VERSION,
        **who.headers,
    }
    if who.sign is not None:
        told |= who.sign(url, body)
    try:
        async with _client(client) as http, asyncio.timeout(timeout_s):
            answer = await _posted(http, url, told, body, who)
    except TimeoutError:
        raise NoKeys(f"The DRM server did not answer within {timeout_s:g} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError) as exc:
        # Its text may quote the answer, keys and all.
        raise NoKeys(f"The DRM server cannot be asked ({type(exc).__name__}).") from None
    try:
        found = read_cpix(answer, private_key)
    except BadCpix as exc:
        raise NoKeys(f"The answer of the DRM server is not used. {exc}") from None
    return answered(document, found)


def check_url(url: str) -> None:
    """Returns when keys can be asked at `url`; ValueError, a sentence, when not."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("The address of the DRM server is no URL.") from None
    if not parts.hostname or port == 0 or parts.scheme not in {"https", "http"}:
        raise ValueError("The address of the DRM server is no https URL.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The address of the DRM server has a user name in it; say that as its auth instead.")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise ValueError("Keys are asked over https only, or on this machine.")


@contextlib.asynccontextmanager
async def _client(given: httpx.AsyncClient | None) -> AsyncIterator[httpx.AsyncClient]:
    if given is not None:
        yield given
        return
    async with httpx.AsyncClient(
        transport=pooled(connections=1, kept_s=1),
        timeout=None,  # noqa: S113 (the whole exchange is timed in `ask`)
        trust_env=False,
    ) as made:
        yield made


async def _posted(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, who: Auth
) -> bytes:
    async with http.stream("POST", url, content=body, headers=headers, follow_redirects=False) as response:
        if response.status_code != 200:
            raise NoKeys(_refusal(response.status_code, await _read(response, MAX_MESSAGE, whole=False), who))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {"application/xml", "text/xml"}:
            raise NoKeys("The DRM server answered with something other than XML.")
        if response.headers.get("x-speke-version") != SPEKE_VERSION:
            raise NoKeys(f"The DRM server did not answer in SPEKE {SPEKE_VERSION} (X-Speke-Version).")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise NoKeys("The DRM server compressed its answer, which was not asked for.")
        return await _read(response, MAX_BYTES, whole=True)


async def _read(response: httpx.Response, limit: int, *, whole: bool) -> bytes:
    """The body; what is longer than `limit` is refused when it is wanted whole, and cut off when not."""
    found = bytearray()
    async for piece in response.aiter_raw():
        found += piece
        if len(found) > limit:
            if whole:
                raise NoKeys(f"The answer of the DRM server is larger than {limit // 1024} KiB.")
            break
    return bytes(found[:limit])


def _refusal(status: int, body: bytes, who: Auth) -> str:
    if status < 300:
        return f"The DRM server answered {status}, where 200 is an answer."
    if 300 <= status < 400:
        return f"The DRM server sends elsewhere ({status}); give the address it means."
    # What it says may hold anything: one short line of plain letters is told.
    said = _UNPRINTABLE.sub(" ", body.decode("utf-8", "replace")).strip()
    reason = f": {said[:300]}" if said and not _is_secret(said, who) else "."
    if status in {401, 403}:
        return f"The DRM server does not know who asks ({status}){reason}"
    if status == 429 or status >= 500:
        return f"The DRM server is in trouble ({status}); try again later{reason}"
    return f"The DRM server refused ({status}){reason}"


def _is_secret(said: str, who: Auth) -> bool:
    """Whether it has a key in it, or some of what opens the server: it may send back what it was asked."""
    words = [word for value in who.headers.values() for word in value.split()]
    return "<" in said or any(len(word) > 5 and word in said for word in words)


def answered(asked: Document, found: Document) -> Document:
    """What `found` answers of what was `asked`, in its order. NoKeys for an answer to something else."""
    if found.content_id != asked.content_id:
        raise NoKeys("The DRM server answered for another contentId.")
    keys = {key.kid: key for key in found.keys}
    if keys.keys() != {key.kid for key in asked.keys}:
        raise NoKeys("The DRM server answered with other keys than those asked for.")
    if found.rules and set(found.rules) != set(asked.rules):
        raise NoKeys("The DRM server means the keys for other tracks than was asked.")
    systems = {(each.kid, each.system_id): each for each in found.systems}
    return replace(
        asked,
        keys=tuple(_answered_key(key, keys[key.kid]) for key in asked.keys),
        systems=tuple(_answered_system(each, systems) for each in asked.systems),
    )


def _answered_key(asked: ContentKey, found: ContentKey) -> ContentKey:
    if found.key is None:
        raise NoKeys(f"The DRM server gave no key for {asked.kid}.")
    if found.scheme != asked.scheme:
        raise NoKeys(f"The DRM server means the key {asked.kid} for {found.scheme}, not for {asked.scheme}.")
    if asked.explicit_iv is not None and found.explicit_iv not in {None, asked.explicit_iv}:
        raise NoKeys(f"The DRM server gave another explicitIV for the key {asked.kid}.")
    return replace(asked, key=found.key, explicit_iv=found.explicit_iv or asked.explicit_iv)


def _answered_system(asked: DrmSystem, systems: Mapping[tuple[uuid.UUID, uuid.UUID], DrmSystem]) -> DrmSystem:
    found = systems.get((asked.kid, asked.system_id))
    what = f"the DRM system {asked.system_id} and the key {asked.kid}"
    if found is None:
        raise NoKeys(f"The DRM server said nothing of {what}.")
    filled = {
        "pssh": "PSSH",
        "content_protection": "ContentProtectionData",
        "hls_media": "HLSSignalingData of media playlists",
        "hls_multivariant": "HLSSignalingData of multivariant playlists",
    }
    for name, called in filled.items():
        if getattr(asked, name) is not None and not getattr(found, name):
            raise NoKeys(f"The DRM server gave no {called} for {what}.")
    return DrmSystem(
        asked.kid,
        asked.system_id,
        found.pssh if asked.pssh is not None else None,
        found.content_protection if asked.content_protection is not None else None,
        found.hls_media if asked.hls_media is not None else None,
        found.hls_multivariant if asked.hls_multivariant is not None else None,
    )
