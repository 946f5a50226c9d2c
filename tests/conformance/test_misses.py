"""What the cache suite's results are held against (`make cache-tests` runs the suite itself)."""

import tomllib

from tests.conformance.cache_suite import HERE, ROOT, Results, counts, unexplained

MISSES: dict[str, str] = tomllib.loads((HERE / "misses.toml").read_text())["misses"]


def test_every_miss_has_a_reason_and_stands_in_the_manual() -> None:
    page = (ROOT / "docs" / "zones.md").read_text()
    assert all(reason for reason in MISSES.values())
    assert [test for test in MISSES if f"`{test}`" not in page] == []


def test_only_what_counts_and_has_no_reason_is_a_surprise() -> None:
    results: Results = {
        "good": ("required", "a", True),
        "known": ("required", "a", ["Assertion", "no"]),
        "new": ("optimal", "a", ["Assertion", "no"]),
        "asked": ("check", "a", ["Assertion", "no"]),
        "browser": ("required", "a", None),
    }
    assert unexplained(results, {"known": "because"}) == ["new"]
    said = "cache-tests: required 1/2, optimal 0/1, check 0/1; 1 are for browsers only"
    assert counts(results) == said
