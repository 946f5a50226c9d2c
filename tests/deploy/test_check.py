"""The parts of `sluice demo --check` that decide: what counts as equal, as once, as slowed, as shown."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.counters import read_counters
from deploy.demo.check.faults import _stopped
from deploy.demo.check.frames import Decoded, difference
from deploy.demo.check.ledger import Ledger, stored_slices
from deploy.demo.check.players import Player
from deploy.demo.check.refusals import _altered
from deploy.demo.check.report import FIELDS, NotShown, Report
from deploy.demo.check.ripper import Rip, bound_s, film_s
from keys.pace import Pace
from origin.media.seal import SLICE, TAG, sealed_length, slice_count

FRAMEMD5 = """#format: frame checksums
#dimensions 0: 640x360
0,          0,          0,        1,   345600, aaaa
1,       1024,       1024,     1024,     4096, bbbb
0,          1,          1,        1,   345600, cccc
"""


def test_frames_are_read_by_stream_in_order() -> None:
    decoded = Decoded()
    for line in FRAMEMD5.splitlines():
        decoded.take(line)
    assert (decoded.video, decoded.audio) == (["aaaa", "cccc"], ["bbbb"])


@pytest.mark.parametrize(
    ("got", "first"), [("abc", 3), ("abxd", 2), ("abdc", 2), ("", 0), ("abcde", 4), ("bcd", 0)]
)
def test_a_missing_altered_swapped_or_further_frame_is_a_difference(got: str, first: int) -> None:
    assert difference("abcd", "abcd") == ""
    assert difference(got, "abcd").endswith(f"is number {first}")


async def test_a_player_that_ends_well_without_a_frame_has_played_nothing(tmp_path: Path) -> None:
    """ffmpeg leaves out what it cannot get and exits with 0; only frames count."""
    silent = tmp_path / "ffmpeg"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    player = Player(str(silent), "http://127.0.0.1:9/", 0, sound=True)
    await player.play(10)
    assert player.decoded == Decoded()
    assert difference(player.decoded.video, ["aaaa"]) != ""


async def test_a_player_that_hangs_is_ended_and_says_so(tmp_path: Path) -> None:
    stuck = tmp_path / "ffmpeg"
    stuck.write_text('#!/bin/sh\ncase "$*" in *demuxer*) exit 0;; esac\nexec sleep 60\n')
    stuck.chmod(0o755)
    player = Player(str(stuck), "http://127.0.0.1:9/", 0, sound=False)
    async with asyncio.timeout(20):
        await player.play(0.2)
    assert "not done" in player.words


@pytest.mark.parametrize("length", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
def test_slices_are_counted_as_they_are_stored(length: int) -> None:
    assert stored_slices(sealed_length(length)) == slice_count(length)
    assert sealed_length(length) - length == TAG * slice_count(length)


@pytest.mark.parametrize(
    ("requests", "sent", "holds"),
    [
        (50, 1000, True),
        (61, 1019, True),
        (62, 1000, False),
        (50, 1021, False),
        (50, 979, False),
        (0, 1000, False),
    ],
)
def test_the_ledger_holds_for_one_copy_in_no_more_requests_than_slices(
    requests: int, sent: int, holds: bool
) -> None:
    assert Ledger(requests, sent, 61, 1000).holds() is holds


def test_the_ripper_s_bound_is_that_of_the_pace() -> None:
    assert bound_s(Pace(20, 2, 8, 10), 25) == pytest.approx(20 + 80 + 2.13 * 25)
    assert bound_s(Pace(), 3600) == pytest.approx(300 + 80 + 2.13 * 3600)
    assert not Rip(1, 101.0, 10, 100.0).within and Rip(1, 100.0, 10, 100.0).within
    assert film_s(Pace(20, 2, 8, 10)) > bound_s(Pace(20, 2, 8, 10), 25)
    with pytest.raises(NotShown, match="slows nobody"):
        film_s(Pace(burst_s=1e5))


def test_an_altered_link_differs_in_its_claims_only() -> None:
    link = "http://e/v;URISigningPackage=aa.bbbb.cc/film/main.m3u8"
    assert _altered(link) == "http://e/v;URISigningPackage=aa.bbAb.cc/film/main.m3u8"


def test_counters_are_summed_over_labels() -> None:
    text = '# HELP a b\nsluice_x_total{edge="1"} 2.0\nsluice_x_total{edge="2"} 3\nsluice_l1_y 1e+06\n'
    assert read_counters(text) == {"sluice_x_total": 5.0, "sluice_l1_y": 1e6}


def test_a_report_names_what_failed_and_always_has_all_fields() -> None:
    assert not Report().ok, "nothing was shown"
    report = Report()
    report.found("frames", "all arrive", True, "20", "20")
    assert report.to_json()["ok"]
    report.found("ripper", "is slowed", False, "200 s", "≤ 100 s")
    report.broke("refusals", "The origin does not answer.")
    told = report.to_json()
    assert told["failed"] == ["ripper", "refusals"] and not told["ok"]
    assert told["trouble"]["refusals"] == "The origin does not answer."
    assert all(told[name] is None for name in FIELDS)


def test_what_was_stopped_goes_on_even_when_the_check_is_killed() -> None:
    """The guard outlives whoever stopped the process."""
    with subprocess.Popen(["sleep", "60"]) as victim:
        script = (
            "import sys, time; from deploy.demo.check.faults import _stopped\n"
            "with _stopped(int(sys.argv[1])):\n    print('stopped', flush=True); time.sleep(60)"
        )
        argv = [sys.executable, "-c", script, str(victim.pid)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == "stopped\n"
            _wait_for_state(victim.pid, "T")
            holder.send_signal(signal.SIGKILL)
        _wait_for_state(victim.pid, "S")
        with _stopped(victim.pid):
            _wait_for_state(victim.pid, "T")
        _wait_for_state(victim.pid, "S")
        os.kill(victim.pid, signal.SIGKILL)


def _wait_for_state(pid: int, wanted: str) -> None:
    for _ in range(200):
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == wanted:
            return
        signal.sigtimedwait([], 0.05)
    raise AssertionError(f"process {pid} did not come to state {wanted}")
