"""Which server of a cluster has a key: addresses as settings have them, and what CLUSTER SLOTS answers."""

from typing import Any

import pytest

from edge.cache.slot_table import SLOTS, ClusterAddress, is_cluster, read_slots, slot_of


@pytest.mark.parametrize(
    ("url", "seeds", "first"),
    [
        ("redis+cluster://a:1,b:2", (("a", 1), ("b", 2)), "redis://a:1"),
        ("redis+cluster://a/", (("a", 6379),), "redis://a:6379"),
        (
            "rediss+cluster://u:p@a:1,b?ssl_ca_certs=/x",
            (("a", 1), ("b", 6379)),
            "rediss://u:p@a:1?ssl_ca_certs=/x",
        ),
        ("redis+cluster://:p%40@[::1]:7", (("::1", 7),), "redis://:p%40@[::1]:7"),
    ],
)
def test_an_address_names_some_servers_and_what_goes_for_all(
    url: str, seeds: tuple[tuple[str, int], ...], first: str
) -> None:
    assert is_cluster(url)
    found = ClusterAddress.parse(url)
    assert found.seeds == seeds
    assert found.url(seeds[0]) == first


@pytest.mark.parametrize(
    "url",
    ["redis://a", "redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a:x", "redis+cluster://a/1"],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        ClusterAddress.parse(url)


def test_slots_are_those_of_the_specification() -> None:
    assert slot_of("123456789") == 0x31C3  # the specification's own example of its CRC16
    assert slot_of("{user1000}.following") == slot_of("{user1000}.followers") == slot_of("user1000")
    assert slot_of("foo{}{bar}") != slot_of("bar")


def test_the_table_has_the_primary_of_each_slot() -> None:
    told = [
        [0, 9, [b"10.0.0.1", 6379, b"id", []], [b"10.0.0.9", 6379, b"id"]],
        [11, SLOTS - 1, [b"", 7000, b"id"]],
    ]
    found = read_slots(told, ("seed", 1))
    assert found[0] == found[9] == ("10.0.0.1", 6379)
    assert found[10] is None
    assert found[11] == found[-1] == ("seed", 7000)
    assert len(found) == SLOTS


@pytest.mark.parametrize(
    "told", [None, b"", {}, [1], [[0]], [[0, SLOTS, [b"a", 1]]], [[0, 1, None]], [[0, 1, [b"a", b"x"]]]]
)
def test_what_is_no_table_is_a_value_error(told: Any) -> None:
    with pytest.raises(ValueError):
        read_slots(told, ("seed", 1))
