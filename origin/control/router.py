"""Serves the rows of the API: lets in, reads, validates, does, answers. One shape for every refusal.

Nothing of a row is done before all that came with the request is found to be as the row says.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keys.problems import Problem
from keys.strict_json import strict_object
from origin.access import AdminAccess
from origin.control.callers import TROUBLE, caller
from origin.control.operation import BASE, Call, Nothing, Operation, invalid
from origin.control.repeats import Remembered, Repeats, fingerprint, parsed_key
from origin.refusals import answer as refusal
from origin.refusals import note

MAX_BODY: Final = 64 * 1024  # bytes of JSON
JSON: Final = "application/json"
_KEPT_HEADERS: Final = ("content-type", "location", "etag")


class Router:
    """The rows as routes."""

    def __init__(self, operations: Sequence[Operation], access: AdminAccess, repeats: Repeats) -> None:
        self._operations = operations
        self._access = access
        self._repeats = repeats

    def routes(self) -> list[Route]:
        """One route a path, for all its methods, so that a 405 names them all."""
        paths: dict[str, dict[str, Operation]] = {}
        for operation in self._operations:
            paths.setdefault(operation.path, {})[operation.method] = operation
        return [
            Route(BASE + path, self._endpoint(methods), methods=sorted(methods))
            for path, methods in paths.items()
        ]

    def _endpoint(self, methods: Mapping[str, Operation]) -> Any:
        async def endpoint(request: Request) -> Response:
            operation = methods["GET" if request.method == "HEAD" else request.method]
            try:
                return await self._serve(operation, request)
            except Problem as problem:
                note(request, problem)
                response = refusal(problem)
            except TROUBLE as exc:
                trouble = Problem("unavailable", detail=f"database: {type(exc).__name__}")
                note(request, trouble)
                response = refusal(trouble)
            if response.status_code == 401:
                response.headers["www-authenticate"] = "Bearer"  # RFC 9110 §11.6.1
            return response

        return endpoint

    async def _serve(self, operation: Operation, request: Request) -> Response:
        self._access.check(request, operation.scope)
        query = _query(operation, request)
        data = b"" if operation.raw else await _read(operation, request)
        body = _body(operation.body, data) if operation.body is not None else None
        call = Call(request, caller(request), request.path_params, query, body)
        key = parsed_key(request.headers.get("idempotency-key")) if operation.repeatable else None
        if key is None:
            return await _done(operation, call)
        return await self._once(operation, call, key, data)

    async def _once(self, operation: Operation, call: Call, key: str, data: bytes) -> Response:
        request = call.request
        who = call.caller.id if call.caller else "admin"
        if operation.raw:  # a file is not read twice to be compared: its length stands for it
            data = request.headers.get("content-length", "").encode()
        asked = fingerprint(request.method, f"{request.url.path}?{request.url.query}", data)
        remembered = await self._repeats.begin(who, key, asked)
        if remembered is not None:
            headers = {**remembered.headers, "idempotency-replayed": "true"}
            return Response(remembered.body, remembered.status, headers)
        try:
            response = await _done(operation, call)
        except BaseException:
            await self._repeats.forget(who, key)
            raise
        kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        await self._repeats.done(who, key, Remembered(response.status_code, kept, bytes(response.body)))
        return response


async def _done(operation: Operation, call: Call) -> Response:
    reply = await operation.does(call)
    status = reply.status or operation.status
    if reply.answer is None:
        return Response(status_code=status, headers=dict(reply.headers))
    return Response(reply.answer.model_dump_json(), status, dict(reply.headers), JSON)


def _query(operation: Operation, request: Request) -> Any:
    pairs = request.query_params.multi_items()
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid("a parameter of the query is said twice")
    return _valid(operation.query, found, strict=False)


async def _read(operation: Operation, request: Request) -> bytes:
    """The body. Problem too_large, or unsupported_type when it is no JSON where JSON is taken."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY:
            raise Problem("too_large", f"A request body has at most {MAX_BODY} bytes.")
    if operation.body is not None:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise Problem("unsupported_type", f"Send {JSON}.")
    return bytes(data)


def _body(model: type[BaseModel], data: bytes) -> Any:
    try:
        found = strict_object(data)
    except (ValueError, RecursionError) as exc:
        raise Problem("bad_request", "The body must be one JSON object.", detail=str(exc)[:200]) from exc
    if not found and model is Nothing:
        return Nothing()
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as exc:
        raise _told(exc) from exc


def _valid(model: type[BaseModel], found: Mapping[str, Any], *, strict: bool) -> Any:
    try:
        return model.model_validate(dict(found), strict=strict)
    except ValidationError as exc:
        raise _told(exc) from exc


def _told(exc: ValidationError) -> Problem:
    """The first three things that do not fit, each with its place; never what was sent."""
    errors = exc.errors(include_input=False, include_url=False, include_context=False)
    told = [f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in errors[:3]]
    return invalid("; ".join(told)[:500].encode("utf-8", "replace").decode())
