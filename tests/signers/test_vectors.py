"""Each signer a site can copy gives the links of the vectors, and refuses what would open nothing."""

import functools
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from keys.cipher import open_claim
from keys.container import split_token
from keys.names import b64url_decode
from keys.signing import SigningKey
from keys.tokens import Issuer, Trust, verify
from tests.support.signers import LANGUAGES, runs, sign
from tests.support.vectors import stored

LINKS = stored("links.json")
CASES: list[dict[str, Any]] = [
    case for case in LINKS["links"] if case["key"] != "p256"
]  # Ed25519 is the default
T = TypeVar("T")
EDGE = "https://edge.example.org"
FILM = "/v/film/main.m3u8"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signers")


def key_file(folder: Path, name: str) -> Path:
    """The key of the vectors as a file; accents as they are, so that all signers read the same bytes."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(LINKS["keys"][name], ensure_ascii=False, separators=(",", ":")), "utf-8")
    return path


def signing_key(name: str) -> SigningKey:
    return SigningKey.from_json(json.dumps(LINKS["keys"][name]).encode())


Told = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> Callable[[str, str], Told]:
    """What a language's signer says of a case; it does all cases at once, on all cores."""
    folder = tmp_path_factory.mktemp("keys")
    files = {name: key_file(folder, name) for name in LINKS["keys"]}

    @functools.cache
    def all_of(language: str) -> dict[str, Told]:
        def one(case: dict[str, Any]) -> Told:
            return sign(language, scratch, files[case["key"]], case["edges"], case["path"], case["options"])

        return dict(
            zip([case["name"] for case in CASES], [one(CASES[0]), *at_once(one, CASES[1:])], strict=True)
        )

    return lambda language, name: all_of(language)[name]


def at_once(one: Callable[[T], Told], rows: list[T]) -> list[Told]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, rows))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_signer_gives_the_link_of_the_vector(
    language: str, case: dict[str, Any], signed: Callable[[str, str], Told]
) -> None:
    runs(language)
    told = signed(language, case["name"])
    hidden = {"viewer", "network"} & case["options"].keys()
    if hidden and not LANGUAGES[language].hides:
        assert (told.returncode, told.stdout) == (1, "")
        return
    assert (told.returncode, told.stderr) == (0, "")
    link = told.stdout.removesuffix("\n")
    if not hidden and LANGUAGES[language].ordered:
        assert link == case["url"]
    plain, token = split_token(link)
    header, claims = (json.loads(b64url_decode(part)) for part in token.split(".")[:2])
    assert (plain, link.replace(token, "")) == (case["uri"], case["url"].replace(case["token"], ""))
    assert header == case["header"]
    key = signing_key(case["key"])
    assert key.viewer_key is not None
    for option, claim in (("viewer", "sub"), ("network", "cdniip")):
        if option in hidden:
            assert open_claim(key.viewer_key.reveal(), claims.pop(claim)) == case["options"][option]
    assert claims == {name: value for name, value in case["claims"].items() if name not in ("sub", "cdniip")}
    trust = Trust([Issuer(key.iss, "link", (key.verify_key(),), 86_400)])
    for uri in case["opens"]:
        verify(token, uri=uri, trust=trust, now=case["options"]["now"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_has_an_id_and_a_nonce_of_its_own_and_is_good_for_two_hours(
    language: str, scratch: Path, tmp_path: Path
) -> None:
    runs(language)
    options: dict[str, object] = {"viewer": "anna"} if LANGUAGES[language].hides else {}
    found = []
    for _ in range(2):
        told = sign(language, scratch, key_file(tmp_path, "site"), [EDGE], FILM, options)
        found.append(json.loads(b64url_decode(split_token(told.stdout.strip())[1].split(".")[1])))
    assert found[0]["lid"] != found[1]["lid"]
    assert all(len(b64url_decode(claims["lid"])) == 16 for claims in found)
    assert all(claims["exp"] - claims["iat"] == 7200 and claims["cap"] == 21600 for claims in found)
    assert not options or found[0]["sub"].split(".")[2] != found[1]["sub"].split(".")[2]


REFUSED: list[tuple[str, str, dict[str, object]]] = [
    ("https://EDGE.example.org", FILM, {}),
    (f"{EDGE}/", FILM, {}),
    (f"{EDGE}\n", FILM, {}),
    (EDGE, "/v//main.m3u8", {}),
    (EDGE, "/v/../secrets", {}),
    (EDGE, FILM, {"sesion": 60}),
    (EDGE, FILM, {"session": 0}),
    (EDGE, FILM, {"start_within": "2h"}),
    (EDGE, FILM, {"once": "maybe"}),
    (EDGE, FILM, {"id": "a/b"}),
    (EDGE, FILM, {"id": ""}),
    (EDGE, FILM, {"viewer": ""}),
    (EDGE, FILM, {"network": ""}),
    (EDGE, FILM, {"streams": 0}),
    (EDGE, FILM, {"budget": "20G"}),
    (EDGE, FILM, {"speed": 16383}),
    (EDGE, FILM, {"opens": ""}),
    (EDGE, FILM, {"country": "de"}),
    (EDGE, FILM, {"country": "DE,"}),
    (EDGE, FILM, {"country": ""}),
    (EDGE, FILM, {"device": "maybe"}),
    (EDGE, FILM, {"renew": "cookie"}),
    (EDGE, "/d/film/", {"renew": "cookie"}),
    (EDGE, "/d/film/a/b.mp4", {"renew": "redirect"}),
    (EDGE, "/d/film/film.mp4", {"renew": "header"}),
    (EDGE, "/d/film/film.mp4", {"renew": "cookie", "renew_s": 0}),
    (EDGE, FILM, {"offline": 60}),
    (EDGE, "/d/film/film.mp4", {"offline": 60}),
    (EDGE, "/d/film/ece/a/b.mp4", {"offline": 60}),
    (EDGE, "/d/a/b/ece/film.mp4", {"offline": 60}),
    (EDGE, "/z/site/d/film/ece/film.mp4", {"offline": 60}),
    (EDGE, "/d/film/ece/film.mp4", {"offline": 0}),
    (EDGE, "/d/film/ece/film.mp4", {"offline": 2_592_001}),
    (EDGE, "/d/film/ece/film.mp4", {"offline": "2d"}),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_signer_says_in_one_line_what_it_cannot_sign(language: str, scratch: Path, tmp_path: Path) -> None:
    runs(language)
    good, p256 = key_file(tmp_path, "site"), key_file(tmp_path, "p256")
    tries = [*((good, *row) for row in REFUSED), (p256, EDGE, FILM, {}), (tmp_path / "none", EDGE, FILM, {})]

    def tried(row: tuple[Path, str, str, dict[str, object]]) -> Told:
        key, edge, path, options = row
        return sign(language, scratch, key, [edge], path, options)

    tried(tries[0])  # a program that has to be built is built now
    for row, told in zip(tries, at_once(tried, tries), strict=True):
        assert (told.returncode, told.stdout) == (1, ""), row
        assert told.stderr.startswith(LANGUAGES[language].script), told.stderr
        assert told.stderr.count("\n") == 1, told.stderr
        assert LINKS["keys"]["site"]["jwk"]["d"] not in told.stderr
