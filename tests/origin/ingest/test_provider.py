"""What opens a DRM provider goes to its host, and nowhere else."""

import pytest

from origin.ingest.provider import auth_for


@pytest.mark.parametrize(
    ("url", "line", "auth"),
    [
        ("https://keys.example/speke", "", ""),
        ("https://keys.example/speke", "keys.example bearer abc", "bearer abc"),
        ("https://KEYS.example/speke", "keys.EXAMPLE header x: a b", "header x: a b"),
        ("https://keys.example:8443/speke", "keys.example:8443 bearer abc", "bearer abc"),
    ],
)
def test_its_own_host_is_told(url: str, line: str, auth: str) -> None:
    assert auth_for(url, line) == auth


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/speke",
        "https://keys.example:8443/speke",
        "https://keys.example.other.example/",
        "https://keys.example@other.example/",
        "http://localhost:80/keys.example",
    ],
)
def test_another_host_is_not(url: str) -> None:
    with pytest.raises(ValueError, match=r"is for keys\.example") as refused:
        auth_for(url, "keys.example bearer abc-def")
    assert "abc-def" not in str(refused.value)
