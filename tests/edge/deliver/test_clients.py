"""Whose address counts: the socket's, unless a trusted proxy speaks for somebody else."""

import pytest

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
    ],
)
def test_the_nearest_untrusted_hop_is_the_client(peer: str, forwarded: list[bytes], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_a_text_that_is_no_address_is_none() -> None:
    assert address("films.example") is None


def test_a_bad_network_in_the_settings_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks(["nonsense"])
