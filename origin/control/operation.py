"""One row of the API: method and path, what it takes and gives, who may, and what does it.

The router (`origin.control.router`) serves rows, the document (`origin.control.openapi`) describes the very
same ones, so neither can say what the other does not. Pure.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request

from keys.problems import Problem
from origin.control.tokens import ApiToken

BASE: Final = "/api/v1"

M = TypeVar("M", bound=BaseModel)


class Model(BaseModel):
    """What is sent or answered. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Model):
    """No member at all."""


# A line of text without control characters, which databases and headers do not take.
LINE: Final = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, StringConstraints(max_length=512, pattern=LINE)]
AssetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in and read."""

    request: Request
    caller: ApiToken | None  # None: the admin token, or who signed in with it
    path: Mapping[str, str]
    query: Any  # the row's query model
    body: Any  # the row's body model

    def queried(self, model: type[M]) -> M:
        """The query, as the row's model."""
        assert isinstance(self.query, model)
        return self.query

    def sent(self, model: type[M]) -> M:
        """The body, as the row's model."""
        assert isinstance(self.body, model)
        return self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. Without an answer: an empty body."""

    answer: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None  # another than the row's


@dataclass(frozen=True, slots=True)
class Operation:
    """A row."""

    method: str
    path: str  # below BASE, with {names}
    name: str  # operationId
    tag: str
    scope: str
    summary: str
    does: Callable[[Call], Awaitable[Reply]]
    query: type[Model] = Nothing
    body: type[Model] | None = None
    raw: bool = False  # the body is a file
    answer: type[Model] | None = None
    status: int = 200
    description: str = ""
    problems: tuple[int, ...] = ()  # besides those that every row may answer
    headers: Mapping[str, str] = field(default_factory=dict)  # of its request, with their meaning
    example: Mapping[str, Any] = field(default_factory=dict)  # a body

    @property
    def repeatable(self) -> bool:
        """Whether an Idempotency-Key makes it safe to send again."""
        return self.method == "POST"


def invalid(sentence: str) -> Problem:
    """Problem invalid: a value that is none this takes."""
    return Problem("invalid", f"{sentence[:1].upper()}{sentence[1:]}".rstrip(".") + ".")
