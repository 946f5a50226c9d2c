"""Whose address counts: the socket's, unless a trusted proxy speaks for somebody else."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.clients import address, client_address, networks

PROXIES = networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", [b"198.51.100.1"], "192.0.2.7"),  # a stranger's header proves nothing
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff\xfe"], "10.0.0.1"),
        ("fd00::1", [b"2001:db8::9"], "2001:db8::9"),
        ("fd00::1", [b"[2001:db8::9]"], "2001:db8::9"),
        ("::ffff:10.0.0.1", [b"::ffff:198.51.100.1"], "198.51.100.1"),
        ("unix:", [b"198.51.100.1"], "unix:"),
        # ports
        ("10.0.0.1", [b"198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", [b"[2001:db8::9]:443"], "2001:db8::9"),
        ("10.0.0.1", [b"2001:db8::9:443"], "2001:db8::9:443"),
        ("10.0.0.1", [b"198.51.100.1:x"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1:123456"], "10.0.0.1"),
        # what a client may have put there before a proxy added the real one
        ("10.0.0.1", [b"127.0.0.1", b"10.0.0.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.9,,,198.51.100.1\t"], "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.9 198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9", b""], "10.0.0.1"),  # an empty line comes last: nobody is named
        ("10.0.0.1", [b"203.0.113.9,"], "10.0.0.1"),
        # garbage
        ("10.0.0.1", [b"[2001:db8::9"], "10.0.0.1"),
        ("10.0.0.1", [b"2001:db8::9]"], "10.0.0.1"),
        ("10.0.0.1", [b"[198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", [b'"198.51.100.1"'], "10.0.0.1"),
        ("10.0.0.1", [b"fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100"], "10.0.0.1"),
        ("10.0.0.1", [b"198.051.100.001"], "10.0.0.1"),
        ("10.0.0.1", [b"0xC6336401"], "10.0.0.1"),
        ("10.0.0.1", [b"3325256705"], "10.0.0.1"),
        ("10.0.0.1", ["١٩٨.51.100.1".encode()], "10.0.0.1"),
        ("10.0.0.1", [b"for=198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", [b"localhost"], "10.0.0.1"),
        ("10.0.0.1", [b"a" * 30_000], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1" + b",10.0.0.2" * 20], "10.0.0.2"),  # too long a way to believe
    ],
)
def test_the_nearest_untrusted_hop_is_the_client(peer: str, forwarded: list[bytes], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_a_text_that_is_no_address_is_none() -> None:
    assert address("films.example") is None


def test_a_bad_network_in_the_settings_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks(["nonsense"])


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from(["10.0.0.1", "192.0.2.7", "fd00::1"]))
def test_any_header_names_an_address_and_strangers_name_none(forwarded: list[bytes], peer: str) -> None:
    found = client_address(peer, forwarded, PROXIES)
    assert address(found) is not None
    assert peer != "192.0.2.7" or found == peer


@given(st.ip_addresses(), st.lists(st.ip_addresses(), max_size=4), st.booleans())
def test_what_stands_left_of_the_proxys_own_entry_changes_nothing(
    client: IPv4Address | IPv6Address, spoofed: list[IPv4Address | IPv6Address], in_one_line: bool
) -> None:
    proxy = networks(["10.0.0.1"])
    if client_address(str(client), [], ()) == "10.0.0.1":
        return
    entries = [str(each).encode() for each in (*spoofed, client)]
    forwarded = [b", ".join(entries)] if in_one_line else entries
    assert client_address("10.0.0.1", forwarded, proxy) == client_address(str(client), [], ())
