"""Where a session is and whether it goes on from there: bounded, and right where a worker sees a part."""

from random import Random

import pytest

from edge.deliver.course import NUMBERS, RENDITIONS, Courses, Step

NOW = 1000.0


def steps(courses: Courses, *wishes: tuple[str, int], every_s: float = 2.0, sid: str = "s") -> list[Step]:
    return [
        courses.step(sid, rendition, number, 4.0, NOW + n * every_s)
        for n, (rendition, number) in enumerate(wishes)
    ]


def test_who_watches_on_is_never_apart_and_has_nothing_again() -> None:
    found = steps(Courses(), *(("720p", n) for n in range(50)))
    assert [step.position_s for step in found] == [4.0 * (n + 1) for n in range(50)]
    assert not any(step.again or step.apart for step in found)


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16, 64])
def test_a_worker_that_sees_a_part_of_the_requests_takes_nobody_for_apart(workers: int) -> None:
    """A burst at once and double speed after it, each segment at whichever worker."""
    chance = Random(workers)
    courses = [Courses() for _ in range(workers)]
    apart = 0
    for number in range(1500):
        at = NOW + max(0, number - 75) * 2.0
        apart += chance.choice(courses).step("s", "720p", number, 4.0, at).apart
    assert apart <= 15, "a hundredth: a third and more makes a signal"


@pytest.mark.parametrize(
    ("to", "apart"), [(98, False), (93, False), (110, False), (92, True), (0, True), (140, True)]
)
def test_a_seek_is_apart_once(to: int, apart: bool) -> None:
    before, there, on = steps(Courses(), ("720p", 99), ("720p", to), ("720p", to + 1))
    assert (before.apart, there.apart, on.apart) == (False, apart, False)


def test_from_two_places_in_turns_is_apart_all_the_time() -> None:
    found = steps(Courses(), *((("720p", n // 2 + 500 * (n % 2))) for n in range(40)))
    assert [step.apart for step in found] == [False] + [True] * 39


def test_again_is_what_it_had_in_another_rendition_and_not_in_this_one() -> None:
    found = steps(
        Courses(), ("720p", 5), ("720p", 5), ("480p", 5), ("480p", 5), ("240p", 5), ("720p", 5), ("480p", 6)
    )
    assert [step.again for step in found] == [False, False, True, False, True, False, False]


def test_sessions_are_apart_from_each_other_and_the_longest_unseen_are_forgotten() -> None:
    courses = Courses(most=3)
    for sid in "abcad":
        steps(courses, ("720p", 1), sid=sid)
    assert len(courses) == 3
    assert steps(courses, ("480p", 1), sid="a")[0].again
    assert not steps(courses, ("480p", 1), sid="b")[0].again, "it was forgotten"


def test_memory_is_bounded_whatever_is_asked_for() -> None:
    courses = Courses()
    steps(courses, *((f"r{n}", n * 9999) for n in range(200)))
    had = courses._courses["s"].had
    assert len(had) == RENDITIONS and all(bits < 1 << NUMBERS for bits in had.values())
