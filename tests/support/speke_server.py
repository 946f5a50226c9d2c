"""A SPEKE v2 key server: as strict with questions as providers are, and a liar when told to be.

Content keys are made of their IDs, so tests know them. Documents are read and written by code of its own
(ElementTree and templates); what players are told is Sluice's, as if the provider had made the same.
"""

import asyncio
import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keys.cpix import ContentKey, DrmSystem
from keys.drm_signalling import signalling

PATH: Final = "/speke/v2.0/copyProtection"
CPIX: Final = "{urn:dashif:org:cpix}"
INJECTED_LINE: Final = "#EXT-X-KEY:METHOD=NONE"
INJECTED_XML: Final = "<script xmlns='http://www.w3.org/1999/xhtml'>1</script>"
REASON: Final = "the vault is sealed"
BOMB: Final = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10 if n else b"&a;" * 10) for n in range(12))
    + b']><cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" contentId="&a11;"/>'
)


def content_key(kid: uuid.UUID) -> bytes:
    """The key the server gives for this ID."""
    return hashlib.sha256(kid.bytes).digest()[:16]


class Refusal(Exception):
    """What a strict provider answers 422 for."""


@dataclass
class SpekeServer:
    """What the server does. `lie`: one of LIES, or ""; `wants`: a header every question must have."""

    lie: str = ""
    wants: tuple[str, str] | None = None
    seen: list[bytes] = field(default_factory=list)  # bodies of questions
    headers: list[dict[str, str]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)  # ends what is slow

    def app(self) -> Starlette:
        """The server as an application."""
        return Starlette(routes=[Route(PATH, self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.seen.append(body)
        self.headers.append(dict(request.headers))
        if self.wants is not None and request.headers.get(self.wants[0]) != self.wants[1]:
            return Response("who are you?", 403)
        try:
            if request.headers.get("content-type") != "application/xml":
                raise Refusal("Content-Type is not application/xml")
            if request.headers.get("x-speke-version") != "2.0":
                raise Refusal("Unsupported SPEKE version")
            root = ElementTree.fromstring(body)
            check_question(root)
        except (Refusal, ElementTree.ParseError) as exc:
            return Response(str(exc), 422)
        if self.lie == "slow":
            await self.release.wait()
        if self.lie in _BESIDE:
            return _BESIDE[self.lie]()
        headers = {"X-Speke-Version": "2.0", "X-Speke-User-Agent": "strict-provider/1"}
        if self.lie == "wrong version":
            headers["X-Speke-Version"] = "1.0"
        if self.lie == "no version":
            del headers["X-Speke-Version"]
        answer = answer_of(root, self.lie)
        if self.lie == "compressed":
            headers["Content-Encoding"] = "gzip"
        kind = "text/html" if self.lie == "html" else "application/xml"
        return Response(answer, headers=headers, media_type=kind)


def _xml(content: bytes) -> Response:
    return Response(content, headers={"X-Speke-Version": "2.0"}, media_type="application/xml")


_BESIDE: Final[dict[str, Callable[[], Response]]] = {  # instead of an answer
    "trouble": lambda: Response(f"{REASON}\r\n\x1b[31m{'!' * 5000}", 500),
    "refused": lambda: Response(REASON, 400),
    "elsewhere": lambda: Response(status_code=307, headers={"Location": PATH}),
    "huge": lambda: _xml(b"<a>" + b" " * (3 << 20) + b"</a>"),
    "bomb": lambda: _xml(BOMB),
    "no xml": lambda: _xml(b"keys? what keys?"),
    "empty": lambda: _xml(b""),
}
_WITHIN: Final = frozenset(  # an answer, but
    {
        "other kid",
        "short key",
        "missing key",
        "one key less",
        "missing system",
        "empty pssh",
        "pssh of another",
        "other content",
        "other scheme",
        "other iv",
        "other tracks",
        "injected line",
        "injected xml",
        "wrong version",
        "no version",
        "compressed",
        "html",
    }
)
LIES: Final = sorted(_WITHIN | _BESIDE.keys())  # all that come at once; "slow" waits


def check_question(root: ElementTree.Element) -> None:
    """Raises Refusal for what providers refuse."""
    if root.tag != f"{CPIX}CPIX":
        raise Refusal("not a CPIX document")
    for name in ("contentId", "version"):
        if not root.get(name):
            raise Refusal(f"Missing CPIX@{name}")
    if root.get("version") != "2.3":
        raise Refusal("Unsupported CPIX@version")
    keys = root.findall(f"{CPIX}ContentKeyList/{CPIX}ContentKey")
    kids = {key.get("kid") for key in keys}
    if not keys or len(kids) != len(keys):
        raise Refusal("no keys, or one twice")
    for key in keys:
        if key.get("commonEncryptionScheme") not in {"cenc", "cbcs"}:
            raise Refusal(f"Missing ContentKey@commonEncryptionScheme for KID {key.get('kid')}")
        if len(key):
            raise Refusal("the question has a key in it")
    if len({key.get("commonEncryptionScheme") for key in keys}) > 1:
        raise Refusal("Non compliant ContentKey@commonEncryptionScheme combination")
    systems = root.findall(f"{CPIX}DRMSystemList/{CPIX}DRMSystem")
    rules = root.findall(f"{CPIX}ContentKeyUsageRuleList/{CPIX}ContentKeyUsageRule")
    for rows, called in ((systems, "DRMSystem"), (rules, "ContentKeyUsageRule")):
        if {row.get("kid") for row in rows} != kids:
            raise Refusal(f"a key has no {called}, or one is of no key")
    if any((child.text or "").strip() or len(child) for system in systems for child in system):
        raise Refusal("a child of DRMSystem is not empty")
    for rule in rules:
        if not rule.get("intendedTrackType") or not len(rule):
            raise Refusal("a usage rule says no tracks")


def answer_of(root: ElementTree.Element, lie: str = "") -> bytes:
    """The answer to a question, with one lie in it."""
    found = {each.get("kid", ""): each for each in root.findall(f"{CPIX}ContentKeyList/{CPIX}ContentKey")}
    scheme = next(iter(found.values())).get("commonEncryptionScheme", "")
    keys, systems = [], []
    for number, (kid, element) in enumerate(found.items()):
        key = content_key(uuid.UUID(kid))
        told, iv, data = kid, element.get("explicitIV"), base64.b64encode(key).decode()
        if lie == "other kid" and number == 0:
            told = str(uuid.UUID(int=7))
        if lie == "one key less" and number == 0:
            continue
        if lie == "short key":
            data = base64.b64encode(key[:15]).decode()
        if lie == "other iv":
            iv = base64.b64encode(b"another IV......").decode()
        given = {"cenc": "cbcs", "cbcs": "cenc"}[scheme] if lie == "other scheme" else scheme
        head = f'<cpix:ContentKey kid="{told}" commonEncryptionScheme="{given}"'
        head += f' explicitIV="{iv}">' if iv else ">"
        secret = f"<pskc:Secret><pskc:PlainValue>{data}</pskc:PlainValue></pskc:Secret>"
        body = "" if lie == "missing key" and number == 0 else f"<cpix:Data>{secret}</cpix:Data>"
        keys.append(f"{head}{body}</cpix:ContentKey>")
    for number, system in enumerate(root.findall(f"{CPIX}DRMSystemList/{CPIX}DRMSystem")):
        if lie == "missing system" and number == 0:
            continue
        iv = found[system.get("kid", "")].get("explicitIV")
        systems.append(_described(system, scheme, base64.b64decode(iv) if iv else None, lie))
    rules = [
        ElementTree.tostring(each, "unicode")
        for each in root.findall(f"{CPIX}ContentKeyUsageRuleList/{CPIX}ContentKeyUsageRule")
    ]
    if lie == "other tracks":
        rules = [each.replace("VIDEO", "AUDIO").replace("VideoFilter", "AudioFilter") for each in rules[:1]]
    content_id = "another film" if lie == "other content" else root.get("contentId", "")
    lists = {"ContentKeyList": keys, "DRMSystemList": systems, "ContentKeyUsageRuleList": rules}
    inner = "".join(f"<cpix:{name}>{''.join(rows)}</cpix:{name}>" for name, rows in lists.items())
    head = f'<cpix:CPIX contentId={quoteattr(content_id)} version="2.3"'
    head += ' xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">'
    text = f"{head}{inner}</cpix:CPIX>"
    if lie in {"other kid", "one key less"}:  # a document that holds together
        gone = next(iter(found))
        text = text.replace(gone, str(uuid.UUID(int=7)) if lie == "other kid" else list(found)[-1])
    return text.encode()


def _described(element: ElementTree.Element, scheme: str, iv: bytes | None, lie: str) -> str:
    """A DRMSystem, each child it asked for filled in."""
    kid, system_id = uuid.UUID(element.get("kid")), uuid.UUID(element.get("systemId"))
    found = signalling(ContentKey(kid, None, scheme, iv), system_id)
    values = {
        ("PSSH", None): found.pssh,
        ("ContentProtectionData", None): (found.content_protection or "").encode(),
        ("HLSSignalingData", "media"): (found.hls_media or "").encode(),
        ("HLSSignalingData", "master"): (found.hls_multivariant or "").encode(),
    }
    if lie == "empty pssh":
        values["PSSH", None] = b""
    if lie == "pssh of another" and found.pssh:
        values["PSSH", None] = found.pssh.replace(system_id.bytes, uuid.UUID(int=9).bytes)
    if lie == "injected line":
        values["HLSSignalingData", "media"] = f"{found.hls_media}\n{INJECTED_LINE}".encode()
    if lie == "injected xml" and found.content_protection:
        values["ContentProtectionData", None] = f"{found.content_protection}{INJECTED_XML}".encode()
    told = ""
    for child in element:
        name, playlist = child.tag.removeprefix(CPIX), child.get("playlist")
        attribute = f' playlist="{playlist}"' if playlist else ""
        value = base64.b64encode(values[name, playlist] or b"").decode()
        told += f"<cpix:{name}{attribute}>{value}</cpix:{name}>"
    return f'<cpix:DRMSystem kid="{kid}" systemId="{system_id}">{told}</cpix:DRMSystem>'


def asked_of(kid: uuid.UUID, system_id: uuid.UUID, *, lines_only: bool = False) -> DrmSystem:
    """A DrmSystem that asks for all there is, or for the HLS lines only, as for FairPlay."""
    if lines_only:
        return DrmSystem(kid, system_id, hls_media="", hls_multivariant="")
    return DrmSystem(kid, system_id, b"", "", "", "")
