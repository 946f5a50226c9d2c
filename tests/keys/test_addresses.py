"""Which addresses are public: every spelling of another one is refused (T17). More in tests/edge/zone."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.addresses import public, reachable

NOT_PUBLIC = [
    *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a00:1"),
    *("2002:a00:1::", "2001:0:7f00:1::", "fec0::1", "4000::1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("127.1", "localhost", "", "127.0.0.1 ", "1.2.3.4/8", "2606:4700::1111%eth0", "168.63.129.16"),
]
FOR_NOBODY = ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "fe80::1", "::ffff:10.0.0.1", "localhost"]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_t17_what_is_not_public_is_no_public_address_in_any_spelling(text: str) -> None:
    assert not public(text)


def test_networks_the_operator_names_may_be_reached_and_metadata_services_never() -> None:
    everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    assert public("1.1.1.1") and public("2606:4700::1111")
    for text in ("10.1.2.3", "127.0.0.1", "::1"):
        assert not reachable(text, ()) and reachable(text, everywhere)
    for text in FOR_NOBODY:
        assert not reachable(text, everywhere)


@given(st.text(max_size=30))
def test_any_text_is_answered(text: str) -> None:
    assert public(text) in (True, False)


@given(st.ip_addresses(v=4))
def test_no_network_lets_an_address_in_that_is_for_nobody(address: ipaddress.IPv4Address) -> None:
    inside = f"::ffff:{address}"
    assert not reachable(inside, [ipaddress.ip_network("::/0")])
    assert not public(str(address)) or reachable(str(address), ())
