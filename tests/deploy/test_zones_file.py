"""The file of zones: what stands in it, and a sentence for everything that cannot be used."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy.layers import SettingError, load
from deploy.settings import Settings
from deploy.zones_file import KEYS, read, shield_zones_of, zones_of
from edge.zone.zone import Origin
from tests.support.system import clean_environment, sluice_command

DOCS = Path(__file__).parent.parent.parent / "docs" / "zones.md"
ORIGINS = 'origins = ["https://o.example"]'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "zones.toml"
    path.write_text(text)
    return path


def test_every_key_of_a_zone_is_read(tmp_path: Path) -> None:
    (zone,) = read(
        written(
            tmp_path,
            """
            [zones.press]
            host = ["Press.example", "films.example:8443"]
            origins = ["https://a.example", "http://[2a00::1]:8000/"]
            access = "public"
            query = ["page", "lang"]
            forward = ["Accept-Language"]
            methods = ["POST"]
            fresh = "10m"
            stale-while-revalidate = "30s"
            stale-if-error = "1d"
            largest = "4G"
            upload = "2M"
            host-header = "bucket.example"
            path = "/films/"
            private = true
            first-byte = "30s"
            health = "/healthz?deep=1"
            """,
        )
    )
    assert (zone.name, zone.prefix, zone.hosts) == (
        "press",
        "/z/press/",
        ("press.example", "films.example:8443"),
    )
    assert zone.origins == (Origin("https", "a.example", 443), Origin("http", "[2a00::1]", 8000))
    assert (zone.signed, zone.query, zone.upload_bytes) == (False, ("lang", "page"), 2 << 20)
    assert zone.forward == {b"accept-language"} and zone.methods == {"GET", "HEAD", "POST"}
    assert (zone.host_header, zone.base, zone.private) == ("bucket.example", "/films", True)
    assert (zone.first_byte_s, zone.health_path) == (30, "/healthz?deep=1")
    rules = zone.rules
    assert (rules.default_s, rules.stale_while_revalidate_s, rules.stale_if_error_s) == (600, 30, 86_400)
    assert (rules.body_most, rules.varies) == (4 << 30, (b"accept-language",))


def test_what_is_not_said_is_the_careful_choice(tmp_path: Path) -> None:
    (zone,) = read(written(tmp_path, f"[zones.a]\n{ORIGINS}"))
    assert zone.query is None and not zone.forward and zone.methods == {"GET", "HEAD"} and not zone.private
    assert not zone.rules.store_cookies and not zone.rules.request_directives and zone.rules.default_s is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[zones", "cannot be read as TOML"),
        ("", "names no zone; begin one with"),
        ("[zone.a]\n", "no key 'zone'; did you mean zones?"),
        ("zones = 1", "names no zone"),
        ("[zones]\na = 1", r"zones\.a must be a table; write \[zones\.a\]"),
        (f"[zones.A_b]\n{ORIGINS}", "'A_b' is no name; use"),
        ("[zones.a]\n", r"zones\.a\.origins is missing; write it like"),
        ("[zones.a]\norigins = []", r"zones\.a\.origins: name 1 to 8"),
        ('[zones.a]\norigins = ["ftp://x"]', r"zones\.a\.origins: 'ftp://x' is no origin; write it like"),
        ('[zones.a]\norigins = ["https://u:secret@x"]', r"zones\.a\.origins: .*is no origin"),
        ('[zones.a]\norigins = ["https://x/path"]', r"zones\.a\.origins: .*is no origin"),
        ('[zones.a]\norigins = ["https://x:0"]', "no port there is"),
        (f'[zones.a]\n{ORIGINS}\nacess = "public"', r"zones\.a: .*'acess'; did you mean access\?"),
        (f"[zones.a]\n{ORIGINS}\nzzz = 1", r"zones\.a: .*'zzz'; there are origins, host"),
        (f'[zones.a]\n{ORIGINS}\naccess = "secret"', r'zones\.a\.access: .*write "public" or "signed"'),
        (f'[zones.a]\n{ORIGINS}\nquery = "some"', r"zones\.a\.query: 'some' is neither"),
        (f'[zones.a]\n{ORIGINS}\nquery = ["a b"]', r"zones\.a\.query: 'a b' is no parameter"),
        (f'[zones.a]\n{ORIGINS}\nquery = ["a", "a"]', "each of them once"),
        (
            f'[zones.a]\n{ORIGINS}\nforward = ["X-Forwarded-Host"]',
            r"zones\.a\.forward: .*cannot be passed on",
        ),
        (f'[zones.a]\n{ORIGINS}\nforward = ["a:b"]', r"zones\.a\.forward: .*is no field"),
        (
            f'[zones.a]\n{ORIGINS}\naccess = "signed"\nforward = ["cookie"]',
            r"zones\.a\.forward: a signed zone passes neither",
        ),
        (f'[zones.a]\n{ORIGINS}\nmethods = ["BREW"]', r"zones\.a\.methods: 'BREW' is no method"),
        (f'[zones.a]\n{ORIGINS}\nfresh = "soon"', r"zones\.a\.fresh: 'soon' is no duration; write it like"),
        (f"[zones.a]\n{ORIGINS}\nfresh = true", r"zones\.a\.fresh: True is no duration"),
        (f"[zones.a]\n{ORIGINS}\nfresh = -1", r"zones\.a\.fresh: -1 is not between"),
        (f'[zones.a]\n{ORIGINS}\nlargest = "big"', r"zones\.a\.largest: 'big' is no size; write it like"),
        (f"[zones.a]\n{ORIGINS}\nlargest = -1", r"zones\.a\.largest: -1 is no size"),
        (f'[zones.a]\n{ORIGINS}\nprivate = "yes"', r"zones\.a\.private: 'yes' is neither true nor false"),
        (f'[zones.a]\n{ORIGINS}\nhost = "https://a.example"', r"zones\.a\.host: .*is no host; write it like"),
        (f'[zones.a]\n{ORIGINS}\npath = "/a/../b"', r"zones\.a\.path: .*is no plain path"),
        (f"[zones.a]\n{ORIGINS}\nhost-header = 1", r"zones\.a\.host-header: 1 is no text"),
        (
            f'[zones.a]\n{ORIGINS}\nhost = "x.example"\n[zones.b]\n{ORIGINS}\nhost = "X.example"',
            r"zones\.b\.host: x\.example is the host of a already",
        ),
    ],
)
def test_f36_a_mistake_is_one_sentence_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        read(written(tmp_path, text))
    assert "\n" not in str(caught.value).replace(str(tmp_path), "") or "TOML" in said
    assert str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize(
    ("host", "fits"), [("edge.example", False), ("edge.example:8443", False), ("z.example", True)]
)
def test_an_edges_own_name_is_no_zones(tmp_path: Path, host: str, fits: bool) -> None:
    path = written(tmp_path, f'[zones.a]\n{ORIGINS}\nhost = "{host}"')
    settings = load({"zones": str(path), "public_edges": "https://edge.example:8443"}, {})
    if fits:
        assert zones_of(settings)[0].hosts == (host,)
    else:
        with pytest.raises(SettingError, match=f"zones.a.host: {host} is an edge's own name"):
            zones_of(settings)


def test_every_key_is_documented_as_it_is_and_the_example_is_one() -> None:
    text = DOCS.read_text()
    for name, key in KEYS.items():
        assert f"| `{name}` | {key.default} | {key.meaning} |" in text
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None


def test_the_example_of_the_docs_can_be_used(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert example is not None
    assert [zone.name for zone in read(written(tmp_path, example[1]))] == ["press", "courses"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*sluice_command(), *words], capture_output=True, text=True, check=False, env=clean_environment()
    )


THROUGH = 'through = ["https://s.example:8444"]'


def test_the_command_lists_zones_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, f'[zones.press]\n{ORIGINS}\nhost = "press.example"\nquery = "none"\n{THROUGH}')
    listed = run("zones", str(path), "--json")
    assert json.loads(listed.stdout) == [
        {
            "name": "press",
            "access": "public",
            "at": ["/z/press/", "press.example"],
            "origins": ["https://o.example"],
            "through": ["https://s.example:8444"],
            "query": "none",
            "methods": ["GET", "HEAD"],
            "forward": [],
        }
    ]
    (tmp_path / "sluice.toml").write_text(f'zones = "{path}"\n')
    shown = run("zones", "--data", str(tmp_path))
    assert shown.returncode == 0 and "press.example" in shown.stdout
    path.write_text("[zones.press]\n")
    for words in (("zones", str(path)), ("edge", "--data", str(tmp_path), "--zones", str(path))):
        wrong = run(*words)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("sluice: zones.press.origins is missing")
    nothing = run("zones", "--data", str(tmp_path / "absent"))
    assert nothing.returncode == 2 and "no file is named" in nothing.stderr


def test_shields_come_before_the_origins_and_a_shield_has_the_zone_for_nodes_alone(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text(
        '[zones.press]\norigins = ["https://o.example"]\nthrough = ["https://s.example:8444"]\n'
        'path = "/bucket"\naccess = "signed"\nhost = "press.example"\n'
    )
    (zone,) = read(file)
    shield, origin = zone.origins
    assert (shield.host, shield.port, shield.shield_of, shield.base) == (
        "s.example",
        8444,
        "press",
        "/bucket",
    )
    assert (origin.host, origin.shield_of) == ("o.example", "")
    (there,) = shield_zones_of(Settings(zones=file))
    assert (there.origins, there.signed, there.hosts, there.base) == ((origin,), False, (), "/bucket")


def test_off_this_machine_shields_are_asked_over_tls_only(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text('[zones.a]\norigins = ["https://o.example"]\nthrough = ["http://s.example:8444"]\n')
    with pytest.raises(SettingError, match=r"zones\.a\.through: .*is another machine: use https://"):
        read(file)
