import pytest

from mnemata.cli.exits import ExitCode, ServerProblem, exit_code, kind_of_status
from mnemata.domain.errors import Kind


def test_every_kind_of_error_has_an_exit_code_that_is_not_success():
    assert all(exit_code(kind) is not ExitCode.OK for kind in Kind)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 2),
        (401, 4),
        (403, 4),
        (404, 3),
        (405, 2),
        (409, 5),
        (412, 5),
        (413, 6),
        (415, 2),
        (422, 2),
        (429, 6),
        (500, 1),
        (502, 7),
        (503, 7),
        (504, 7),
    ],
)
def test_status_of_a_server_leads_to_the_documented_exit_code(status, code):
    assert exit_code(kind_of_status(status)) == code


def test_problem_of_a_server_keeps_its_code_sentence_and_retry_time():
    problem = ServerProblem(status=503, code="pool_exhausted", detail="Busy.", retry_after_s=2)

    assert (problem.kind, problem.code, str(problem), problem.retry_after_s) == (
        Kind.UNAVAILABLE,
        "pool_exhausted",
        "Busy.",
        2.0,
    )
