"""The OpenAPI document is the committed one, complete, and its examples are true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mnemata.api.rest.app import bare_app
from mnemata.api.rest.catalogue import OPERATIONS
from mnemata.api.rest.contract import contract
from mnemata.api.rest.operation import Operation
from mnemata.api.rest.reference.codes import error_codes
from mnemata.api.rest.reference.page import reference_page

ROOT = Path(__file__).parents[3]
DOCUMENT = bare_app().openapi()
DESCRIBED = [
    (path, method, one) for path, methods in DOCUMENT["paths"].items() for method, one in methods.items()
]


def test_the_committed_contract_is_the_one_of_the_code() -> None:
    committed = (ROOT / "contracts" / "openapi.json").read_bytes()

    assert committed == contract(), "run: python -m mnemata.api.rest.contract > contracts/openapi.json"


def test_every_operation_is_described() -> None:
    assert len(DESCRIBED) == len(OPERATIONS)
    assert len({one["operationId"] for _, _, one in DESCRIBED}) == len(OPERATIONS)


@pytest.mark.parametrize(("path", "method", "operation"), DESCRIBED)
def test_every_operation_has_words_a_tag_and_problems(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    problems = {
        status: one for status, one in operation["responses"].items() if status >= "400" and path != "/readyz"
    }
    assert "500" in operation["responses"]
    for response in problems.values():
        assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    for name in _references(DOCUMENT):
        assert name in schemas


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_body_and_answer_has_an_example_that_fits_or_none(operation: Operation) -> None:
    models = [operation.body, *(answered.model for answered in operation.answers.values())]

    for model in (one for one in models if one is not None):
        for example in _examples(model):
            model.model_validate(example)


def test_every_body_has_an_example() -> None:
    for operation in OPERATIONS:
        if operation.body is not None:
            assert _examples(operation.body), operation.name


def test_every_operation_is_in_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")

    for operation in OPERATIONS:
        path = re.sub(r"\{\w+_id\}", "{id}", operation.path)
        assert f"`{operation.method} {path}`" in page, operation.name


def test_the_reference_shows_every_operation_object_and_error() -> None:
    html = reference_page(DOCUMENT).html

    for _, _, operation in DESCRIBED:
        assert f'<article id="{operation["operationId"]}">' in html
    for name in DOCUMENT["components"]["schemas"]:
        assert f'<article id="schema-{name}">' in html
    for error in error_codes():
        assert f'id="error-{error.code}"' in html


def test_the_reference_loads_nothing_and_runs_nothing() -> None:
    page = reference_page(DOCUMENT)

    assert "<script" not in page.html
    assert "src=" not in page.html
    assert "@import" not in page.html
    assert "url(" not in page.html
    assert page.policy.startswith("default-src 'none'; style-src 'sha256-")


def test_links_within_the_reference_lead_somewhere() -> None:
    html = reference_page(DOCUMENT).html
    targets = {part.partition('"')[0] for part in html.split(' href="#')[1:]}

    assert targets
    for target in targets:
        assert f'id="{target}"' in html


def _examples(model: type[BaseModel]) -> list[Any]:
    return DOCUMENT["components"]["schemas"][model.__name__].get("examples", [])


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()
