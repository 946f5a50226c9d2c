"""Names of slices and slice arithmetic."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.cache.slices import ObjectId, SliceId, all_slices, claim_key, sealed_span, slices_of
from origin.media.seal import SLICE, TAG, sealed_length

SEGMENT = ObjectId("default", "film", 1, "720p", "7.m4s")


def test_names_are_as_documented() -> None:
    assert SEGMENT.path() == "/v1/blobs/film/1/720p/7.m4s"
    assert SliceId(SEGMENT, 2).key() == "s:default/film/1/720p/7.m4s/2"
    assert claim_key(SEGMENT) == "c:default/film/1/720p/7.m4s"


def test_file_names_say_nothing_and_differ_by_every_part() -> None:
    others = [
        SEGMENT._replace(tenant="9"),
        SEGMENT._replace(asset="9"),
        SEGMENT._replace(generation=9),
        SEGMENT._replace(rendition="9"),
        SEGMENT._replace(name="9"),
    ]
    names = {SliceId(o, i).file_name() for o in [SEGMENT, *others] for i in (0, 1)}
    assert len(names) == 2 * (1 + len(others))
    assert all(len(name) == 64 and "film" not in name for name in names)


@given(st.integers(0, 5 * SLICE), st.integers(1, 5 * SLICE))
def test_a_range_needs_exactly_the_slices_it_touches(start: int, size: int) -> None:
    found = slices_of(start, start + size)
    assert found == range(start // SLICE, (start + size - 1) // SLICE + 1)
    assert len(slices_of(start, start)) == 0


@given(st.integers(0, 5 * SLICE))
def test_the_spans_of_all_slices_make_up_the_stored_object(length: int) -> None:
    spans = [sealed_span(range(i, i + 1), length) for i in all_slices(length)]
    assert spans[0][0] == 0
    assert spans[-1][1] == sealed_length(length)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(TAG <= stop - start <= SLICE + TAG for start, stop in spans)
