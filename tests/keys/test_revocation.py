"""The set of what was taken back: complete, never un-revoking, and aware of what it missed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.revocation import (
    KEPT_S,
    KINDS,
    LIFTED,
    Entry,
    Feed,
    RevocationSet,
    epoch_name,
    signing_key_name,
)

NOW = 1_800_000_000.0


def entry(version: int, kind: str = "sid", value: str | None = None, until: float = NOW + 60) -> Entry:
    return Entry(version, kind, value or f"s{version}", until)


def feed(version: int, *entries: Entry) -> Feed:
    return Feed(version, entries, NOW)


@pytest.mark.parametrize(
    ("kind", "value", "names"),
    [
        ("sid", "s", {"sid": "s"}),
        ("lid", "l", {"lid": "l"}),
        ("viewer", "v", {"viewer": "v"}),
        ("asset", "a", {"asset": "a"}),
        ("kid", "site/k", {"signer": ("site", "k")}),
        ("epoch", "default/1800000000", {"issued": ("default", 1_800_000_000.0)}),
    ],
)
def test_each_kind_concerns_its_own_name_only(
    kind: str, value: str, names: dict[str, str | tuple[str, str]]
) -> None:
    revoked = RevocationSet()
    assert revoked.apply(feed(1, entry(1, kind, value)))
    assert revoked.find(now=NOW, **names) == kind  # type: ignore[arg-type]
    others = {
        "sid": value,
        "lid": value,
        "viewer": value,
        "asset": value,
        "signer": (value, value),
        "issued": ("other", 0.0),
    }
    for name in names:
        del others[name]
    assert revoked.find(now=NOW, **others) is None  # type: ignore[arg-type]


def test_an_entry_counts_until_its_time_and_is_then_forgotten() -> None:
    revoked = RevocationSet()
    revoked.apply(feed(2, entry(1, until=NOW + 1), entry(2, until=NOW + 9)))
    assert revoked.find(now=NOW, sid="s1") == "sid"
    assert revoked.find(now=NOW + 1, sid="s1") is None
    assert revoked.forget(NOW + KEPT_S) == 0, "a clock that ran ahead un-revokes nothing (F24)"
    assert revoked.forget(NOW + KEPT_S + 1) == 1
    assert len(revoked) == 1


def test_the_longer_of_two_entries_for_one_name_counts() -> None:
    revoked = RevocationSet()
    revoked.apply(feed(2, entry(1, value="s", until=NOW + 9), entry(2, value="s", until=NOW + 1)))
    assert revoked.find(now=NOW + 5, sid="s") == "sid"


@pytest.mark.parametrize(
    "answer",
    [
        feed(4, entry(4)),  # 3 is missing
        feed(5, entry(3), entry(5)),  # 4 is missing
        feed(4, entry(3)),  # the end is missing
        feed(1),  # an older log
        feed(5),  # all of it is missing
    ],
)
def test_a_gap_is_noticed_and_leads_to_reading_everything(answer: Feed) -> None:
    revoked = RevocationSet()
    revoked.apply(feed(2, entry(1), entry(2)))
    assert not revoked.apply(answer)
    assert revoked.version == 0
    assert revoked.find(now=NOW, sid="s1") == "sid", "nothing is un-revoked by a gap"
    assert revoked.apply(feed(5, entry(3), entry(5)))
    assert revoked.version == 5


def test_an_empty_answer_at_the_same_version_is_whole() -> None:
    revoked = RevocationSet()
    revoked.apply(feed(2, entry(1), entry(2)))
    assert revoked.apply(feed(2))
    assert revoked.version == 2


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.text(min_size=1)), max_size=20), st.data())
def test_any_cut_of_a_log_into_answers_gives_the_same_set(
    names: list[tuple[str, str]], data: st.DataObject
) -> None:
    names = [(kind, f"default/{n}" if kind == "epoch" else value) for n, (kind, value) in enumerate(names)]
    log = [entry(n, kind, value) for n, (kind, value) in enumerate(names, 1)]
    revoked = RevocationSet()
    while revoked.version < len(log):
        upto = data.draw(st.integers(revoked.version + 1, len(log)))
        assert revoked.apply(feed(upto, *log[revoked.version : upto]))
    for kind, value in names:
        if kind == "epoch":
            assert revoked.find(now=NOW, issued=("default", 0.0)) == kind
        elif kind != "kid":
            assert revoked.find(now=NOW, **{kind: value}) == kind  # type: ignore[arg-type]


@given(st.builds(entry, st.integers(1, 2**40), st.sampled_from(KINDS[:-1]), st.text(min_size=1)))
def test_the_feed_survives_its_json(one: Entry) -> None:
    assert Feed.from_json(feed(one.version, one).to_json()) == feed(one.version, one)


def test_an_epoch_takes_back_all_of_its_tenant_that_was_issued_until_its_second_and_nothing_after() -> None:
    revoked = RevocationSet()
    revoked.apply(
        feed(2, entry(1, "epoch", epoch_name("default", NOW + 0.7)), entry(2, "epoch", "default/9"))
    )
    for issued, found in ((0.0, "epoch"), (NOW, "epoch"), (NOW + 0.9, "epoch"), (NOW + 1, None)):
        assert revoked.find(now=NOW, issued=("default", issued)) == found
    assert revoked.find(now=NOW, issued=("other", 0.0)) is None
    assert revoked.find(now=NOW + 60, issued=("default", 0.0)) is None, "its time is over"
    assert len(revoked) == 1
    revoked.forget(NOW + 61 + KEPT_S)
    assert len(revoked) == 0


@pytest.mark.parametrize("value", ["", "default", "/7", "default/", "default/x", "default/-1"])
def test_an_epoch_in_another_form_is_no_entry(value: str) -> None:
    with pytest.raises(ValueError, match="epoch"):
        Entry.from_json({"version": 1, "kind": "epoch", "value": value, "until": NOW})


@pytest.mark.parametrize(("kind", "value"), [("viewer", "anna"), ("epoch", "default/1800000000")])
def test_a_lifting_ends_what_came_before_it_and_not_what_comes_after(kind: str, value: str) -> None:
    names: dict[str, Any] = {"viewer": "anna"} if kind == "viewer" else {"issued": ("default", 0.0)}
    revoked = RevocationSet()
    revoked.apply(feed(2, entry(1, kind, value), entry(2, kind, value, until=LIFTED)))
    assert revoked.find(now=NOW, **names) is None
    revoked.apply(feed(3, entry(3, kind, value)))
    assert revoked.find(now=NOW, **names) == kind


def test_a_signing_key_is_named_with_its_issuer() -> None:
    assert signing_key_name("https://a.example/x", "k") == "https://a.example/x/k"
