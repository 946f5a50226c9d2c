"""What a DRM system puts inside the ContentProtection of a manifest (ISO/IEC 23001-7 §11.2.3, DASH-IF IOP).

A fragment of others is taken apart and written anew from the few elements it may have, each with its own
namespace declaration, so that nothing else can get into a manifest. Some providers send the ContentProtection
itself; what is inside of it is meant.

    cenc:pssh                      base64 of a pssh box of this system
    mspr:pro                       base64 of a PlayReady Object
    dashif:laurl, authzurl         an https address; laurl may say licenseType
    mspr:IsEncrypted, IV_Size, kid what PlayReady once wanted: a number, a number, base64 of a GUID
"""

import re
import uuid
from collections.abc import Callable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from keys.plain_xml import Node, local, read_xml
from keys.playready import headers
from keys.pssh import read_pssh
from keys.strict_base64 import from_base64

CENC: Final = "urn:mpeg:cenc:2013"
PLAYREADY_NAMESPACE: Final = "urn:microsoft:playready"
DASHIF: Final = "https://dashif.org/CPS"
MAX_BYTES: Final = 128 << 10
MAX_ELEMENTS: Final = 8

_DESCRIPTORS: Final = frozenset({"{urn:mpeg:dash:schema:mpd:2011}ContentProtection", "ContentProtection"})
_PREFIXES: Final = {CENC: "cenc", PLAYREADY_NAMESPACE: "mspr", DASHIF: "dashif"}
_ADDRESS: Final = re.compile(r"https://[A-Za-z0-9.:\[\]-]{1,300}(/[!#-;=?-\[\]_a-z~]{0,2000})?")
_LICENSE_TYPE: Final = re.compile(r"[A-Za-z0-9.-]{1,32}")


def written(elements: dict[str, str]) -> str:
    """A fragment of elements, `{namespace}local` to text, checked by nobody yet."""
    return "".join(_element(Node(name, {}, text=text)) for name, text in elements.items())


def checked_fragment(text: str, system_id: uuid.UUID) -> str:
    """The fragment of a system, written anew. ValueError when it has anything that is not allowed."""
    root = read_xml(b"<r>" + text.encode() + b"</r>", MAX_BYTES)
    if len(root.children) == 1 and root.children[0].name in _DESCRIPTORS and not root.text.strip():
        root = root.children[0]
        if root.attributes.get("schemeIdUri", "").lower() != f"urn:uuid:{system_id}":
            raise ValueError("its schemeIdUri is that of another DRM system")
    if root.text.strip() or not 1 <= len(root.children) <= MAX_ELEMENTS:
        raise ValueError(f"there must be one to {MAX_ELEMENTS} elements, and no text beside them")
    for node in root.children:
        check = _CHECKS.get(node.name)
        if check is None or node.children:
            raise ValueError(f"an element {local(node.name)[:32]!r} is not allowed")
        node.text = node.text.strip()
        for name, value in node.attributes.items():
            if local(node.name) != "laurl" or name != "licenseType" or not _LICENSE_TYPE.fullmatch(value):
                raise ValueError(f"an attribute {local(name)[:32]!r} is not allowed")
        check(node.text, system_id)
    return "".join(_element(node) for node in root.children)


def _element(node: Node) -> str:
    namespace = node.name[1:].partition("}")[0]
    tag = f"{_PREFIXES[namespace]}:{local(node.name)}"
    told = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
    return f"<{tag} xmlns:{_PREFIXES[namespace]}={quoteattr(namespace)}{told}>{escape(node.text)}</{tag}>"


def _pssh(text: str, system_id: uuid.UUID) -> None:
    if read_pssh(from_base64(text)).system_id != system_id:
        raise ValueError("its pssh is of another DRM system")


def _object(text: str, _system_id: uuid.UUID) -> None:
    headers(from_base64(text))


def _address(text: str, _system_id: uuid.UUID) -> None:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("an address is not plain https")


def _number(text: str, _system_id: uuid.UUID) -> None:
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise ValueError("a number is none")


def _guid(text: str, _system_id: uuid.UUID) -> None:
    if len(from_base64(text)) != 16:
        raise ValueError("a key ID is none")


_CHECKS: Final[dict[str, Callable[[str, uuid.UUID], None]]] = {
    f"{{{CENC}}}pssh": _pssh,
    f"{{{PLAYREADY_NAMESPACE}}}pro": _object,
    f"{{{PLAYREADY_NAMESPACE}}}IsEncrypted": _number,
    f"{{{PLAYREADY_NAMESPACE}}}IV_Size": _number,
    f"{{{PLAYREADY_NAMESPACE}}}kid": _guid,
    f"{{{DASHIF}}}laurl": _address,
    f"{{{DASHIF}}}authzurl": _address,
}
