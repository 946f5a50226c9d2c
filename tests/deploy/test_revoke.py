"""`sluice revoke`: what its words mean."""

from pathlib import Path

import click
import pytest

from deploy.commands.revoke import revoke

ID = "-_04iSKItfasQ1h9PUa4eg"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([ID], "what"),
        ([ID, "--undo"], "what"),
        (["--undo", ID], "what"),
        (["--", ID], "what"),
        (["--session", ID], "sid"),
        (["--link", ID, "--undo"], "lid"),
    ],
)
def test_an_id_that_begins_with_a_dash_is_no_option(tmp_path: Path, words: list[str], name: str) -> None:
    context = revoke.make_context("revoke", ["--data", str(tmp_path), *words])
    assert context.params[name] == ID
    assert context.params["undo"] == ("--undo" in words)


def test_what_is_no_id_and_begins_with_a_dash_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(click.NoSuchOption):
        revoke.make_context("revoke", ["--data", str(tmp_path), "--viewr", "anna"])
