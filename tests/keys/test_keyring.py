"""Signing keys in their turn: what was signed stays good until it expires, and no longer."""

import pytest

from keys.keyring import Keyring, RingKey
from keys.signing import SigningKey

FIRST, SECOND, THIRD = (SigningKey.generate("sluice", viewer_key=False) for _ in range(3))


def kids(ring: Keyring, now: float) -> list[str]:
    return [jwk["kid"] for jwk in ring.public_jwks(now)]


def test_a_new_key_signs_while_the_old_one_is_still_believed() -> None:
    ring = Keyring.of(FIRST).rotated(SECOND, now=100, longest_token_s=50)
    assert ring.active(100) is SECOND
    assert kids(ring, 149) == [SECOND.kid, FIRST.kid]
    assert kids(ring, 150) == [SECOND.kid]


def test_a_key_is_announced_before_it_signs() -> None:
    ring = Keyring.of(FIRST).rotated(SECOND, now=100, longest_token_s=50, lead_s=10)
    assert ring.active(109) is FIRST
    assert ring.active(110) is SECOND
    assert kids(ring, 100) == [SECOND.kid, FIRST.kid]
    assert kids(ring, 159) == [SECOND.kid, FIRST.kid], "what the old one signed last is still believed"
    assert kids(ring, 160) == [SECOND.kid]
    assert Keyring.from_json(ring.to_json()).active(109).kid == FIRST.kid


def test_each_rotation_leaves_the_end_of_earlier_ones_alone() -> None:
    ring = Keyring.of(FIRST).rotated(SECOND, 100, 50).rotated(THIRD, 120, 50)
    assert kids(ring, 149) == [THIRD.kid, SECOND.kid, FIRST.kid]
    assert kids(ring, 160) == [THIRD.kid, SECOND.kid]
    assert [key.key.kid for key in ring.rotated(SigningKey.generate("sluice"), 200, 1).keys[1:]] == [
        THIRD.kid
    ]


def test_a_leaked_key_is_dropped_at_once_but_never_the_one_that_signs() -> None:
    ring = Keyring.of(FIRST).rotated(SECOND, 100, 50)
    assert kids(ring.without(FIRST.kid), 101) == [SECOND.kid]
    with pytest.raises(ValueError, match="one active"):
        ring.without(SECOND.kid)


def test_a_ring_comes_back_from_its_bytes() -> None:
    ring = Keyring.of(FIRST).rotated(SECOND, 100, 50)
    found = Keyring.from_json(ring.to_json())
    assert found.active(100).kid == SECOND.kid
    assert found.public_jwks(101) == ring.public_jwks(101)
    assert found.active(100).sign({}).count(".") == 2


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys":[]}', b'{"keys":[1]}', b'{"keys":[{"key":"AA","retires":1}]}']
)
def test_t21_a_broken_ring_is_refused_without_quoting_it(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a keyring$"):
        Keyring.from_json(data)


def test_a_ring_has_one_active_key_and_none_twice() -> None:
    with pytest.raises(ValueError, match="one active"):
        Keyring((RingKey(FIRST), RingKey(SECOND)))
    with pytest.raises(ValueError, match="twice"):
        Keyring((RingKey(FIRST), RingKey(FIRST, 100)))
