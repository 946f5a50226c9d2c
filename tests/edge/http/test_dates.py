"""HTTP-dates: three forms in any case, and nothing else (RFC 9110 §5.6.7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.dates import parse, write
from tests.edge.http.exchange import NOW

AT_2050 = 2544400878.0  # Thu, 18 Aug 2050 02:01:18 GMT

DATES = [
    ("Thu, 18 Aug 2050 02:01:18 GMT", AT_2050),
    ("Thursday, 18-Aug-50 02:01:18 GMT", AT_2050),
    ("Thu Aug 18 02:01:18 2050", AT_2050),
    ("Thu Aug  8 02:01:18 2050", AT_2050 - 10 * 86400),
    ("THU, 18 Aug 2050 02:01:18 GMT", AT_2050),
    ("Thu, 18 AUG 2050 02:01:18 GMT", AT_2050),
    ("Thu, 18 Aug 2050 02:01:18 gMT", AT_2050),
    ("Mon, 18 Aug 2050 02:01:18 GMT", AT_2050),  # not a Monday, but a day
    ("Tue, 19 Jan 2038 14:14:08 GMT", 2147523248.0),
    ("Sun, 21 Nov 2286 04:46:39 GMT", 10_000_039_599.0),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ("Friday, 01-Jan-77 00:00:00 GMT", 3376684800.0),  # 50 years on: 2077
    ("Sunday, 01-Jan-78 00:00:00 GMT", 252460800.0),  # 51 years on: 1978
    ("Fri, 31 Dec 1999 23:59:60 GMT", 946684800.0),
    ("0", None),
    ("-1", None),
    ("", None),
    ("Thu, 18 Aug 2050 02:01:18 UTC", None),
    ("Thu, 18 Aug 2050 02:01:18 AEST", None),
    ("Thu, 18 Aug 2050 02:01:18 +0000", None),
    ("Thu, 18 Aug 50 02:01:18 GMT", None),
    ("Thu 18 Aug 2050 02:01:18 GMT", None),
    ("Thu, 18  Aug  2050 02:01:18 GMT", None),
    ("Thu, 18-Aug-2050 02:01:18 GMT", None),
    ("Thu, 18 Aug 2050 02.01.18 GMT", None),
    ("Thu, 18 Aug 2050 2:01:18 GMT", None),
    ("Thu, 31 Apr 2050 02:01:18 GMT", None),
    ("Thu, 18 Aug 2050 24:01:18 GMT", None),
    ("Thu, 18 Aug 0000 02:01:18 GMT", None),
    ("Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT", None),
]


@pytest.mark.parametrize(("text", "at"), DATES)
def test_a_date_is_one_of_three_forms(text: str, at: float | None) -> None:
    assert parse(text.encode(), NOW) == at


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read(at: int) -> None:
    assert parse(write(at), NOW) == at


@given(st.binary(max_size=50))
def test_any_bytes_are_a_date_or_none(value: bytes) -> None:
    found = parse(value, NOW)
    assert found is None or found.is_integer(), "a whole second"
