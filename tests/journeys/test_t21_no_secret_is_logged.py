"""T21: what was secret in a running system stands in no log, no metric and no error: a canary run."""

import json
import stat
from pathlib import Path

import httpx
import pytest

from keys.names import b64url_decode
from tests.support.system import ON_A_CLUSTER, System
from tests.support.viewer import Viewer

VIEWER = "canary-viewer-7391"
CANARY = "canary-in-a-query-5526"
QUERIES = (f"?CMCD=sid%3D%22{CANARY}%22%2Cbr%3D3200", f"?anything={CANARY}", f"?{CANARY}%00%ff")


def secrets_on_disk(system: System) -> dict[str, str]:
    """Every secret of the installation's files, by name."""
    folder = system.data / "secrets"
    issuer = json.loads((folder / "issuer.json").read_text())
    found = {
        "admin token": system.admin_token,
        "join token": (folder / "join-token").read_text().strip(),
        "origin's join token": (folder / "origin-join-token").read_text().strip(),
        "site's private key": issuer["jwk"]["d"],
        "site's viewer key": issuer["viewer_key"],
        "root key": (folder / "root.key").read_bytes().hex(),
    }
    for node in system.data.glob("*/node.json"):
        found[f"private key of {node.parent.name}"] = json.loads(node.read_text())["jwk"]["d"]
    return found


def texts_of(system: System) -> dict[str, str]:
    """All that the system says of itself."""
    found = {path.name: path.read_text() for path in (system.data / "logs").iterdir()}
    found["what `up` prints"] = (system.data.parent / f"{system.data.name}.stderr").read_text()
    for name, url in (
        ("keys", system.url("keys")),
        ("origin", system.url("origin")),
        ("edge", system.edges[0]),
    ):
        answer = httpx.get(f"{url}/metrics")
        assert answer.status_code == 200, name
        found[f"metrics of {name}"] = answer.text
        found[f"health of {name}"] = httpx.get(f"{url}/healthz").text
    for words in (("stats",), ("stats", "--json"), ("sessions",), ("sessions", "--all", "--json")):
        told = system.sluice(*words)
        assert told.returncode == 0, told.stderr
        found[f"`sluice {' '.join(words)}`"] = told.stdout + told.stderr
    return found


def may_stand(what: str, where: str) -> bool:
    """Operators are told who watches; nobody and nothing else is."""
    return what == "viewer" and where.startswith("`sluice sessions")


@pytest.fixture
async def planted(system: System, film: str) -> dict[str, str]:
    """Secrets that went through the whole system, played, refused and revoked, by name."""
    link = system.link(film, "--viewer", VIEWER, "--ip", "127.0.0.0/8")
    found = secrets_on_disk(system) | {"viewer": VIEWER, "link": link.split("=")[1].split("/")[0]}
    async with await Viewer(link).opened() as viewer:
        rendition = viewer.renditions()[0]
        key = (await viewer.get(str(httpx.URL(viewer.url).join(f"{rendition}/key/0")))).content
        assert (await viewer.get(viewer.segment_url(rendition, 0))).status_code == 200
        token = viewer.url.split("URISigningPackage=")[1].split("/")[0]
        found |= {"session token": token, "content key": key.hex()}
        sid = json.loads(b64url_decode(token.split(".")[1]))["sid"]
        for query in QUERIES:
            there = str(httpx.URL(viewer.segment_url(rendition, 0))) + query
            assert (await viewer.client.get(there)).status_code in (200, 400, 403)
        for path in (f"{rendition}/999999.m4s", "nothing/0.m4s", "%2e%2e/main.m3u8"):
            assert (await viewer.client.get(str(httpx.URL(viewer.url).join(path)))).status_code in (400, 403)
        assert (
            await viewer.client.get(viewer.url.replace(token, token[:-8] + "AAAAAAAA"))
        ).status_code == 403
        in_query = f"{system.edges[0]}/v/{film}/main.m3u8?URISigningPackage={found['link']}"
        assert (await viewer.client.get(in_query)).status_code in (302, 400, 403)
        twice = f"{viewer.url}?URISigningPackage={token}"
        assert (await viewer.client.get(twice)).status_code in (400, 403)
        page = f"{system.edges[0]}/watch/?token={CANARY}&link={found['link']}"
        assert (await viewer.client.get(page)).status_code in (200, 400, 404)
        assert system.sluice("revoke", sid).returncode == 0
    found["what a query held"] = CANARY
    wrong = f"{system.admin_token}x"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {wrong}"}) as stranger:
        for url in (f"{system.url('keys')}/v1/sessions", f"{system.url('origin')}/v1/assets"):
            assert (await stranger.get(url)).status_code == 401
        login = await stranger.post(f"{system.url('admin')}/login", json={"token": wrong})
        assert login.status_code >= 400
    return found


async def test_t21_no_secret_is_in_a_log_or_a_metric(system: System, planted: dict[str, str]) -> None:
    texts = texts_of(system)
    assert '"refused' in "".join(texts.values()), "the refusals above are in some log"
    own = set() if ON_A_CLUSTER else {"redis-cache.log"}
    assert own | {"redis-control.log", "keys.log", "origin.log"} <= set(texts)
    assert any(name.startswith("edge-1.") for name in texts), "whichever of its workers had something to say"
    for where, text in texts.items():
        for what, secret in planted.items():
            pieces = [secret, *(part for part in secret.split(".") if len(part) > 40)]
            shown = any(piece in text for piece in pieces)
            assert not shown or may_stand(what, where), f"{what} stands in {where}"


async def test_keys_count_what_they_did(system: System, planted: dict[str, str]) -> None:
    text = texts_of(system)["metrics of keys"]
    for counter in ("sessions_opened", "leases", "revocations", "enrolments"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"sluice_keys_{counter}_total ")]
        assert float(line.split()[1]) >= 1


async def test_all_that_is_written_is_its_users_alone(system: System, planted: dict[str, str]) -> None:
    def open_to_others(path: Path) -> bool:
        return bool(stat.S_IMODE(path.lstat().st_mode) & 0o077) and not path.is_symlink()

    found = [path for path in system.data.rglob("*") if open_to_others(path)]
    assert found == []
    assert not open_to_others(system.data)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (system.data / "secrets").iterdir()} == {0o600}
