"""CPIX documents in the shape their specification publishes, plain and encrypted, by code of its own."""

import base64
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

KID: Final = "98ee5596-cd3e-a20d-163a-e382420c6eff"
SOUND_KID: Final = "53abdba2-f210-43cb-bc90-f18f9a890a02"
KEY: Final = bytes.fromhex("e5d1808301ae518bb8747787b4d97127")
IV: Final = bytes(range(16))
NAMESPACES: Final = 'xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc"'
XMLENC: Final = "http://www.w3.org/2001/04/xmlenc#"
HMAC_SHA512: Final = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"


def b64(data: bytes) -> str:
    """The bytes in base64."""
    return base64.b64encode(data).decode()


def key(value: bytes = KEY, kid: str = KID, scheme: str = "cbcs", iv: bytes | None = IV) -> str:
    """A ContentKey in the clear."""
    told = "" if iv is None else f' explicitIV="{b64(iv)}"'
    return (
        f'<cpix:ContentKey{told} kid="{kid}" commonEncryptionScheme="{scheme}"><cpix:Data><pskc:Secret>'
        f"<pskc:PlainValue>{b64(value)}</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>"
    )


def system(system_id: object, children: str, kid: str = KID) -> str:
    """A DRMSystem."""
    return f'<cpix:DRMSystem kid="{kid}" systemId="{system_id}">{children}</cpix:DRMSystem>'


def rule(inner: str, kid: str = KID, called: str = "") -> str:
    """A ContentKeyUsageRule."""
    told = f' intendedTrackType="{called}"' if called else ""
    return f'<cpix:ContentKeyUsageRule kid="{kid}"{told}>{inner}</cpix:ContentKeyUsageRule>'


def lines(text: str, playlist: str = "media") -> str:
    """HLSSignalingData."""
    return f'<cpix:HLSSignalingData playlist="{playlist}">{b64(text.encode())}</cpix:HLSSignalingData>'


def fragment(text: str) -> str:
    """ContentProtectionData."""
    return f"<cpix:ContentProtectionData>{b64(text.encode())}</cpix:ContentProtectionData>"


def document(
    keys: str = "",
    systems: str = "",
    rules: str = "",
    *,
    head: str = 'contentId="abc123" version="2.3"',
    more: str = "",
) -> bytes:
    """A document of these rows; of one key unless told."""
    keys = keys or key()
    lists = {"ContentKeyList": keys, "DRMSystemList": systems, "ContentKeyUsageRuleList": rules}
    inner = "".join(f"<cpix:{name}>{rows}</cpix:{name}>" for name, rows in lists.items() if rows)
    return f"<cpix:CPIX {head} {NAMESPACES}>{more}{inner}</cpix:CPIX>".encode()


def certificate(private_key: rsa.RSAPrivateKey) -> bytes:
    """A certificate of the key, signed by itself, in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "packager.example")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(private_key.public_key())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=36500))
    return builder.sign(private_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def encrypted_document(private_key: rsa.RSAPrivateKey, change: Mapping[str, bytes] | None = None) -> bytes:
    """A document whose key only `private_key` opens. `change`: values that are not what they should be."""
    changed = dict(change or {})
    document_key, mac_key, iv = os.urandom(32), os.urandom(64), os.urandom(16)
    encryptor = Cipher(algorithms.AES(changed.get("by", document_key)), modes.CBC(iv)).encryptor()
    value = iv + encryptor.update(changed.get("plain", KEY + bytes([16]) * 16)) + encryptor.finalize()
    value = changed.get("value", value)
    mac = changed.get("mac", hmac.digest(mac_key, value, "sha512"))
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    public_key = private_key.public_key()
    recipient = b64(changed.get("certificate", certificate(private_key)))
    delivery = (
        '<cpix:DeliveryDataList><cpix:DeliveryData id="us"><cpix:DeliveryKey><ds:X509Data>'
        f"<ds:X509Certificate>{recipient}</ds:X509Certificate></ds:X509Data></cpix:DeliveryKey>"
        f'<cpix:DocumentKey Algorithm="{XMLENC}aes256-cbc"><cpix:Data><pskc:Secret><pskc:EncryptedValue>'
        f"{_cipher('rsa-oaep-mgf1p', public_key.encrypt(changed.get('document key', document_key), oaep))}"
        "</pskc:EncryptedValue></pskc:Secret></cpix:Data></cpix:DocumentKey>"
        f'<cpix:MACMethod Algorithm="{HMAC_SHA512}"><pskc:MACKey>'
        f"{_cipher('rsa-oaep-mgf1p', public_key.encrypt(mac_key, oaep))}</pskc:MACKey></cpix:MACMethod>"
        "</cpix:DeliveryData></cpix:DeliveryDataList>"
    )
    secret = f"<pskc:EncryptedValue>{_cipher('aes256-cbc', value)}</pskc:EncryptedValue>"
    secret += f"<pskc:ValueMAC>{b64(mac)}</pskc:ValueMAC>"
    row = (
        f'<cpix:ContentKey kid="{KID}" commonEncryptionScheme="cenc"><cpix:Data><pskc:Secret>{secret}'
        "</pskc:Secret></cpix:Data></cpix:ContentKey>"
    )
    head = (
        f'contentId="abc123" version="2.3" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:enc="{XMLENC}"'
    )
    return document(row, head=head, more=delivery)


def _cipher(algorithm: str, value: bytes) -> str:
    return (
        f'<enc:EncryptionMethod Algorithm="{XMLENC}{algorithm}"/>'
        f"<enc:CipherData><enc:CipherValue>{b64(value)}</enc:CipherValue></enc:CipherData>"
    )
