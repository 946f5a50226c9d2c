"""Secret files: made once, 0600, refused when open to others or malformed."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keys import secrets as files
from keys.secrets import BadSecret, load_or_create, read_token


def test_first_start_makes_every_secret_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "secrets"
    made = load_or_create(directory)
    assert len((directory / "root.key").read_bytes()) == 32
    assert made.issuer.iss == "site"
    assert made.issuer.viewer_key is not None
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert names == dict.fromkeys(
        ["root.key", "issuer.json", "admin-token", "join-token", "origin-join-token"], 0o600
    )


def test_later_starts_read_the_same(tmp_path: Path) -> None:
    first, second = load_or_create(tmp_path / "s"), load_or_create(tmp_path / "s")
    assert first.root.paths() == second.root.paths()
    assert first.issuer.to_json() == second.issuer.to_json()
    assert (first.admin_token, first.join_token) == (second.admin_token, second.join_token)
    assert read_token(tmp_path / "s" / "admin-token") == first.admin_token
    assert first.admin_token != first.join_token


def test_a_missing_one_is_made_and_the_others_stay(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "s")
    (tmp_path / "s" / files.JOIN_TOKEN).unlink()
    second = load_or_create(tmp_path / "s")
    assert second.root.paths() == first.root.paths()
    assert second.join_token != first.join_token


def test_t21_secrets_do_not_print(tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "s")
    assert made.admin_token not in repr(made)
    assert made.root.paths()[1].read_bytes().hex() not in repr(made)
    assert repr(made) == "Secrets()"


@pytest.mark.parametrize(
    "name", ["root.key", "issuer.json", "admin-token", "join-token", "origin-join-token"]
)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_open_to_others_is_refused_with_its_name_and_the_cure(
    tmp_path: Path, name: str, mode: int
) -> None:
    load_or_create(tmp_path / "s")
    (tmp_path / "s" / name).chmod(mode)
    with pytest.raises(BadSecret, match=rf"{name} is open to other users \(mode 0{mode:o}\): chmod 600"):
        load_or_create(tmp_path / "s")


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path / "s")
    (tmp_path / "s").chmod(0o755)
    with pytest.raises(BadSecret, match="chmod 700"):
        load_or_create(tmp_path / "s")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("root.key", b"k" * 31, "exactly 32 bytes and holds 31"),
        ("root.key", b"", "exactly 32 bytes"),
        ("issuer.json", b"{", "holds no signing key"),
        ("issuer.json", b"[]", "holds no signing key"),
        ("admin-token", b"short\n", "must hold one token"),
        ("join-token", b"two tokens of more than thirty-two characters\n", "must hold one token"),
        ("join-token", b"\xff" * 40, "must hold one token"),
    ],
)
def test_a_malformed_file_is_refused_without_telling_its_content(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    load_or_create(tmp_path / "s")
    (tmp_path / "s" / name).write_bytes(content)
    with pytest.raises(BadSecret, match=sentence) as caught:
        load_or_create(tmp_path / "s")
    assert name in str(caught.value)
    assert content.decode("latin-1") not in str(caught.value) or len(content) < 2


def test_a_missing_token_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match="join-token cannot be read"):
        read_token(tmp_path / "join-token")


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, hashlib; from keys.secrets import load_or_create as l;"
        "s = l(pathlib.Path(sys.argv[1]));"
        "made = s.root.paths()[1].read_bytes() + s.issuer.to_json() + s.admin_token.encode();"
        "print(hashlib.sha256(made).hexdigest())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "admin-token",
        "issuer.json",
        "join-token",
        "origin-join-token",
        "root.key",
    ]
