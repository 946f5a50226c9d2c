"""The readable page of the API: HTML made from its OpenAPI document, without scripts. Pure.

It says of each row what it takes and gives, and how curl asks for it.
"""

import json
import re
from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any, Final

_METHODS: Final = ("get", "post", "patch", "put", "delete")

Schema = Mapping[str, Any]


def sections(document: Mapping[str, Any]) -> tuple[str, str]:
    """Its contents and its main part, as HTML."""
    by_tag: dict[str, list[str]] = {}
    links: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                row = methods[method]
                by_tag.setdefault(row["tags"][0], []).append(_row(document, method, path, row))
                links.setdefault(row["tags"][0], []).append(_link(method, row))
    tags = [(tag["name"], tag["description"]) for tag in document["tags"] if tag["name"] in by_tag]
    contents = "".join(
        f'<li><a class="tag" href="#{name}">{escape(name)}</a><ul>{"".join(links[name])}</ul></li>'
        for name, _ in tags
    )
    main = "".join(
        f'<section id="{name}"><h2>{escape(name.capitalize())}</h2>'
        f'<p class="muted">{escape(about)}</p>{"".join(by_tag[name])}</section>'
        for name, about in tags
    )
    return contents, main


def filled(template: str, document: Mapping[str, Any]) -> str:
    """The whole page."""
    contents, main = sections(document)
    scopes = document["components"]["securitySchemes"]["token"]["description"].split("; ")
    return Template(template).substitute(
        title=escape(document["info"]["title"]),
        about=_text(document["info"]["description"]),
        scopes="".join(f"<li>{_text(each)}</li>" for each in scopes),
        contents=contents,
        main=main,
    )


def _link(method: str, row: Mapping[str, Any]) -> str:
    return f'<li><a href="#{row["operationId"]}">{_badge(method)} {escape(row["summary"])}</a></li>'


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _row(document: Mapping[str, Any], method: str, path: str, row: Mapping[str, Any]) -> str:
    parts = [f'<article class="card" id="{row["operationId"]}"><h3>{escape(row["summary"])}</h3>']
    shown = re.sub(r"(\{\w+\})", r"<em>\1</em>", escape(path))
    parts.append(f'<p class="line">{_badge(method)} <code>{shown}</code></p>')
    parts.append(f"<p>{_text(row['description'])}</p>")
    parameters = [each for each in row.get("parameters", ()) if each["in"] != "path"]
    if parameters:
        rows = [(each["name"], each["required"], each["schema"], _about(each)) for each in parameters]
        parts.append(_table("Parameters", [_member(document, *each) for each in rows]))
    for media in row.get("requestBody", {}).get("content", {}).values():
        if "schema" in media:
            parts.append(_table("Body", _members(document, media["schema"])))
    parts.append(f"<pre><code>{escape(_curl(method, path, row))}</code></pre>")
    for status, response in row["responses"].items():
        for media in response.get("content", {}).values():
            heading = f"Answer {status}"
            parts.append(f"<details><summary>{heading}</summary>")
            parts.append(_table("", _members(document, media["schema"])) + "</details>")
    refused = ", ".join(status for status, response in row["responses"].items() if "$ref" in response)
    parts.append(f'<p class="muted small">Refusals: {refused}</p></article>')
    return "".join(parts)


def _about(parameter: Mapping[str, Any]) -> str:
    header = "A header. " if parameter["in"] == "header" else ""
    return header + str(parameter.get("description", ""))


def _curl(method: str, path: str, row: Mapping[str, Any]) -> str:
    words = ["curl", '-H "Authorization: Bearer $TOKEN"']
    if method != "get":
        words.insert(1, f"-X {method.upper()}")
    content = row.get("requestBody", {}).get("content", {})
    required = "&".join(
        f"{each['name']}=…"
        for each in row.get("parameters", ())
        if each["in"] == "query" and each["required"]
    )
    target = f"$ORIGIN{path}" + (f"?{required}" if required else "")
    for kind, media in content.items():
        if kind == "application/json":
            example = json.dumps(media.get("example", {}), ensure_ascii=False)
            words += ["--json", f"'{example}'"]
        else:
            words += ["--data-binary @film.mp4", f"-H 'Content-Type: {kind}'"]
            target += "?name=film.mp4"
    return " ".join([*words, f'"{target}"'])


def _members(document: Mapping[str, Any], schema: Schema) -> list[str]:
    found = _resolved(document, schema)
    required = found.get("required", ())
    rows = []
    for name, said in found.get("properties", {}).items():
        rows.append(_member(document, name, name in required, said, said.get("description", "")))
        for each in (said, *said.get("anyOf", ())):  # of an object in it, the members too
            for inner, more in (
                _resolved(document, each).get("properties", {}).items() if "$ref" in each else ()
            ):
                about = more.get("description", "")
                rows.append(_member(document, f"{name}.{inner}", False, more, about))
    return rows


def _member(document: Mapping[str, Any], name: str, required: bool, said: Schema, about: str) -> str:
    notes = [about] if about else []
    if "default" in said and said["default"] not in ("", None, []):
        notes.append(f"Default {json.dumps(said['default'])}.")
    wanted = ' <span class="required">required</span>' if required else ""
    return (
        f"<tr><th><code>{escape(name)}</code>{wanted}</th><td>{escape(_kind(document, said))}</td>"
        f"<td>{_text(' '.join(notes))}</td></tr>"
    )


def _table(heading: str, rows: list[str]) -> str:
    title = f"<h4>{heading}</h4>" if heading else ""
    return f'{title}<div class="scroll"><table>{"".join(rows)}</table></div>' if rows else ""


def _kind(document: Mapping[str, Any], said: Schema) -> str:
    """The type in a few words."""
    if "$ref" in said:
        found = _resolved(document, said)
        return "object" if found.get("properties") else _kind(document, found)
    if "anyOf" in said:
        return " or ".join(_kind(document, each) for each in said["anyOf"])
    if "enum" in said:
        return " | ".join(json.dumps(each) for each in said["enum"])
    if "const" in said:
        return json.dumps(said["const"])
    kind = str(said.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(document, said.get('items', {}))}"
    bounds = [
        f"≥ {said['minimum']}" if "minimum" in said else "",
        f"≤ {said['maximum']}" if "maximum" in said else "",
    ]
    shown = " ".join(each for each in bounds if each)
    return f"{kind} {shown}" if shown else kind


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _text(text: str) -> str:
    """Escaped, with what stands in backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
