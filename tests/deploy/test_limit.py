"""Limits of an asset on the command line: set before it is published, or it is not published at all."""

from typing import Any, cast

import pytest

from deploy.commands.limit import NONE, set_limits
from deploy.commands.media import limit_new
from deploy.commands.operator import Operator
from deploy.running import NotRunning
from keys.problems import Problem


class Asked:
    """What an operator's command asks of keys and origin. `away`: why keys does not answer."""

    def __init__(self, away: Exception | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._away = away

    def keys(self, *words: object, **more: Any) -> dict[str, int]:
        self.calls.append(("keys", *words, *more.values()))
        if self._away is not None:
            raise self._away
        return {"streams": 4}

    def origin(self, *words: object) -> None:
        self.calls.append(("origin", *words))

    @property
    def operator(self) -> Operator:
        return cast(Operator, self)


def test_only_what_was_given_is_changed_and_none_lifts_a_limit() -> None:
    asked = Asked()
    assert set_limits(asked.operator, "film", streams=None, viewer_streams=None) == {"streams": 4}
    set_limits(asked.operator, "film", streams=4, viewer_streams=NONE)
    path = "/v1/assets/film/limits"
    assert asked.calls == [
        ("keys", "GET", path),
        ("keys", "PATCH", path, {"streams": 4, "viewer_streams": None}),
    ]


def test_an_upload_without_limits_asks_keys_for_nothing() -> None:
    asked = Asked()
    limit_new(asked.operator, "film", None, None)
    assert asked.calls == []


@pytest.mark.parametrize("away", [Problem("unavailable"), NotRunning("No keys service runs here.")])
def test_an_upload_whose_limits_cannot_be_set_is_not_ingested(away: Exception) -> None:
    asked = Asked(away)
    with pytest.raises(Problem, match="its limits could not be set") as told:
        limit_new(asked.operator, "film", 4, None)
    assert "sluice limit film" in told.value.message
    assert asked.calls[-1] == ("origin", "POST", "/v1/assets/film/cancel")
