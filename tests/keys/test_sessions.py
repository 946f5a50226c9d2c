"""When a link opens a session: every case."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.limits import Limits
from keys.sessions import (
    OPEN_AGAIN_S,
    OVER,
    REVOKED,
    SITE_MAXIMUM_S,
    Again,
    History,
    New,
    Refuse,
    Request,
    Rules,
    Session,
    client_network,
    decide_open,
    session_end,
    session_of,
    within,
)

NOW = 1_800_000_000.25
REQUEST = Request(
    iss="site",
    kid="k1",
    link_id="link-1",
    single_use=False,
    tenant="default",
    asset="film",
    generation=3,
    viewer="anna",
    network=None,
    client_ip="198.51.100.7",
    edge="edge-1",
)
FIRST = History(used=False, recent=[])


def opened(request: Request = REQUEST, at: float = NOW) -> Session:
    return session_of(request, New(expires=int(at) + 3600), "s" * 22, bytes(32), at)


def test_a_link_opens_a_session_that_pins_the_published_generation() -> None:
    decision = decide_open(REQUEST, FIRST, Rules(), NOW)
    assert decision == New(expires=int(NOW) + SITE_MAXIMUM_S)
    assert isinstance(decision, New)
    session = session_of(REQUEST, decision, "sid", bytes(32), NOW)
    assert (session.generation, session.asset, session.viewer) == (3, "film", "anna")
    assert session.client_network == "198.51.100.0/24"


@pytest.mark.parametrize(
    ("client_ip", "later_s", "again"),
    [
        ("198.51.100.7", 0.0, True),
        ("198.51.100.250", OPEN_AGAIN_S - 0.01, True),
        ("::ffff:198.51.100.8", 1.0, True),
        ("198.51.100.7", OPEN_AGAIN_S, False),
        ("198.51.101.7", 1.0, False),
        ("2001:db8::1", 1.0, False),
    ],
)
def test_a_link_opened_again_from_its_network_within_a_minute_gives_the_same_session(
    client_ip: str, later_s: float, again: bool
) -> None:
    first = opened()
    request = replace(REQUEST, client_ip=client_ip)
    decision = decide_open(request, History(True, [first]), Rules(), NOW + later_s)
    assert (decision == Again(first)) is again


def test_ipv6_clients_are_one_by_their_64_bit_network() -> None:
    first = opened(replace(REQUEST, client_ip="2001:db8:1:2::1"))
    near = replace(REQUEST, client_ip="2001:db8:1:2:ffff::9")
    far = replace(REQUEST, client_ip="2001:db8:1:3::1")
    assert isinstance(decide_open(near, History(True, [first]), Rules(), NOW + 1), Again)
    assert isinstance(decide_open(far, History(True, [first]), Rules(), NOW + 1), New)


def test_another_asset_of_the_same_link_is_another_session() -> None:
    decision = decide_open(replace(REQUEST, asset="other"), History(True, [opened()]), Rules(), NOW + 1)
    assert isinstance(decision, New)


def test_a_revoked_or_ended_session_is_not_given_again() -> None:
    for ended in (replace(opened(), state=REVOKED), replace(opened(), expires=int(NOW))):
        assert isinstance(decide_open(REQUEST, History(True, [ended]), Rules(), NOW + 1), New)


def test_t2_a_single_use_link_opens_once_and_is_forgiven_its_own_reload() -> None:
    once = replace(REQUEST, single_use=True)
    first = opened(once)
    used = History(True, [first])
    assert isinstance(decide_open(once, FIRST, Rules(), NOW), New)
    assert decide_open(once, used, Rules(), NOW + 1) == Again(first)
    stranger = replace(once, client_ip="203.0.113.5")
    for request, later_s in ((stranger, 1.0), (once, OPEN_AGAIN_S), (replace(once, asset="b"), 1.0)):
        decision = decide_open(request, used, Rules(), NOW + later_s)
        assert isinstance(decision, Refuse)
        assert decision.code == "limit"


def test_t1_openings_of_a_link_are_capped_by_the_minute() -> None:
    rules = Rules(opens_per_minute=3)
    recent = [
        opened(replace(REQUEST, client_ip=f"10.0.{n}.1"), NOW - at) for n, at in enumerate((59.9, 30, 1))
    ]
    stranger = replace(REQUEST, client_ip="10.9.9.9")
    assert decide_open(stranger, History(True, recent), rules, NOW) == Refuse(
        "limit", "more than 3 opens a minute", "opens"
    )
    assert isinstance(decide_open(stranger, History(True, recent), rules, NOW + 0.2), New)
    assert isinstance(decide_open(stranger, History(True, recent[1:]), rules, NOW), New)


@pytest.mark.parametrize(("own", "most"), [(2, 2), (9, 3), (None, 3)])
def test_a_link_may_be_stricter_than_the_site_about_openings_and_never_laxer(
    own: int | None, most: int
) -> None:
    request = replace(REQUEST, client_ip="10.9.9.9", limits=Limits(opens=own))
    recent = [opened(replace(REQUEST, client_ip=f"10.0.{n}.1"), NOW - 1) for n in range(most)]
    refused = decide_open(request, History(True, recent), Rules(opens_per_minute=3), NOW)
    assert refused == Refuse("limit", f"more than {most} opens a minute", "opens")
    assert isinstance(decide_open(request, History(True, recent[1:]), Rules(opens_per_minute=3), NOW), New)


def test_a_repeat_is_not_an_opening_for_the_cap() -> None:
    first = opened()
    assert decide_open(REQUEST, History(True, [first]), Rules(opens_per_minute=1), NOW + 1) == Again(first)


@given(cap=st.one_of(st.none(), st.integers(1, 10**9)), maximum=st.integers(1, 10**6))
def test_a_session_ends_at_the_links_cap_but_never_after_the_sites_maximum(
    cap: int | None, maximum: int
) -> None:
    end = session_end(cap, Rules(maximum_s=maximum), NOW)
    assert end == int(NOW) + min(maximum, cap or maximum)


def test_standing_is_live_then_over_and_revoked_for_good() -> None:
    session = opened()
    assert session.standing(NOW) == "live"
    assert session.standing(session.expires) == OVER
    assert replace(session, state=REVOKED).standing(session.expires) == REVOKED


@pytest.mark.parametrize(
    ("client_ip", "network", "inside"),
    [
        ("10.1.2.3", None, True),
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("::ffff:10.1.2.3", "10.1.0.0/16", True),
        ("2001:db8::1", "10.1.0.0/16", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("10.1.2.3", "10.1.2.3/32", True),
    ],
)
def test_a_bound_link_is_open_to_its_network_only(client_ip: str, network: str | None, inside: bool) -> None:
    assert within(client_ip, network) is inside


@given(st.ip_addresses())
def test_every_address_lies_in_its_own_client_network(address: object) -> None:
    assert within(str(address), client_network(str(address)))


def test_the_salt_of_a_session_does_not_print() -> None:
    assert "salt" not in repr(opened())
