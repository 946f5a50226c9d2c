"""CPIX documents as XML: read from whoever sends them, and written (DASH-IF CPIX 2.3 §6).

    CPIX ─ DeliveryDataList          to whom the keys are encrypted (`cpix_delivery`)
         ─ ContentKeyList ─ ContentKey ─ Data ─ Secret ─ PlainValue | EncryptedValue, ValueMAC
         ─ DRMSystemList ─ DRMSystem ─ PSSH · ContentProtectionData · URIExtXKey · HLSSignalingData
         ─ ContentKeyUsageRuleList ─ ContentKeyUsageRule ─ VideoFilter · AudioFilter

An empty child of DRMSystem, and a ContentKey without Data, ask for what they lack (SPEKE). Passed over:
names not known here, signatures, who edited the document when. Refused: keys that change with time, and keys
for some of the pictures or sounds only.
"""

import base64
import re
import uuid
from collections.abc import Callable
from typing import Final, TypeVar
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keys.cpix import AUDIO, FAIRPLAY, VIDEO, BadCpix, ContentKey, Document, DrmSystem, UsageRule
from keys.cpix_delivery import BadDelivery, Delivery
from keys.cpix_names import CPIX, PSKC, xml_bytes
from keys.drm_checks import KEY_FORMATS, checked
from keys.hls_key_lines import MEDIA_TAG, METHODS, MULTIVARIANT_TAG, key_line
from keys.plain_xml import BadXml, Node, read_xml

__all__ = ["MAX_BYTES", "VERSION", "BadCpix", "read_cpix", "write_cpix"]

MAX_BYTES: Final = 1 << 20
VERSION: Final = "2.3"

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_READ: Final = re.compile(r"2\.[0-9]{1,2}")
# `playlist` of HLSSignalingData: the schema says master, later texts multiVariant; absent, it is of media.
_MULTIVARIANT: Final = frozenset({"master", "multiVariant"})

Value = TypeVar("Value")


def read_cpix(data: bytes, private_key: RSAPrivateKey | None = None) -> Document:
    """The document these bytes are, checked through and through (`drm_checks.checked`). Raises BadCpix.

    `private_key` opens what was encrypted to its certificate (`cpix_delivery`).
    """
    try:
        return checked(_document(read_xml(data, MAX_BYTES), private_key))
    except BadXml as exc:
        raise BadCpix(str(exc)) from None


def _document(root: Node, private_key: RSAPrivateKey | None) -> Document:
    if root.name != f"{CPIX}CPIX":
        raise BadCpix("The document is no CPIX document: its element is not CPIX of urn:dashif:org:cpix.")
    version = root.attributes.get("version", VERSION)
    if not _READ.fullmatch(version):
        raise BadCpix(f"The document is of CPIX version {version[:16]!r}; versions 2.x are read.")
    periods = root.one(f"{CPIX}ContentKeyPeriodList")
    if periods is not None and periods.children:
        raise BadCpix("The keys change with time (ContentKeyPeriodList); here a key is for a whole film.")
    delivery = _delivery(root, private_key)
    return Document(
        root.attributes.get("contentId", ""),
        tuple(_key(node, delivery) for node in _rows(root, "ContentKeyList", "ContentKey")),
        tuple(_system(node) for node in _rows(root, "DRMSystemList", "DRMSystem")),
        tuple(_rule(node) for node in _rows(root, "ContentKeyUsageRuleList", "ContentKeyUsageRule")),
    )


def _rows(root: Node, parent: str, name: str) -> list[Node]:
    found = root.one(f"{CPIX}{parent}")
    return [] if found is None else found.all(f"{CPIX}{name}")


def _delivery(root: Node, private_key: RSAPrivateKey | None) -> Delivery | None:
    rows = _rows(root, "DeliveryDataList", "DeliveryData")
    if not rows or private_key is None:
        return None
    try:
        return Delivery.opened(rows, private_key)
    except BadDelivery as exc:
        raise BadCpix(str(exc)) from None


def _key(node: Node, delivery: Delivery | None) -> ContentKey:
    kid = _uuid(node, "kid")
    scheme = node.attributes.get("commonEncryptionScheme")
    if scheme is None:
        raise BadCpix(f"The key {kid} does not say its commonEncryptionScheme, cenc or cbcs.")
    iv = node.attributes.get("explicitIV")
    explicit_iv = None if iv is None else _read(f"The explicitIV of the key {kid}", xml_bytes, iv)
    data = node.one(f"{CPIX}Data")
    secret = None if data is None else data.one(f"{PSKC}Secret")
    return ContentKey(kid, None if secret is None else _secret(kid, secret, delivery), scheme, explicit_iv)


def _secret(kid: uuid.UUID, secret: Node, delivery: Delivery | None) -> bytes | None:
    plain = secret.one(f"{PSKC}PlainValue")
    encrypted = secret.one(f"{PSKC}EncryptedValue")
    if plain is not None and encrypted is not None:
        raise BadCpix(f"The key {kid} is there plain and encrypted.")
    if encrypted is not None:
        if delivery is None:
            raise BadCpix(f"The key {kid} is encrypted, and there is no private key here to open it.")
        try:
            return delivery.content_key(secret)
        except BadDelivery as exc:
            raise BadCpix(f"The key {kid} cannot be opened: {exc}") from None
    if plain is None or not plain.text.strip():
        return None
    return _read(f"The key {kid}", xml_bytes, plain.text)


def _system(node: Node) -> DrmSystem:
    kid, system_id = _uuid(node, "kid"), _uuid(node, "systemId")
    what = f"of the DRM system {system_id} for the key {kid}"
    pssh = node.one(f"{CPIX}PSSH")
    fragment = node.one(f"{CPIX}ContentProtectionData")
    lines = dict[bool, str]()  # of the multivariant playlist?
    for line in node.all(f"{CPIX}HLSSignalingData"):
        playlist = line.attributes.get("playlist", "media")
        if playlist not in {"media", *_MULTIVARIANT} or (playlist in _MULTIVARIANT) in lines:
            raise BadCpix(f"The HLSSignalingData {what} is for neither playlist, or twice for one.")
        lines[playlist in _MULTIVARIANT] = _read(f"The HLSSignalingData {what}", _text, line.text)
    uri = node.one(f"{CPIX}URIExtXKey")
    if not lines and system_id == FAIRPLAY and uri is not None and uri.text.strip():
        lines = _read(f"The URIExtXKey {what}", _fairplay_lines, uri.text)
    return DrmSystem(
        kid,
        system_id,
        None if pssh is None else _read(f"The PSSH {what}", xml_bytes, pssh.text),
        None if fragment is None else _read(f"The ContentProtectionData {what}", _text, fragment.text),
        lines.get(False),
        lines.get(True),
    )


def _fairplay_lines(text: str) -> dict[bool, str]:
    """The lines that versions before 2.3 leave to whoever writes the playlist."""
    attributes = {"METHOD": METHODS["cbcs"], "URI": _text(text)}
    attributes |= {"KEYFORMAT": KEY_FORMATS[FAIRPLAY], "KEYFORMATVERSIONS": "1"}
    return {False: key_line(MEDIA_TAG, attributes), True: key_line(MULTIVARIANT_TAG, attributes)}


def _rule(node: Node) -> UsageRule:
    kid = _uuid(node, "kid")
    kinds = {VIDEO: node.all(f"{CPIX}VideoFilter"), AUDIO: node.all(f"{CPIX}AudioFilter")}
    named = [each for each in node.children if each.name.startswith(CPIX)]
    if len(named) > sum(len(filters) for filters in kinds.values()):
        raise BadCpix(
            f"The key {kid} is for a period, label or bitrate; here it is for VIDEO, AUDIO or both."
        )
    if any(each.attributes for each in named):
        raise BadCpix(f"The key {kid} is for some pictures or sounds only; here it is for all of a kind.")
    # The filters rule; what the track is called only counts where there are none (§6.2.13).
    called = node.attributes.get("intendedTrackType", "ALL")
    filtered = {kind for kind, filters in kinds.items() if filters}
    if not filtered:
        filtered = {called} if called in kinds else set(kinds) if called == "ALL" else set()
    if not filtered or (called in kinds and filtered != {called}):
        raise BadCpix(f"The key {kid} is for {called[:32]!r}; here it is for VIDEO, AUDIO or both.")
    return UsageRule(kid, filtered.pop() if len(filtered) == 1 else None)


def _uuid(node: Node, name: str) -> uuid.UUID:
    text = node.attributes.get(name, "")
    if not _UUID.fullmatch(text):
        raise BadCpix(f"A {name} is missing or no UUID: {text[:40]!r}.")
    return uuid.UUID(text)


def _read(what: str, reader: Callable[[str], Value], text: str) -> Value:
    try:
        return reader(text)
    except ValueError:
        raise BadCpix(f"{what} is not what it has to be, in base64.") from None


def _text(text: str) -> str:
    return xml_bytes(text).decode("utf-8")


def write_cpix(document: Document) -> bytes:
    """The document as XML. Raises BadCpix for one that `read_cpix` would refuse."""
    document = checked(document)
    content_id = f" contentId={quoteattr(document.content_id)}" if document.content_id else ""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<cpix:CPIX{content_id} version="{VERSION}" xmlns:cpix="{CPIX[1:-1]}" xmlns:pskc="{PSKC[1:-1]}">',
    ]
    lines += _written_list("ContentKeyList", [_written_key(each) for each in document.keys])
    lines += _written_list("DRMSystemList", [_written_system(each) for each in document.systems])
    lines += _written_list("ContentKeyUsageRuleList", [_written_rule(each) for each in document.rules])
    return "\n".join([*lines, "</cpix:CPIX>", ""]).encode()


def _written_list(name: str, rows: list[str]) -> list[str]:
    return [f"<cpix:{name}>", *rows, f"</cpix:{name}>"] if rows else []


def _written_key(key: ContentKey) -> str:
    iv = "" if key.explicit_iv is None else f' explicitIV="{_base64(key.explicit_iv)}"'
    head = f'<cpix:ContentKey kid="{key.kid}"{iv} commonEncryptionScheme="{key.scheme}"'
    if key.key is None:
        return f"{head}/>"
    secret = f"<pskc:Secret><pskc:PlainValue>{_base64(key.key)}</pskc:PlainValue></pskc:Secret>"
    return f"{head}><cpix:Data>{secret}</cpix:Data></cpix:ContentKey>"


def _written_system(system: DrmSystem) -> str:
    told = _written_value("PSSH", system.pssh)
    told += _written_value("ContentProtectionData", _encoded(system.content_protection))
    told += _written_value("HLSSignalingData", _encoded(system.hls_media), ' playlist="media"')
    told += _written_value("HLSSignalingData", _encoded(system.hls_multivariant), ' playlist="master"')
    return f'<cpix:DRMSystem kid="{system.kid}" systemId="{system.system_id}">{told}</cpix:DRMSystem>'


def _written_rule(rule: UsageRule) -> str:
    filters = "".join(
        f"<cpix:{name}Filter/>"
        for kind, name in ((VIDEO, "Video"), (AUDIO, "Audio"))
        if rule.track_type in {kind, None}
    )
    called = escape(rule.track_type or "ALL")
    head = f'<cpix:ContentKeyUsageRule kid="{rule.kid}" intendedTrackType="{called}">'
    return f"{head}{filters}</cpix:ContentKeyUsageRule>"


def _written_value(name: str, value: bytes | None, attributes: str = "") -> str:
    if value is None:
        return ""
    if not value:
        return f"<cpix:{name}{attributes}/>"
    return f"<cpix:{name}{attributes}>{_base64(value)}</cpix:{name}>"


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
