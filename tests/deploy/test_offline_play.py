"""`sluice fetch --play`: who may, when, and what the player gets, which nobody else does."""

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.commands import offline_play
from deploy.commands.offline_device import Device, license_path, read, user_folder
from deploy.commands.offline_play import NOT_GOOD, OVER, Watch, play, player_command
from deploy.commands.offline_serve import Film, Server, owner
from keys import ecdh, jws, offline
from keys.ece import RECORD, RECORD_DATA, Header, encoded
from keys.names import b64url
from keys.offline import TOLERANCE_S, BadLicense, File, License
from keys.signing import SigningKey

NOW = 1_800_000_000
BODY = os.urandom(5 * RECORD_DATA + 1234)
KEY, SALT = bytes(range(16)), bytes(range(16, 32))
SIGNER = SigningKey.generate("sluice", viewer_key=False)
CODED = encoded(KEY, Header(SALT), BODY)


@dataclass
class Clock:
    """Both clocks of a machine. Turning the wall clock does not turn the other."""

    wall: float = NOW
    passed: float = 100.0

    def goes_on(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds


@dataclass
class Kept:
    """A machine with a file and its license."""

    folder: Path
    file: Path
    device: Device
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)

    def license(self, *, key: bytes = KEY, salt: bytes = SALT, lasts: int = 3600) -> bytes:
        """A license for this machine as an edge gives it now."""
        what = File("film", "film.mp4", "A film.mp4", "video/mp4", len(BODY), hashlib.sha256(BODY).digest())
        license = License(
            b64url(os.urandom(16)), b64url(bytes(16)), what, salt, NOW, NOW + lasts,
            ecdh.thumbprint(self.device.key.public_key()),
        )  # fmt: skip
        text = offline.issue(SIGNER, license, key, self.device.key.public_key())
        answer = json.dumps({"license": text, "signer": SIGNER.public_jwk()}).encode()
        self.device.take(answer)
        return answer

    def play(self, player: str = "true", **how: Any) -> int:
        """The exit code of a player that does nothing, or of this one."""
        told = self.told.append
        now, passed = lambda: self.clock.wall, lambda: self.clock.passed
        return play(self.file, player, how.get("folder", self.folder), told, now, passed)

    def watch(self) -> Watch:
        answer = license_path(self.file).read_bytes()
        return Watch(self.device, answer, lambda: self.clock.wall, lambda: self.clock.passed)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    folder = tmp_path / "user" / "sluice"
    made = Kept(folder, tmp_path / "film.mp4.ece", Device.load(folder, make=True))
    made.file.write_bytes(CODED)
    license_path(made.file).write_bytes(made.license())
    return made


@pytest.fixture
def server(kept: Kept) -> Iterator[Server]:
    watch = kept.watch()
    with (
        Film(kept.file, watch.license, watch.key, lambda: watch.standing() == offline.GOOD) as film,
        Server(film) as found,
    ):
        yield found


def test_a_player_gets_the_film(kept: Kept, tmp_path: Path) -> None:
    took = tmp_path / "took"
    program = f"import sys,urllib.request as u;open({str(took)!r},'wb').write(u.urlopen(sys.argv[1]).read())"
    assert kept.play(f"{sys.executable} -c {shlex.quote(program)}") == 0, kept.told
    assert took.read_bytes() == BODY


@given(st.integers(0, len(BODY) - 1), st.integers(0, 3 * RECORD_DATA))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_ranges_are_exact(server: Server, start: int, length: int) -> None:
    with httpx.Client() as http:
        answer = http.get(server.url, headers={"range": f"bytes={start}-{start + length}"})
    assert (answer.status_code, answer.content) == (206, BODY[start : start + length + 1])
    last = min(len(BODY), start + length + 1) - 1
    assert answer.headers["content-range"] == f"bytes {start}-{last}/{len(BODY)}"


def test_whole_last_none_and_head(server: Server) -> None:
    with httpx.Client() as http:
        whole = http.get(server.url)
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, BODY, "video/mp4")
        assert (whole.headers["accept-ranges"], whole.headers["cache-control"]) == ("bytes", "no-store")
        assert http.get(server.url, headers={"range": "bytes=-5"}).content == BODY[-5:]
        beyond = http.get(server.url, headers={"range": f"bytes={len(BODY)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(BODY)}")
        head = http.head(server.url)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(BODY)), b"")


def test_nobody_else_is_served_and_only_this_machine_is(server: Server) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    base, _, name = server.url.rpartition("/")
    secret = base.rpartition("/")[2]
    assert len(secret) >= 43
    with httpx.Client() as http:
        for path in (
            "",
            f"/{name}",
            f"/{secret}",
            f"/{secret[:-1]}!/{name}",
            f"/{secret}/{name}?a",
            f"/é/{name}",
        ):
            answer = http.get(base.rpartition("/")[0] + path)
            assert (answer.status_code, answer.content) == (404, b"")
        assert http.post(server.url).status_code == 501


def test_another_user_s_connection_is_refused(server: Server) -> None:
    if os.getuid() != 0 or owner_of_a_connection() is None:
        pytest.skip("only root can be somebody else, and only where the system says whose a connection is")
    program = (
        "import encodings.idna, os, sys, urllib.request as u\n"
        "os.setuid(int(sys.argv[2])); u.urlopen(sys.argv[1]).read()"
    )
    asking = [sys.executable, "-c", program, server.url]
    assert subprocess.run([*asking, "0"], check=False, capture_output=True).returncode == 0
    other = subprocess.run([*asking, "65534"], check=False, capture_output=True, text=True)
    assert other.returncode == 1 and re.search("RemoteDisconnected|ConnectionReset", other.stderr)


def owner_of_a_connection() -> int | None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        return owner(client.getsockname()[1], listening.getsockname()[1])


def test_whose_a_connection_is_stands_in_the_system_s_tables(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
    here = f"{int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder):08X}"

    def row(local: str, remote: str, uid: int) -> str:
        return f"   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000 {uid:>5}        0 1\n"

    assert owner(4660, 80, tmp_path) is None
    (tmp_path / "tcp").write_text(
        head + row(f"{here}:0050", f"{here}:1234", 1) + row(f"{here}:1234", f"{here}:0050", 1000)
    )
    mapped = "0000000000000000FFFF0000"
    (tmp_path / "tcp6").write_text(head + row(f"{mapped}{here}:1235", f"{mapped}{here}:0050", 1001) + "odd\n")
    assert [owner(port, 80, tmp_path) for port in (4660, 4661, 4662)] == [1000, 1001, None]


def test_a_changed_record_ends_the_answer_short(kept: Kept, server: Server) -> None:
    with kept.file.open("r+b") as file:
        file.seek(21 + 2 * RECORD + 5)
        file.write(b"another")
    with httpx.Client() as http:
        assert http.get(server.url, headers={"range": f"bytes=0-{2 * RECORD_DATA - 1}"}).status_code == 206
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(server.url)


def test_when_the_time_is_over_it_refuses_and_says_so(kept: Kept) -> None:
    kept.clock.goes_on(3600)
    assert kept.play() == OVER
    assert "renews it" in kept.told[-1]
    kept.clock.wall -= 3600  # and having seen that, turning the clock back does not help
    assert kept.play() == OVER


def test_a_clock_that_was_turned_back_refuses(kept: Kept) -> None:
    kept.clock.goes_on(2000)
    assert kept.play() == 0
    kept.clock.wall -= TOLERANCE_S
    assert kept.play() == 0
    kept.clock.wall -= 1
    assert kept.play() == NOT_GOOD
    assert "clock" in kept.told[-1]
    kept.clock.wall = NOW - 10_000
    assert kept.play() == NOT_GOOD


def test_a_license_that_is_not_good_yet_says_so(kept: Kept) -> None:
    kept.clock.wall = NOW - 86_400
    assert kept.play() == NOT_GOOD
    assert "not good yet" in kept.told[-1]


def test_turning_the_clock_back_while_it_plays_wins_nothing(kept: Kept) -> None:
    watch = kept.watch()
    kept.clock.passed += 3599
    kept.clock.wall -= 200
    assert watch.standing() == offline.GOOD
    kept.clock.passed += 1
    assert watch.standing() == offline.OVER


def test_the_player_is_stopped_when_the_license_ends_in_the_middle(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_play, "LOOK_EVERY_S", 0.05)
    begun = tmp_path / "begun"
    os.mkfifo(begun)

    def time_passes() -> None:
        begun.read_text()  # until the player is there
        kept.clock.goes_on(3600)

    passing = threading.Thread(target=time_passes)
    passing.start()
    program = f"import time;open({str(begun)!r},'w').write('here');time.sleep(600)"
    assert kept.play(f"{sys.executable} -c {shlex.quote(program)}") == OVER
    passing.join()
    assert "over" in kept.told[-1]


def test_an_answer_under_way_ends_when_the_license_does(kept: Kept, server: Server) -> None:
    with httpx.Client() as http:
        assert http.get(server.url).content == BODY
        kept.clock.goes_on(3600)
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(server.url)


def another_machine(kept: Kept, tmp_path: Path) -> None:
    """All but the key was copied."""
    (kept.folder / "device.json").unlink()
    Device.load(kept.folder, make=True)


def no_machine(kept: Kept, tmp_path: Path) -> None:
    (kept.folder / "device.json").unlink()


def another_file(kept: Kept, tmp_path: Path) -> None:
    kept.file.write_bytes(encoded(KEY, Header(bytes(16)), BODY))


def a_short_file(kept: Kept, tmp_path: Path) -> None:
    kept.file.write_bytes(CODED[:-1])


def another_license(kept: Kept, tmp_path: Path) -> None:
    license_path(kept.file).write_bytes(kept.license(salt=bytes(16)))


def a_license_changed(kept: Kept, tmp_path: Path) -> None:
    said = json.loads(license_path(kept.file).read_bytes())
    said["license"] = said["license"][:-3] + "AAA"
    license_path(kept.file).write_text(json.dumps(said))


def signed_by_the_viewer(kept: Kept, tmp_path: Path) -> None:
    """For another ten years, with the sealed key as it was."""
    license, _ = read(license_path(kept.file).read_bytes())
    mine = SigningKey.generate("me", viewer_key=False)
    longer = replace(license, expires=license.expires + 86_400)
    text = jws.sign(mine.private, mine.kid, {**longer.claims(), "key": license.sealed}, offline.TYPE)
    license_path(kept.file).write_text(json.dumps({"license": text, "signer": mine.public_jwk()}))


def notes_deleted(kept: Kept, tmp_path: Path) -> None:
    for path in (kept.folder / "licenses").iterdir():
        path.unlink()


def notes_edited(kept: Kept, tmp_path: Path) -> None:
    for path in (kept.folder / "licenses").iterdir():
        said = json.loads(path.read_bytes())
        path.write_text(json.dumps({**said, "seen": said["seen"] - 1}))


def notes_of_no_form(kept: Kept, tmp_path: Path) -> None:
    for path in (kept.folder / "licenses").iterdir():
        path.write_text('{"signer":1,"seen":-1e999,"mac":[]}')


@pytest.mark.parametrize(
    "spoil",
    [
        another_machine, no_machine, another_file, a_short_file, another_license, a_license_changed,
        signed_by_the_viewer, notes_deleted, notes_edited, notes_of_no_form,
    ],
)  # fmt: skip
def test_what_does_not_belong_together_opens_nothing(
    kept: Kept, tmp_path: Path, spoil: Callable[[Kept, Path], None]
) -> None:
    assert kept.play() == 0
    spoil(kept, tmp_path)
    assert kept.play() == 4
    assert kept.told[-1].startswith("This does not open: ")


def test_a_player_that_fails_is_told_of(kept: Kept) -> None:
    assert kept.play("false") == 1
    assert kept.told == ["The player ended with code 1."]


def test_without_a_license_it_says_what_to_do(kept: Kept) -> None:
    license_path(kept.file).unlink()
    assert kept.play() == 1
    assert "--offline" in kept.told[-1]


@given(st.binary(max_size=400))
def test_any_bytes_are_no_license(data: bytes) -> None:
    with pytest.raises(BadLicense):
        read(data)


def test_the_player_is_the_first_there_is_or_the_one_that_is_named() -> None:
    assert player_command(None, lambda name: name if name == "vlc" else None)[0] == "vlc"
    assert player_command(None, lambda name: name)[0] == "mpv"
    assert list(player_command("mpv --fs", lambda name: name)) == ["mpv", "--fs"]
    assert player_command("none", lambda name: None) == ()
    for wanted in (None, "mpv", "", "'"):
        with pytest.raises(click.UsageError):
            player_command(wanted, lambda name: None)


def test_the_user_s_folder_is_where_the_desktop_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert user_folder() == tmp_path / ".local" / "share" / "sluice"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification has such a value ignored
    assert user_folder() == tmp_path / ".local" / "share" / "sluice"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "sluice"


def test_a_device_s_key_is_made_once(tmp_path: Path) -> None:
    one, other = (Device.load(tmp_path, make=True) for _ in range(2))
    assert one.public_jwk == other.public_jwk
    assert isinstance(one.key, X25519PrivateKey)
    (tmp_path / "device.json").write_text("[]")
    with pytest.raises(BadLicense):
        Device.load(tmp_path, make=True)
