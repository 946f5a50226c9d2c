"""What a cache says of itself, after what came (RFC 9211, RFC 8586, RFC 9209; T22, H21)."""

import pytest

from edge.http.status import (
    CacheStatus,
    loops,
    with_cache_status,
    with_cdn_loop,
    with_proxy_status,
    with_via,
)
from tests.edge.http.exchange import lines

SAID: list[tuple[CacheStatus, bytes]] = [
    (CacheStatus(hit=True), b"edge; hit"),
    (CacheStatus(hit=True, ttl=376), b"edge; hit; ttl=376"),
    (
        CacheStatus(hit=True, ttl=-412, detail="stale while renewed"),
        b'edge; hit; ttl=-412; detail="stale while renewed"',
    ),
    (CacheStatus(fwd="uri-miss", stored=True), b"edge; fwd=uri-miss; stored"),
    (CacheStatus(fwd="stale", fwd_status=304), b"edge; fwd=stale; fwd-status=304"),
    (CacheStatus(fwd="uri-miss", collapsed=True), b"edge; fwd=uri-miss; collapsed"),
    (CacheStatus(fwd="miss", collapsed=False, detail="l2"), b"edge; fwd=miss; collapsed=?0; detail=l2"),
    (CacheStatus(hit=True, ttl=10**20), b"edge; hit; ttl=999999999999999"),
]


@pytest.mark.parametrize(("status", "text"), SAID)
def test_a_cache_status_is_a_list_member(status: CacheStatus, text: bytes) -> None:
    assert status.write("edge") == text


def test_members_of_caches_nearer_the_origin_stay_before_ours() -> None:
    fields = lines("Cache-Status: Shield; fwd=uri-miss; stored\nX: 1")
    found = with_cache_status(fields, "edge-fra", CacheStatus(hit=True))
    assert found == lines("X: 1\nCache-Status: Shield; fwd=uri-miss; stored, edge-fra; hit")
    assert with_cache_status([], "edge 1", CacheStatus(hit=True)) == [(b"cache-status", b'"edge 1"; hit')]


def test_via_names_each_hop() -> None:
    assert with_via(lines("Via: 1.0 fred"), "edge") == lines("Via: 1.0 fred, 1.1 edge")


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ("", 0),
        ("CDN-Loop: other.example", 0),
        ("CDN-Loop: edge.example", 1),
        ("CDN-Loop: EDGE.example; hop=1", 1),
        ('CDN-Loop: other; x="edge.example, edge.example", edge.example;y', 1),
        ("CDN-Loop: edge.example\nCDN-Loop: a, edge.example", 2),
        ("CDN-Loop: edge.example.org, xedge.example", 0),
        ("CDN-Loop: ;, edge.example", 1),
    ],
)
def test_t22_a_loop_is_counted_by_our_own_name(fields: str, times: int) -> None:
    assert loops(lines(fields), "edge.example") == times


def test_t22_what_came_of_cdn_loop_is_passed_on() -> None:
    found = with_cdn_loop(lines("CDN-Loop: a; hop=1\nX: 1\nCDN-Loop: b"), "edge.example")
    assert found == lines("X: 1\nCDN-Loop: a; hop=1, b, edge.example")


def test_an_error_of_ours_says_which() -> None:
    assert with_proxy_status([], "edge", "connection_refused") == [
        (b"proxy-status", b"edge; error=connection_refused")
    ]
    found = with_proxy_status(lines("Proxy-Status: shield"), "edge", "dns_error", 'no "such" host')
    assert found == [(b"proxy-status", b'shield, edge; error=dns_error; details="no \\"such\\" host"')]
