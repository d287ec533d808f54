"""Generated requests, fitting and not, against every operation: the answers keep the contract."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks

from mnemata.api.rest.app import bare_app

load_all_checks()
# The schema cannot say everything that makes a value good: a filter's fields, a cursor, a size in bytes of UTF-8.
NOT_SAID = [CHECKS.get_one("positive_data_acceptance")]
# A batch is answered 200 with an outcome per item, also where an item does not keep the schema.
JUDGED_BY_ITEM = [*NOT_SAID, CHECKS.get_one("negative_data_rejection")]

# One process has no workers for imports in the background, and says so with 503 to what is right.
NOT_HERE = [*NOT_SAID, CHECKS.get_one("not_a_server_error")]
EXCLUDED = {"/v1/memories:batch": JUDGED_BY_ITEM, "/v1/memories:import": NOT_HERE}

# What is above a limit is refused with 413, which is not among the refusals that are expected at first. Requests
# do not learn from earlier answers: every run sends the same ones, in whatever order the tests come.
_REFUSALS = ["400", "401", "403", "404", "409", "412", "413", "415", "422"]
_PHASES = ("examples", "coverage", "fuzzing")
CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "request-timeout": 240,
        "checks": {"negative_data_rejection": {"expected-statuses": _REFUSALS}},
        "generation": {"deterministic": True},
        "phases": {phase: {"extra-data-sources": {"responses": False}} for phase in _PHASES},
    }
)

# A backup writes where it is told to, and a rebuild takes its time: they have tests of their own.
schema = schemathesis.openapi.from_dict(bare_app().openapi(), config=CONFIG).exclude(
    operation_id=["make_backup", "rebuild_index"]
)


@pytest.fixture(scope="module")
def credential(served: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.key('generated', 'operator')}"}


@schema.parametrize()
@hypothesis.settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_keeps_the_contract(case: Any, served: Any, credential: dict[str, str]) -> None:
    excluded = EXCLUDED.get(case.path, NOT_SAID)
    case.call_and_validate(base_url=served.url, headers=credential, excluded_checks=excluded)
