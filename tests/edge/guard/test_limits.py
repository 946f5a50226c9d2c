"""How long, how much, how many: the numbers are the promised ones, and are counted right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.clients import networks
from edge.guard.crowd import Crowd
from edge.guard.due import BodyTime
from edge.guard.limits import FIELDS, HEAD_BYTES, Limits


def test_t11_f22_the_limits_we_serve_with() -> None:
    limits = Limits()
    assert (HEAD_BYTES, FIELDS) == (32 << 10, 100)
    assert (limits.head_s, limits.body_s, limits.body_rate, limits.stall_s) == (10, 10, 1024, 30)
    assert limits.idle_s == 60 and limits.look_every_s <= 5
    assert limits.head_s + limits.look_every_s <= 15
    assert limits.body_credit_s + limits.look_every_s <= 30
    assert limits.write_buffer <= 256 << 10


@given(st.floats(1024, 1e9), st.integers(2, 60))
def test_a_body_at_or_above_the_rate_is_never_late(rate: float, seconds: int) -> None:
    time = BodyTime(Limits(), 0)
    for now in range(1, seconds):
        assert now <= time.due
        time.came(int(rate), now)


def test_t11_a_body_that_trickles_or_stops_is_late() -> None:
    limits = Limits()
    trickle = BodyTime(limits, 0)
    for now in range(1, 21):
        trickle.came(512, now)
    assert trickle.due == 20
    stopped = BodyTime(limits, 0)
    stopped.came(1 << 30, 5)
    assert stopped.due == 5 + limits.body_credit_s


def test_time_in_which_we_did_not_read_is_not_the_clients() -> None:
    time = BodyTime(Limits(), 0)
    time.waited_for_us(100)
    assert time.due == 110


def test_one_client_has_no_more_connections_than_its_share() -> None:
    crowd = Crowd(Limits(connections=100, connections_per_client=10), networks(["10.0.0.0/8"]))
    names = [crowd.enter("192.0.2.1") for _ in range(10)]
    assert crowd.over(names[-1]) == ""
    names.append(crowd.enter("::ffff:192.0.2.1"))
    assert crowd.over(names[-1]) == "too_many" and not crowd.far_over(names[-1])
    names += [crowd.enter("192.0.2.1") for _ in range(8)]
    assert crowd.over(names[-1]) == "too_many" and not crowd.far_over(names[-1])
    names.append(crowd.enter("192.0.2.1"))
    assert crowd.far_over(names[-1])
    assert crowd.over(crowd.enter("192.0.2.2")) == ""
    for name in names:
        crowd.leave(name)
    assert crowd.over(crowd.enter("192.0.2.1")) == ""
    for _ in range(50):
        assert crowd.over(crowd.enter("10.1.2.3")) == ""  # a proxy speaks for many


def test_one_ipv6_network_is_one_client() -> None:
    crowd = Crowd(Limits(connections_per_client=2))
    found = [crowd.over(crowd.enter(f"2001:db8::{i:x}")) for i in range(1, 5)]
    assert found == ["", "", "too_many", "too_many"]
    assert crowd.over(crowd.enter("2001:db8:0:1::1")) == ""


def test_all_together_have_no_more_than_the_whole() -> None:
    crowd = Crowd(Limits(connections=10))
    found = [crowd.over(crowd.enter(f"192.0.2.{i}")) for i in range(12)]
    assert found == [""] * 10 + ["unavailable"] * 2
    assert not crowd.far_over("")
    for _ in range(8):
        crowd.enter("192.0.2.99")
    assert crowd.far_over("") and crowd.total == 20


@pytest.mark.parametrize("host", ["", "unix:", "fe80::1%eth0"])
def test_odd_addresses_are_counted_in_the_whole_only_or_as_themselves(host: str) -> None:
    crowd = Crowd(Limits())
    crowd.leave(crowd.enter(host))
    assert crowd.total == 0
