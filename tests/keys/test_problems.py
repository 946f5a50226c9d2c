"""Every refusal has one shape, and a viewer's refusals cannot be told apart."""

import json

import pytest

from keys.problems import STATUS, VIEWER_SENTENCES, Problem, retry_after


@pytest.mark.parametrize("code", STATUS)
def test_every_code_has_its_status_and_a_sentence(code: str) -> None:
    problem = Problem(code)
    assert problem.status == STATUS[code]
    assert problem.message.endswith(".")
    assert json.loads(problem.body())["code"] == code


def test_t12_two_refusals_of_a_viewer_are_the_same_bytes() -> None:
    absent = Problem("forbidden", detail="no such asset")
    denied = Problem("forbidden", detail="411")
    assert absent.body() == denied.body()
    assert absent.id != denied.id
    assert ("sluice-request-id", absent.id) in absent.headers()


def test_the_detail_is_for_the_log_only() -> None:
    problem = Problem("bad_request", "That is no name.", detail="secret-detail")
    assert b"secret-detail" not in problem.body()
    assert "secret-detail" in str(problem)


def test_h36_a_refusal_is_never_stored_and_trouble_says_when_to_come_back() -> None:
    assert ("cache-control", "no-store") in Problem("forbidden").headers()
    assert ("retry-after", "2") in Problem("unavailable").headers()
    assert ("retry-after", "9") in Problem("unavailable", retry_after_s=9).headers()
    assert not any(name == "retry-after" for name, _ in Problem("forbidden").headers())


@pytest.mark.parametrize("code", ["forbidden", "expired", "limit", "revoked"])
def test_a_viewer_is_told_in_a_sentence(code: str) -> None:
    body = json.loads(Problem(code).body())
    assert body == {"code": code, "status": 403, "message": VIEWER_SENTENCES[code]}


@pytest.mark.parametrize("text", ["", "-1", "1.5", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT", "٣"])
def test_f8_an_odd_retry_after_asks_for_nothing(text: str) -> None:
    assert retry_after(text) is None


def test_retry_after_is_seconds() -> None:
    assert (retry_after("0"), retry_after("120")) == (0, 120)
