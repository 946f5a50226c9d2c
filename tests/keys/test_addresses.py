"""Which addresses are public: every spelling of a private one is refused (T17)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.addresses import allowed, parsed, public

PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0"),
    *("fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("::ffff:169.254.169.254", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1"),
    *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::", "2001:0:7f00:1::", "100::1", "fec0::1", "4000::1"),
]
NO_ADDRESS = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "", "127.0.0.1 ", "1.2.3.4/8"]


@pytest.mark.parametrize("address", PRIVATE + NO_ADDRESS)
def test_t17_what_is_not_public_is_refused_in_every_spelling(address: str) -> None:
    assert not public(address)
    assert not allowed(address)


PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert public(address)


def test_a_network_the_operator_names_may_be_reached_besides() -> None:
    besides = [ipaddress.ip_network("10.0.0.0/8")]
    assert (
        allowed("10.1.2.3", besides) and allowed("::ffff:10.1.2.3", besides) and allowed("1.1.1.1", besides)
    )
    assert not allowed("127.0.0.1", besides) and not allowed("localhost", besides)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_counts_as_itself(address: ipaddress.IPv4Address) -> None:
    plain = public(str(address))
    assert public(f"::ffff:{address}") is plain
    assert public(str(ipaddress.IPv6Address((0x64FF9B << 96) | int(address)))) is plain
    assert public(str(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80)))) is plain


@given(st.text(max_size=30))
def test_any_text_is_answered(text: str) -> None:
    assert public(text) in (True, False) and (parsed(text) is not None or not public(text))
