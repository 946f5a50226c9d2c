"""Problems as HTTP answers, and their other sentence in the log. Serves the origin and the console.

What is no Problem yet (an unknown path, a wrong method, a bug) becomes one here; the log has the path, never
the query.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from keys.problems import Problem

_LOG: Final = logging.getLogger(__name__)
_CODES: Final = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

Handler = Callable[[Request, Exception], Awaitable[Response]]


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    return Response(problem.body(), problem.status, dict(problem.headers()))


def handlers() -> dict[Any, Handler]:
    """Exception handlers for a Starlette application."""
    return {Problem: _refuse, HTTPException: _translate, ClientDisconnect: _gone, Exception: _fail}


def note(request: Request, problem: Problem) -> None:
    """One line of log for a refused request."""
    _LOG.info("%s %s refused %s: %s", request.method, request.scope["path"][:200], problem.id, problem)


async def _refuse(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    note(request, exc)
    return answer(exc)


async def _translate(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    response = await _refuse(request, Problem(_CODES.get(exc.status_code, "bad_request")))
    response.headers.update(exc.headers or {})  # Allow on a 405
    return response


async def _gone(request: Request, exc: Exception) -> Response:
    """The client left in the middle of its body: nobody reads this answer."""
    return await _refuse(request, Problem("bad_request", "The request was cut off."))


async def _fail(request: Request, exc: Exception) -> Response:
    problem = Problem("internal", "Something went wrong on the server.", detail=repr(exc))
    note(request, problem)
    return answer(problem)
