"""A certificate and a key that cannot serve stop the start, with the setting named."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from deploy import tls_pair
from deploy.layers import SettingError
from tests.support.certificates import self_signed
from tests.support.system import clean_environment, sluice_command


def other_key(certificate: Path, key: Path) -> None:
    folder = key.parent / "other"
    folder.mkdir()
    key.write_bytes(self_signed(folder)[1].read_bytes())


def encrypted(certificate: Path, key: Path) -> None:
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )


def test_a_pair_that_fits_is_taken(tmp_path: Path) -> None:
    tls_pair.check(*self_signed(tmp_path))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda certificate, key: certificate.unlink(), r"tls-cert: \S+ cannot be read: No such file"),
        (lambda certificate, key: key.unlink(), r"tls-key: \S+ cannot be read: No such file"),
        (lambda certificate, key: certificate.write_bytes(b"\x30\x82"), "tls-cert: .* no certificate in PEM"),
        (lambda certificate, key: key.write_text("nothing"), "tls-key: .* no private key in PEM"),
        (
            lambda certificate, key: key.write_bytes(certificate.read_bytes()),
            "tls-key: .* no private key in PEM",
        ),
        (other_key, "tls-key: .* does not belong"),
        (encrypted, "tls-key: .* is encrypted"),
    ],
)
def test_a_pair_that_cannot_serve_is_refused_by_its_setting(
    tmp_path: Path, spoil: Callable[[Path, Path], object], told: str
) -> None:
    certificate, key = self_signed(tmp_path)
    spoil(certificate, key)
    with pytest.raises(SettingError, match=f"^{told}"):
        tls_pair.check(certificate, key)


@pytest.mark.parametrize("command", ["up", "edge"])
def test_a_start_with_a_key_that_does_not_fit_ends_with_a_sentence(tmp_path: Path, command: str) -> None:
    certificate, key = self_signed(tmp_path)
    other_key(certificate, key)
    words = ["--data", str(tmp_path / "data"), "--tls-cert", str(certificate), "--tls-key", str(key)]
    argv = [*sluice_command(), command, *words]
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=60, env=clean_environment()
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("sluice: tls-key: ") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
