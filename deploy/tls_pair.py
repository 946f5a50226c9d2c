"""Whether a certificate and a private key can serve TLS, asked before anything is started with them."""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from deploy.layers import SettingError


def check(certificate: Path, key: Path) -> None:
    """Returns when the edges can speak TLS with this pair. SettingError names the setting at fault."""
    chain, text = _read("tls-cert", certificate), _read("tls-key", key)
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise SettingError(f"tls-cert: {certificate} holds no certificate in PEM form.") from error
    try:
        private = load_pem_private_key(text, None)
    except TypeError as error:
        raise SettingError(f"tls-key: {key} is encrypted: give it without a passphrase.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingError(f"tls-key: {key} holds no private key in PEM form that can be used.") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise SettingError(
            f"tls-key: {key} does not belong to the first certificate in tls-cert, {certificate}."
        )
    try:  # what OpenSSL has against them besides, such as a key too short
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise SettingError(f"tls-cert: {certificate} cannot be used for TLS: {reason}.") from error


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{setting}: {path} cannot be read: {error.strerror}.") from error
