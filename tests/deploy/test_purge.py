"""`sluice purge`: what it says is meant, in which zone, and what it asks keys for."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deploy.commands import purge as command
from deploy.commands.links import link
from deploy.commands.purge import place
from deploy.running import NotRunning


class Operator:
    """What keys is asked."""

    asked: list[tuple[object, ...]]
    told: dict[str, Any]

    def __init__(self, data: object) -> None:
        pass

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def keys(self, method: str, path: str, json: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((method, path, *json.values()))
        return json | self.told


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    Operator.asked, Operator.told = [], {}
    monkeypatch.setattr(command, "Operator", Operator)
    return Operator.asked


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["https://e.example/z/press/a.jpg?w=1"], ("press", "url", "/a.jpg?w=1", False)),
        (["https://e.example/z;URISigningPackage=a.b-c.d_e/press/a"], ("press", "url", "/a", False)),
        (["https://e.example/z/press/", "--soft"], ("press", "url", "/", True)),
        (["--zone", "press", "https://films.example/a"], ("press", "url", "/a", False)),
        (["--zone", "press", "https://films.example"], ("press", "url", "/", False)),
        (["--zone", "press", "/a"], ("press", "url", "/a", False)),
        (["--prefix", "/z/press/img/"], ("press", "prefix", "/img/", False)),
        (["--zone", "press", "--prefix", "/z/press/img/"], ("press", "prefix", "/img/", False)),
        (["--zone", "press", "--key", "article-7", "--soft"], ("press", "key", "article-7", True)),
        (["--zone", "press"], ("press", "zone", "", False)),
    ],
)
def test_what_is_named_is_purged(
    words: list[str], meant: tuple[object, ...], asked: list[tuple[object, ...]]
) -> None:
    told = CliRunner().invoke(command.purge, words, standalone_mode=False)
    assert told.exception is None and told.return_value == 0
    assert asked == [("POST", "/v1/purges", *meant)]
    assert "press" in told.output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "Say what"),
        (["--soft"], "Say what"),
        (["/a", "--key", "x"], "Say what"),
        (["--key", "x"], "give --zone"),
        (["/a"], "give --zone"),
        (["https://films.example/a"], "give --zone"),
        (["a.jpg", "--zone", "press"], "Give a URL"),
        (["ftp://e.example/z/press/a"], "Give a URL"),
        (["https://e.example/z/press/a", "--zone", "other"], "is in zone press"),
    ],
)
def test_what_is_not_clear_is_not_purged(words: list[str], why: str, asked: list[tuple[object, ...]]) -> None:
    told = CliRunner().invoke(command.purge, words, standalone_mode=False)
    assert isinstance(told.exception, click.UsageError) and why in told.exception.message
    assert asked == []


def test_a_zone_without_a_slash_behind_it_is_no_place_in_it() -> None:
    with pytest.raises(click.UsageError):
        place("https://e.example/z/press", None)


def test_a_zone_that_the_file_of_zones_has_not_is_refused_by_name(
    asked: list[tuple[object, ...]], tmp_path: Path
) -> None:
    file = tmp_path / "zones.toml"
    (tmp_path / "sluice.toml").write_text(f'zones = "{file}"\n')
    file.write_text("".join(f'[zones.{name}]\norigins = ["https://o.example"]\n' for name in ("press", "b")))
    words = ["--data", str(tmp_path), "--zone"]
    told = CliRunner().invoke(command.purge, [*words, "pres"], standalone_mode=False)
    assert isinstance(told.exception, click.UsageError)
    assert "no zone pres; there are press, b." in told.exception.message and asked == []
    assert CliRunner().invoke(command.purge, [*words, "press"], standalone_mode=False).return_value == 0
    told = CliRunner().invoke(link, ["pres/a", "--zone", *words[:2]], standalone_mode=False)
    assert isinstance(told.exception, NotRunning)
    (tmp_path / "run.json").write_text('{"edges": ["https://e.example"]}')
    for path, why in (("pres/a", "has no zone pres"), ("/press/a", "Zone press is public")):
        told = CliRunner().invoke(link, [path, "--zone", *words[:2]], standalone_mode=False)
        assert isinstance(told.exception, click.UsageError) and why in told.exception.message
    file.write_text("no TOML")
    assert CliRunner().invoke(command.purge, [*words, "other"], standalone_mode=False).return_value == 0
    assert [each[2] for each in asked] == ["press", "other"], "a file that is broken stops no purge"


def test_what_keys_says_of_the_zone_is_passed_on(asked: list[tuple[object, ...]]) -> None:
    Operator.told = {"warning": "No edge has a zone of that name; there are press."}
    told = CliRunner().invoke(command.purge, ["--zone", "pres"], standalone_mode=False)
    assert told.return_value == 0 and told.output.endswith(
        "No edge has a zone of that name; there are press.\n"
    )
