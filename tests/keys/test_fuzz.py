"""F33 for tokens: 100,000 of them gone wrong. Each is refused for one of the reasons there are, at once."""

import contextlib
import random
from collections import Counter

import pytest

from keys.container import canonical_uri, split_token
from keys.opening import opened_scope
from keys.problems import Problem
from keys.tokens import Refused, VerifiedTokens
from tests.support.forge import GOOD, NOW, TRUST, URI, payload
from tests.support.hang import Hang, at_most
from tests.support.mutants import forged_token, mutated_target, odd_token

CASES = 100_000
REASONS = {400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 500}


def test_a_hang_would_be_noticed() -> None:
    with pytest.raises(Hang), at_most(0.05):
        while True:
            pass


@pytest.mark.heavy
def test_f33_t3_a_hundred_thousand_odd_tokens_are_refused_without_a_crash_or_a_hang() -> None:
    source, tokens = random.Random(9246), VerifiedTokens(TRUST)
    seen: Counter[int] = Counter()
    with at_most(1) as step:
        for case in range(CASES):
            forged = case % 4 != 0  # signing and checking the others takes most of the time
            text = (forged_token if forged else odd_token)(source)
            step()
            try:
                claims = tokens.verify(text, URI, NOW)
            except Refused as refused:
                assert refused.problem().status == 403, case
                seen[refused.reason] += 1
                continue
            assert claims.exp > NOW >= claims.nbf, case
            assert not forged or claims.raw == payload(), (case, text)
            seen[200] += 1
    assert set(seen) - {200} <= REASONS
    assert len(seen) > 10, "the cases are too much alike to say anything"


@pytest.mark.heavy
def test_f33_t5_a_hundred_thousand_odd_uris_match_exactly_or_not_at_all() -> None:
    source, tokens = random.Random(3986), VerifiedTokens(TRUST)
    seen: Counter[str] = Counter()
    with at_most(1) as step:
        for _ in range(CASES):
            uri = "http://edge.example:8010" + mutated_target(source, b"J.J.J").decode("latin-1")
            step()
            seen[_asked(tokens, uri)] += 1
    assert min(seen[name] for name in ("no URI", "another", "the signed one")) > 100, seen


def _asked(tokens: VerifiedTokens, uri: str) -> str:
    """What a URI is found to be. Nothing but the signed one may be allowed, in whatever spelling."""
    try:
        plain, _ = split_token(uri)
        canonical = canonical_uri(plain)
    except ValueError:
        return "no URI"
    assert canonical_uri(canonical) == canonical, uri
    with contextlib.suppress(Problem):
        assert opened_scope(plain).asset in canonical, uri
    try:
        tokens.verify(GOOD, plain, NOW)
    except Refused as refused:
        assert refused.reason == 411, uri
        return "another"
    assert canonical == URI, uri
    return "the signed one"
