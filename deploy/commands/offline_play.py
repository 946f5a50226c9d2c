"""`sluice fetch --play`: an encrypted file under its license, decrypted in memory for a player here.

The player gets the address of a server on 127.0.0.1, whose path nobody can guess and which answers ranges of
the plain file. The license is looked at before every record, by the later of the wall clock and what has
passed since the beginning, so turning the clock back meanwhile wins nothing; and every 15 seconds, to stop
the player when its time is over. Nothing is written to the disk but the latest time seen.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from deploy.commands.offline_device import Device, license_path
from deploy.commands.offline_serve import Film, Server
from keys import offline
from keys.ece import BadCoding
from keys.offline import BadLicense

PLAYERS: Final[tuple[tuple[str, ...], ...]] = (
    ("mpv",),
    ("vlc", "--play-and-exit"),
    ("ffplay", "-autoexit"),
)
NONE: Final = "none"
LOOK_EVERY_S: Final = 15.0
ENDS_S: Final = 5.0  # how long a player may take to end when it is told to

FORBIDDEN, OVER, NOT_GOOD, INTERRUPTED = 4, 5, 8, 130  # exit codes
SENTENCES: Final = {
    offline.OVER: "The license is over: `sluice fetch --offline` with a new link renews it.",
    offline.NOT_YET: "The license is not good yet by this machine's clock: is the clock right?",
    offline.TURNED_BACK: "This machine's clock is behind a time it has shown before: set it right.",
}
CODES: Final = {offline.OVER: OVER, offline.NOT_YET: NOT_GOOD, offline.TURNED_BACK: NOT_GOOD}

Clock = Callable[[], float]
Told = Callable[[str], None]


class Watch:
    """Whether a license is good now, and the latest time seen. Not to be had for a license that is not."""

    def __init__(self, device: Device, answer: bytes, now: Clock, clock: Clock) -> None:
        """`now` is wall time, `clock` monotonic. BadLicense for a license this machine does not have."""
        self._device = device
        self.license, self.key, self._noted = device.open(answer)
        self._now = now
        self._clock = clock
        self._began = now(), clock()

    def standing(self) -> str:
        """As `keys.offline.standing`, by the later of the two clocks. Safe in any thread; writes nothing."""
        wall, passed = self._began[0], self._clock() - self._began[1]
        return offline.standing(self.license, max(self._now(), wall + passed), self._noted.seen)

    def note(self) -> None:
        """Writes down the time, if it is the latest. For one thread."""
        wall, passed = self._began[0], self._clock() - self._began[1]
        self._noted = self._device.see(self.license, self._noted, max(self._now(), wall + passed))


def play(
    file: Path,
    player: str | None,
    folder: Path,
    told: Told,
    now: Clock = time.time,
    clock: Clock = time.monotonic,
) -> int:
    """Plays the file; the exit code. `folder` is where this user's key is."""
    try:
        watch = Watch(Device.load(folder, make=False), license_path(file).read_bytes(), now, clock)
        standing = watch.standing()
        watch.note()
        if standing != offline.GOOD:
            told(SENTENCES[standing])
            return CODES[standing]
        film = Film(file, watch.license, watch.key, lambda: watch.standing() == offline.GOOD)
    except FileNotFoundError as error:
        told(f"There is no {error.filename}: `sluice fetch LINK --offline` keeps a file and its license.")
        return 1
    except (BadLicense, BadCoding) as error:
        told(f"This does not open: {error}.")
        return FORBIDDEN
    except OSError as error:
        told(f"{error}.")
        return 1
    with film:
        command = player_command(player, shutil.which)
        with Server(film) as server:
            return _with_player(command, server.url, watch, told)


def player_command(wanted: str | None, which: Callable[[str], str | None]) -> Sequence[str]:
    """The words a player is started with; none: nobody is started. UsageError when there is none."""
    if wanted == NONE:
        return ()
    if wanted is not None:
        try:
            given = shlex.split(wanted)
        except ValueError as error:
            raise click.UsageError(f"--player: {error}.") from error
        if not given or which(given[0]) is None:
            raise click.UsageError(f"There is no player {wanted}.")
        return given
    for words in PLAYERS:
        if which(words[0]) is not None:
            return words
    raise click.UsageError("No mpv, vlc or ffplay is on the PATH: name a player with --player.")


def _with_player(command: Sequence[str], url: str, watch: Watch, told: Told) -> int:
    """Waits for the player's end, the license's, or Ctrl-C."""
    if not command:
        click.echo(url)
    try:
        running = _Player([*command, url]) if command else _Nobody()
    except OSError as error:
        raise click.UsageError(f"The player does not start: {error}.") from error
    try:
        while not running.ended(LOOK_EVERY_S):
            watch.note()
            standing = watch.standing()
            if standing != offline.GOOD:
                running.stop()
                told(SENTENCES[standing])
                return CODES[standing]
    except KeyboardInterrupt:
        running.stop()
        return 0 if not command else INTERRUPTED
    except OSError as error:  # the time cannot be noted
        running.stop()
        told(f"{error}.")
        return 1
    finally:
        with suppress(OSError):
            watch.note()
    if running.code:
        told(f"The player ended with code {running.code}.")
    return 1 if running.code else 0


class _Player:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command)

    def ended(self, within_s: float) -> bool:
        """Whether it ends within that time."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def code(self) -> int:
        """What it ended with."""
        return self._process.returncode

    def stop(self) -> None:
        """Ends it, whether it wants to or not."""
        self._process.terminate()
        if not self.ended(ENDS_S):
            self._process.kill()
            self._process.wait()


class _Nobody:
    """Somebody plays it, whom nobody here knows."""

    code = 0

    def ended(self, within_s: float) -> bool:
        """Never."""
        time.sleep(within_s)
        return False

    def stop(self) -> None:
        """Nothing is to be ended."""
