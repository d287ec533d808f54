"""Errors become problem documents that say what to do and show nothing that is not the caller's business."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from mnemata.api.rest.errors import error_status, problem, problem_response, status_of
from mnemata.api.rest.reference.codes import error_codes
from mnemata.domain.errors import (
    Forbidden,
    InvalidField,
    Kind,
    MemoryNotFound,
    MnemataError,
    ModelDamaged,
    StoreUnavailable,
    Unauthenticated,
)

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_an_error_status(kind: Kind) -> None:
    assert 400 <= status_of(kind) < 600


def test_a_problem_has_the_members_of_rfc_9457_its_code_and_its_facts() -> None:
    error = InvalidField(
        field="importance", reason="is not between 0 and 1", remedy="Send a number from 0 to 1"
    )

    assert problem(error) == {
        "type": "/docs#error-invalid_field",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "importance: is not between 0 and 1. Send a number from 0 to 1.",
        "code": "invalid_field",
        "field": "importance",
        "reason": "is not between 0 and 1",
        "remedy": "Send a number from 0 to 1",
    }


def test_facts_of_any_type_can_be_sent() -> None:
    memory_id = uuid4()

    body = orjson.loads(problem_response(MemoryNotFound(memory_id=memory_id)).body)

    assert body["memory_id"] == str(memory_id)


def test_paths_of_the_machine_are_not_shown() -> None:
    error = ModelDamaged(
        path="/srv/secret/model.onnx", reason="its checksum is wrong", remedy="Install it again"
    )

    assert "/srv/secret" not in orjson.dumps(problem(error)).decode()


def test_half_a_surrogate_pair_in_a_fact_can_be_answered() -> None:
    error = InvalidField(field="a\ud800", reason="is not known", remedy="Leave it out")

    assert orjson.loads(problem_response(error).body)["field"] == "a?"


def test_waiting_time_becomes_retry_after_in_whole_seconds() -> None:
    response = problem_response(StoreUnavailable(what="PostgreSQL", reason="it restarts", retry_after_s=0.2))

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_a_missing_credential_is_answered_with_how_to_send_one() -> None:
    response = problem_response(Unauthenticated(reason="No key"))

    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="mnemata"')


def test_an_error_of_ours_is_500_and_says_nothing_of_the_cause() -> None:
    error = MnemataError()

    assert (error_status(error), problem(error)["detail"]) == (
        500,
        "Something went wrong on our side; the log has the details.",
    )


def test_a_forbidden_call_says_which_role_it_needs() -> None:
    assert problem(Forbidden(role="reader", needed="writer"))["needed"] == "writer"


def test_every_code_is_explained_once_in_the_page_of_errors() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")

    for error in error_codes():
        assert page.count(f"| `{error.code}` | {error.status} |") == 1, error.code


def test_the_page_of_errors_explains_no_code_that_does_not_exist() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]

    assert set(rows) == {error.code for error in error_codes()}
