"""The API as an OpenAPI 3.1.1 document, made from its rows and pydantic's JSON Schema. Pure."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from keys.problems import STATUS
from origin.control.operation import BASE, Model, Operation
from origin.control.scopes import ADMIN, MEANING

REF: Final = "#/components/schemas/{model}"
BEARER: Final = "token"
USUAL: Final = (400, 401, 403, 413, 415, 422, 429, 503)  # what any row may answer
TAGS: Final = {
    "assets": "What there is, and how it came in.",
    "jobs": "What is on its way.",
    "links": "Who may watch.",
    "sessions": "Who watches, and who no longer may.",
    "zones": "HTTP origins behind the edges.",
    "webhooks": "What becomes of assets, told to a URL of yours.",
    "tokens": "Who may use this API, and for what.",
}
_ABOUT: Final = (
    "Send `Authorization: Bearer TOKEN`: an API token (`sluice tokens add`) with the scope a row names, or "
    "the admin token. Every refusal is `application/problem+json` with `code`, `status` and `message`, a "
    "sentence for people. Lists come in pages: send `next` back as `cursor`. A POST with an "
    "`Idempotency-Key` may be sent again for a day, and is done once."
)


class ProblemView(Model):
    """A refusal."""

    code: str
    status: int
    message: str
    id: str | None = None
    limit: str | None = None


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document. Its server is where it was read from."""
    taken = {model for each in operations for model in (each.body,) if model is not None}
    given = {model for each in operations for model in (each.answer,) if model is not None} | {ProblemView}
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _sorted(taken)]
    wanted += [(model, "serialization") for model in _sorted(given)]
    _, schemas = models_json_schema(wanted, ref_template=REF)
    problem = schemas["$defs"]["ProblemView"]
    problem["properties"]["code"]["enum"] = sorted(STATUS)
    problem["additionalProperties"] = False
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = paths.setdefault(BASE + operation.path, {})
        path[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Sluice control API", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{BEARER: []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "responses": {
                "Problem": {
                    "description": "Refused, in a sentence.",
                    "content": {
                        "application/problem+json": {"schema": {"$ref": REF.format(model="ProblemView")}}
                    },
                }
            },
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "; ".join(f"`{scope}`: {text}" for scope, text in MEANING.items()),
                }
            },
        },
    }


def _sorted(models: set[type[Model]]) -> list[type[Model]]:
    return sorted(models, key=lambda model: model.__name__)


def _operation(operation: Operation) -> dict[str, Any]:
    needs = "the admin token" if operation.scope == ADMIN else f"the scope `{operation.scope}`"
    about = f"{operation.description} " if operation.description else ""
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{about}Needs {needs}.",
        "x-scope": operation.scope,
        "responses": _responses(operation),
    }
    if parameters := _parameters(operation):
        found["parameters"] = parameters
    if operation.body is not None:
        media: dict[str, Any] = {"schema": {"$ref": REF.format(model=operation.body.__name__)}}
        if operation.example:
            media["example"] = dict(operation.example)
        found["requestBody"] = {"required": True, "content": {"application/json": media}}
    elif operation.raw:
        found["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    schema = operation.query.model_json_schema()
    required = schema.get("required", ())
    for name, said in schema.get("properties", {}).items():
        said = {key: value for key, value in said.items() if key != "title"}
        about = said.pop("description", "")
        if "anyOf" in said:  # a parameter that is not there is null
            (said,) = (each for each in said["anyOf"] if each != {"type": "null"})
        row = {"name": name, "in": "query", "required": name in required, "schema": said}
        found.append(row | ({"description": about} if about else {}))
    found += [_header(name, text, {"type": "string"}) for name, text in operation.headers.items()]
    if operation.repeatable:
        key = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        found.append(_header("Idempotency-Key", "Makes it safe to send again: it is done once a day.", key))
    return found


def _header(name: str, about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": about}


def _responses(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        ref = {"$ref": REF.format(model=operation.answer.__name__)}
        success["content"] = {"application/json": {"schema": ref}}
    found: dict[str, Any] = {str(operation.status): success}
    if "If-None-Match" in operation.headers:
        found["304"] = {"description": "It still has that ETag."}
    problems = {*USUAL, *operation.problems} | ({409} if operation.repeatable else set())
    found |= {str(status): {"$ref": "#/components/responses/Problem"} for status in sorted(problems)}
    return found
