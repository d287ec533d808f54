"""One operation as HTML: what it takes, how it is called, what it answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any

from mnemata.api.rest.reference.schemas import kind_of, prose, reference_name

Json = dict[str, Any]
_EXAMPLE_ID = "0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d"


def operation_article(document: Json, method: str, path: str, operation: Json) -> str:
    """The article of one operation."""
    return "".join(_parts(document, method, path, operation))


def _parts(document: Json, method: str, path: str, operation: Json) -> Iterator[str]:
    yield f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
    yield f'<p class="call"><span class="method {method}">{method}</span> {escape(path)}</p>'
    yield f"<p>{prose(operation['description'])}</p>"
    yield from _parameters(operation.get("parameters", []))
    example = _body_example(document, operation)
    yield from _request(method, path, operation, example)
    yield from _answers(document, operation["responses"])
    yield "</article>"


def _parameters(parameters: list[Json]) -> Iterator[str]:
    if not parameters:
        return
    yield "<h4>Parameters</h4><table><tr><th>Name</th><th>Type</th><th></th></tr>"
    for parameter in parameters:
        needed = "" if parameter["required"] else "optional"
        where = " ".join(filter(None, (parameter["in"], needed)))
        yield f"<tr><td><code>{escape(parameter['name'])}</code></td>"
        yield f'<td class="kind">{kind_of(parameter["schema"])}<br>{where}</td>'
        yield f"<td>{prose(parameter.get('description', ''))}</td></tr>"
    yield "</table>"


def _request(method: str, path: str, operation: Json, example: Any) -> Iterator[str]:
    body = operation.get("requestBody")
    if body is not None:
        media_type, content = next(iter(body["content"].items()))
        name = reference_name(content["schema"])
        needed = "" if body.get("required", False) else ", optional"
        yield f'<h4>Body</h4><p><a href="#schema-{name}">{name}</a> as <code>{media_type}</code>{needed}</p>'
    yield f"<h4>Example</h4><pre><code>{escape(_curl(method, path, operation, example), quote=False)}</code></pre>"


def _curl(method: str, path: str, operation: Json, example: Any) -> str:
    url = "http://127.0.0.1:8080" + path.replace("{memory_id}", _EXAMPLE_ID).replace(
        "{key_id}", "5f0c7c1c2f1d8ef8"
    )
    lines = [
        "curl"
        + ("" if method in {"GET", "POST"} and (method == "GET" or example is not None) else f" -X {method}")
    ]
    required = [one for one in operation.get("parameters", []) if one["required"] and one["in"] == "query"]
    if required:
        lines[0] += " -G"
    lines[0] += f" {url}"
    for parameter in required:
        value = next(iter(parameter["schema"].get("examples", ["..."])))
        lines.append(f"  --data-urlencode {shlex.quote(parameter['name'] + '=' + str(value))}")
    if example is not None:
        media_type = next(iter(operation["requestBody"]["content"]))
        lines.append(f"  -H 'Content-Type: {media_type}'")
        lines.append(f"  -d {shlex.quote(json.dumps(example, indent=2, ensure_ascii=False))}")
    return " \\\n".join(lines)


def _body_example(document: Json, operation: Json) -> Any:
    body = operation.get("requestBody")
    return None if body is None else _example(document, next(iter(body["content"].values()))["schema"])


def _answers(document: Json, responses: Json) -> Iterator[str]:
    good = {status: one for status, one in sorted(responses.items()) if status < "400"}
    yield "<h4>Answers</h4>"
    yield from _answer_table(good)
    example = next(
        (shown for one in reversed(good.values()) if (shown := _answer_example(document, one))), None
    )
    if example is not None:
        text = escape(json.dumps(example, indent=2, ensure_ascii=False), quote=False)
        yield f"<details><summary>An answer</summary><pre><code>{text}</code></pre></details>"
    yield "<details><summary>Errors</summary>"
    yield from _answer_table({status: one for status, one in sorted(responses.items()) if status >= "400"})
    yield "</details>"


def _answer_table(responses: Json) -> Iterator[str]:
    yield "<table>"
    for status, response in responses.items():
        name = reference_name(_schema(response))
        shown = f'<a href="#schema-{name}">{name}</a>' if name else ""
        headers = " ".join(f"<code>{escape(header)}</code>" for header in response.get("headers", {}))
        yield f"<tr><td><code>{status}</code></td><td>{prose(response['description'])} {headers}</td>"
        yield f"<td>{shown}</td></tr>"
    yield "</table>"


def _answer_example(document: Json, response: Json) -> Any:
    return _example(document, _schema(response))


def _schema(response: Json) -> Json:
    return next(iter(response.get("content", {}).values()), {}).get("schema", {})


def _example(document: Json, schema: Json) -> Any:
    name = reference_name(schema)
    examples = document["components"]["schemas"].get(name, {}).get("examples", []) if name else []
    return examples[0] if examples else None
