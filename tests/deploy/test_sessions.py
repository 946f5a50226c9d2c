"""`sluice sessions` on terminals: what an operator copies is never cut, and nothing wraps."""

import io

import pytest
from rich.console import Console

from deploy import units
from deploy.commands.links import NARROW, sessions_table

SID = "R-BcGzf59kM3wJd4ksKrdg"
SESSION = {
    "sid": SID,
    "asset": "a-very-long-name-of-a-film-as-people-name-them",
    "viewer": "customer-4711-with-a-long-name@example.org",
    "client_ip": "2001:db8:85a3:8d3:1319:8a2e:370:7348",
    "last_seen": 1000.0,
    "requests": 1234,
    "bytes": 999_900_000,
    "media_s": 7384.0,
    "state": "revoked",
    "ripper": {"score": 75, "signals": {"ahead": 25}, "acted": "revoke"},
}


@pytest.mark.parametrize("width", [80, NARROW - 1, NARROW, 200])
def test_a_session_is_one_line_with_its_whole_id(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(sessions_table([SESSION, {**SESSION, "viewer": None}], 1540.0, narrow=width < NARROW))
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    assert len(lines) == 3
    for line in lines[1:]:
        assert line.startswith(SID) and "9 min ago" in line and "999.9 MB" in line
        assert "2:03:04" in line and " 75 " in line and line.rstrip().endswith("revoked")


@pytest.mark.parametrize(("acted", "state"), [("", "live"), ("log", "live"), ("slow", "slowed")])
def test_who_is_slowed_as_a_ripper_is_shown_so(acted: str, state: str) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    ripper = {"score": 0, "signals": {}, "acted": acted}
    console.print(sessions_table([SESSION | {"state": "live", "ripper": ripper}], 1540.0, narrow=False))
    assert console.export_text().rstrip().endswith(state)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (259_200, "3 d ago")],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    assert units.human_ago(seconds) == said
