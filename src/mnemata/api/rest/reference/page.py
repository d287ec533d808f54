"""The API reference at /docs: one page of plain HTML made from the OpenAPI document; no script, nothing loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from mnemata.api.rest.reference.codes import ErrorCode, error_codes
from mnemata.api.rest.reference.operations import operation_article
from mnemata.api.rest.reference.schemas import prose, schema_article

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePage:
    """`policy`: the Content-Security-Policy that the page needs: its own style and nothing else."""

    html: str
    policy: str


def reference_page(document: Json) -> ReferencePage:
    """The page for an OpenAPI document."""
    style = (files("mnemata.api.rest.reference") / "style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return ReferencePage(
        html="".join(_page(document, style)),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'",
    )


def _page(document: Json, style: str) -> Iterator[str]:
    info = document["info"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])} API</title><style>{style}</style></head><body>"
    yield from _navigation(document)
    yield f"<main><h1>{escape(info['title'])} API</h1>"
    yield "".join(f"<p>{prose(paragraph)}</p>" for paragraph in info["description"].strip().split("\n\n"))
    yield '<p class="soft">The same as a document for machines: <a href="/openapi.json">/openapi.json</a> '
    yield f"(OpenAPI {escape(document['openapi'])}).</p>"
    for tag in document["tags"]:
        yield f'<h2 class="part" id="{escape(tag["name"])}">{escape(tag["name"].capitalize())}</h2>'
        yield f'<p class="soft">{prose(tag["description"])}</p>'
        for method, path, operation in _operations(document, tag["name"]):
            yield operation_article(document, method, path, operation)
    yield from _errors()
    yield '<h2 class="part" id="schemas">Objects</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield schema_article(name, schema)
    yield "</main></body></html>"


def _navigation(document: Json) -> Iterator[str]:
    info = document["info"]
    yield f'<nav><div class="name">{escape(info["title"])}</div>'
    yield f'<div class="version">{escape(info["version"])}</div>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><ul>"
        for _, _, operation in _operations(document, tag["name"]):
            yield f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
        yield "</ul>"
    yield '<h2>More</h2><ul><li><a href="#errors">Errors</a></li><li><a href="#schemas">Objects</a></li></ul></nav>'


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _errors() -> Iterator[str]:
    yield '<h2 class="part" id="errors">Errors</h2>'
    yield '<p class="soft">Every error has one of these codes. They are stable: decide by them, not by the text.</p>'
    yield "<article><table><tr><th>Code</th><th>Status</th><th>Meaning</th></tr>"
    yield from map(_error_row, error_codes())
    yield "</table></article>"


def _error_row(error: ErrorCode) -> str:
    return (
        f'<tr id="error-{escape(error.code)}"><td><code>{escape(error.code)}</code></td>'
        f"<td>{error.status}</td><td>{prose(error.meaning)}</td></tr>"
    )
