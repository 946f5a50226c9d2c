"""Keys that travel encrypted in a CPIX document (CPIX 2.3 §6.2.3, RFC 6030 §6).

To each recipient's RSA key, the sender encrypts (RSA-OAEP) a key of the document and a key for MACs. A
content key is encrypted by the one (AES-256-CBC, its IV first), and the MAC (HMAC-SHA512) is over that, IV
included. A MAC is always wanted here: CBC without one would tell whoever sends variants what its padding is.

    DeliveryData ─ DeliveryKey ─ X509Data ─ X509Certificate
                 ─ DocumentKey ─ Data ─ Secret ─ EncryptedValue
                 ─ MACMethod ─ MACKey
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keys.cpix_names import CPIX, DSIG, PSKC, XMLENC, xml_bytes
from keys.plain_xml import Node, local

RSA_OAEP: Final = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
AES_256_CBC: Final = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
HMAC_SHA512: Final = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
MAX_RECIPIENTS: Final = 16
_KEY: Final = 16  # bytes of a content key


class BadDelivery(ValueError):
    """Not what this private key opens; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What opens the keys of one document."""

    document_key: bytes = field(repr=False)  # 32 bytes
    mac_key: bytes = field(repr=False)

    @classmethod
    def opened(cls, recipients: Sequence[Node], private_key: RSAPrivateKey) -> "Delivery":
        """Opens the one of the DeliveryData elements that is for this key. Raises BadDelivery."""
        if len(recipients) > MAX_RECIPIENTS:
            raise BadDelivery("The keys are encrypted to too many recipients.")
        for recipient in recipients:
            if _is_for(recipient, private_key):
                break
        else:
            raise BadDelivery("The keys are not encrypted to the certificate of the private key here.")
        secret = _child(_child(_child(recipient, CPIX, "DocumentKey"), CPIX, "Data"), PSKC, "Secret")
        method = _child(recipient, CPIX, "MACMethod")
        if method.attributes.get("Algorithm") != HMAC_SHA512:
            raise BadDelivery("The MACs of the keys are not HMAC-SHA512.")
        document_key = _unwrapped(_child(secret, PSKC, "EncryptedValue"), private_key)
        if len(document_key) != 32:
            raise BadDelivery("The key of the document is not 32 bytes long.")
        mac_key = _unwrapped(_child(method, PSKC, "MACKey"), private_key)
        if len(mac_key) < 16:
            raise BadDelivery("The key of the MACs is too short.")
        return cls(document_key, mac_key)

    def content_key(self, secret: Node) -> bytes:
        """The content key in a Secret element, its MAC checked first. Raises BadDelivery."""
        value = _cipher_value(_child(secret, PSKC, "EncryptedValue"), AES_256_CBC)
        told = _bytes(_child(secret, PSKC, "ValueMAC"))
        if not hmac.compare_digest(told, hmac.digest(self.mac_key, value, "sha512")):
            raise BadDelivery("its MAC does not hold.")
        iv, encrypted = value[:16], value[16:]
        if len(encrypted) != 2 * _KEY:
            raise BadDelivery("it is not 16 bytes long.")
        decryptor = Cipher(algorithms.AES(self.document_key), modes.CBC(iv)).decryptor()
        plain = decryptor.update(encrypted) + decryptor.finalize()
        if plain[-1] != _KEY:  # XML Encryption §5.2: the last byte of the padding is its length
            raise BadDelivery("it is not 16 bytes long.")
        return plain[:_KEY]


def _is_for(recipient: Node, private_key: RSAPrivateKey) -> bool:
    data = _child(_child(recipient, CPIX, "DeliveryKey"), DSIG, "X509Data")
    certificate = _bytes(_child(data, DSIG, "X509Certificate"))
    try:
        public_key = x509.load_der_x509_certificate(certificate).public_key()
    except Exception:
        raise BadDelivery("A certificate in the document is none.") from None
    return public_key == private_key.public_key()


def _unwrapped(node: Node, private_key: RSAPrivateKey) -> bytes:
    value = _cipher_value(node, RSA_OAEP)
    # XML Encryption §5.4.2: SHA-1 is what rsa-oaep-mgf1p means; nothing rests on its collisions.
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
    try:
        return private_key.decrypt(value, oaep)
    except ValueError:
        raise BadDelivery("The private key does not open the key of the document.") from None


def _cipher_value(node: Node, algorithm: str) -> bytes:
    if _child(node, XMLENC, "EncryptionMethod").attributes.get("Algorithm") != algorithm:
        raise BadDelivery(f"The {local(node.name)} is not encrypted with {algorithm.rpartition('#')[2]}.")
    return _bytes(_child(_child(node, XMLENC, "CipherData"), XMLENC, "CipherValue"))


def _child(node: Node, namespace: str, name: str) -> Node:
    found = node.one(namespace + name)
    if found is None:
        raise BadDelivery(f"A {local(node.name)} has no {name}.")
    return found


def _bytes(node: Node) -> bytes:
    try:
        return xml_bytes(node.text)
    except ValueError:
        raise BadDelivery(f"A {local(node.name)} is not base64.") from None
