"""What operators see of a zone: counts with its name, times of its origins, what is asked for most."""

from collections import Counter

import pytest

from edge.zone.seen import HALF_S, LONGEST, Seen, shown
from edge.zone.zone import Zone


def zone(**told: object) -> Zone:
    return Zone("/z/press/", (), name="press", **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "query", "called"),
    [
        (zone(query=("w",)), "w=1", "/a?w=1"),
        (zone(query=None), "w=1&key=secret", "/a"),
        (zone(query=("w",), signed=True), "w=1", "/a"),
        (zone(query=("w",)), "", "/a"),
    ],
)
def test_an_object_is_called_by_its_path_and_by_parameters_only_where_the_zone_lists_them(
    of: Zone, query: str, called: str
) -> None:
    assert shown(of, "/a", query) == called


def test_a_name_is_bounded() -> None:
    assert len(shown(zone(), "/" + "a" * 8000, "")) == LONGEST


def test_an_answer_that_was_ready_is_counted_as_any_other() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    seen = Seen(["press"], count=lambda name, by, of: counts.update({(of, name): by}), now=lambda: 0.0)
    seen.hit("press", "/a", 10)
    seen.hit("press", "/a", 10)
    seen.sent("press", "/b", 1000)
    seen.sent("", "/c", 1)
    told = seen.tops()
    assert {name: by for (_, name), by in counts.items()} == {
        "zone_requests": 2,
        "zone_hits": 2,
        "zone_bytes": 20,
    }
    assert told == {
        "press": {
            "requests": {"total": 3, "objects": [["/a", 2, 0], ["/b", 1, 0]]},
            "bytes": {"total": 1020, "objects": [["/b", 1000, 0], ["/a", 20, 0]]},
        }
    }


def test_what_was_asked_for_long_ago_is_not_told() -> None:
    now = [0.0]
    seen = Seen(["press"], now=lambda: now[0])
    seen.sent("press", "/a", 1)
    now[0] = 3 * HALF_S
    assert seen.tops()["press"]["requests"]["objects"] == []
