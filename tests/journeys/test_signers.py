"""Links signed in other languages open sessions on a running edge, under the viewer they hide."""

from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.signers import LANGUAGES, runs, sign
from tests.support.system import System
from tests.support.viewer import Viewer


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signers")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_link_signed_elsewhere_plays(language: str, system: System, film: str, scratch: Path) -> None:
    runs(language)
    viewer = f'{language}: Zoë O\'Brien "7" & <žlutý> 日本 %41'
    hidden: dict[str, object] = (
        {"viewer": viewer, "network": "127.0.0.0/8"} if LANGUAGES[language].hides else {}
    )
    issuer = system.data / "secrets" / "issuer.json"
    options = {"once": True, "id": f"link-of-{language}", **hidden}
    told = sign(language, scratch, issuer, system.edges, f"/v/{film}/main.m3u8", options)
    assert (told.returncode, told.stderr) == (0, "")
    async with await Viewer(told.stdout.strip()).opened() as player:
        rendition = player.renditions()[0]
        first = (await player.playlist(rendition)).entries[0]
        assert first.key_uri is not None
        assert len(await player.key(rendition, first.key_uri)) == 16
        assert await player.cipher(rendition, first.number)

        async def told_of() -> bool:
            answer = await player.client.get(
                f"{system.url('keys')}/v1/sessions?live_within_s=600",
                headers={"authorization": f"Bearer {system.admin_token}"},
            )
            return any(
                session["lid"] == f"link-of-{language}" and session["viewer"] == hidden.get("viewer")
                for session in answer.json()["sessions"]
            )

        await eventually(told_of, within_s=60)
    elsewhere = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.77.1"), timeout=60)
    async with Viewer(told.stdout.strip(), elsewhere) as second:
        assert (await second.open()).status_code == 403  # it was for one opening
