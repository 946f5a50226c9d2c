"""How long a plain edge waits for its origins, and what may be said of it."""

import pytest

from deploy.layers import SettingError
from deploy.plain import PATIENT_S, Plain, wanted
from deploy.settings import Settings
from edge.zone.zone import FIRST_BYTE_S

ONE, TWO = "/=http://127.0.0.1:8000", "/two/=http://127.0.0.1:8000,http://127.0.0.1:8001"


def asked(first_byte: str | None) -> Plain:
    return wanted([ONE, TWO], None, Settings(), alone=True, first_byte=first_byte)


def test_a_zones_only_origin_is_waited_for_and_one_of_several_is_left_early() -> None:
    assert [zone.first_byte_s for zone in asked(None).zones] == [PATIENT_S, FIRST_BYTE_S]


def test_what_is_said_counts_for_every_zone() -> None:
    assert [zone.first_byte_s for zone in asked("90s").zones] == [90, 90]


@pytest.mark.parametrize("text", ["0", "soon", "11m", ""])
def test_a_limit_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(SettingError, match="first-byte: "):
        asked(text)


def test_it_is_for_plain_edges_only() -> None:
    with pytest.raises(SettingError, match="give --plain"):
        wanted([], None, Settings(), alone=False, first_byte="5s")
