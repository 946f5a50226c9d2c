"""`--kms`: keys starts with a root key that an external service keeps, and says why when it cannot."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy import assemble
from deploy.layers import SettingError, load
from deploy.settings import Settings
from keys.private_file import write_private
from tests.support.transit import Transit


@pytest.fixture
def transit() -> Iterator[Transit]:
    with Transit() as found:
        yield found


def settings(tmp_path: Path, url: str, token: str | None = "the-kms-token") -> Settings:
    if token is not None:
        write_private(tmp_path / "data" / "secrets" / "kms-token", f"{token}\n".encode())
    return load({"data": str(tmp_path / "data"), "kms": url}, {})


async def test_keys_starts_with_a_root_key_that_never_lies_on_this_machine(
    tmp_path: Path, transit: Transit
) -> None:
    app = await assemble.build_keys(settings(tmp_path, transit.url))
    admin = (tmp_path / "data" / "secrets" / "admin-token").read_text().strip()
    headers = {"authorization": f"Bearer {admin}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://keys", headers=headers
    ) as http:
        listed = (await http.get("/v1/keys")).json()["keys"]
        assert [key["id"] for key in listed if key["kind"] == "root"] == ["vault:1"]
        rotated = await http.post("/v1/rotations", json={"kind": "root"})
        assert (rotated.status_code, rotated.json()["keys"][0]["id"]) == (201, "vault:2")
    wrapped_by_a_file = (tmp_path / "data" / "secrets" / "root.key").read_bytes()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data" / "keys").glob("keys.db*"))
    assert b"vault:v2:" in stored
    assert wrapped_by_a_file not in stored


@pytest.mark.parametrize(
    ("token", "kind", "sentence"),
    [
        (None, "aes256-gcm96", "kms-token cannot be read"),
        ("another-token", "aes256-gcm96", "does not answer as it should"),
        ("the-kms-token", "ed25519", "is of type ed25519"),
    ],
)
async def test_a_service_that_cannot_be_used_stops_the_start_with_a_sentence(
    tmp_path: Path, transit: Transit, token: str | None, kind: str, sentence: str
) -> None:
    transit.type = kind
    with pytest.raises(SettingError, match=sentence) as caught:
        await assemble.build_keys(settings(tmp_path, transit.url, token))
    assert "another-token" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://vault.example/v1/transit/keys/x", "vault", "https://vault.example"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises((SettingError, ValueError), match=r"no transit key|use https"):
        settings(tmp_path, url, None)
