"""Signatures of requests, by the vectors AWS publishes for Signature Version 4."""

from datetime import UTC, datetime

import pytest

from origin.aws_signing import Credentials, signed_headers

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def signature(method: str, url: str, headers: dict[str, str], body: bytes, service: str = "service") -> str:
    credentials = Credentials("AKIDEXAMPLE", SECRET, "us-east-1", service)
    told = signed_headers(credentials, method, url, headers, body, NOW)
    return told["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "service", "expected"),
    [  # the first four from the test suite, the last from the guide's example of IAM
        ("GET", "/", {}, b"", "service", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", {}, b"", "service", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            {},
            b"",
            "service",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            "/",
            FORM,
            b"Param1=value1",
            "service",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            b"",
            "iam",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
)
def test_signatures_are_those_published(
    method: str, url: str, headers: dict[str, str], body: bytes, service: str, expected: str
) -> None:
    address = url if url.startswith("https:") else f"https://example.amazonaws.com{url}"
    assert signature(method, address, headers, body, service) == expected


def test_the_default_port_is_not_signed() -> None:
    with_port = signature("GET", "https://example.amazonaws.com:443/", {}, b"")
    assert with_port == signature("GET", "https://example.amazonaws.com/", {}, b"")


def test_a_token_of_temporary_credentials_is_signed_too() -> None:
    credentials = Credentials("AKIDEXAMPLE", SECRET, "us-east-1", "execute-api", "the token")
    told = signed_headers(credentials, "POST", "https://a.example/x", {}, b"", NOW)
    assert told["X-Amz-Security-Token"] == "the token"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in told["Authorization"]


def test_a_secret_is_in_no_text_of_the_credentials() -> None:
    assert SECRET not in repr(Credentials("A", SECRET, "r", "s", "tok3n"))
    assert "tok3n" not in repr(Credentials("A", SECRET, "r", "s", "tok3n"))
