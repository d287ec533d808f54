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

# What is above a limit is refused with 413, which is not among the refusals that are expected at first.
CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "409", "412", "413", "415", "422"]
            }
        }
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
    case.call_and_validate(base_url=served.url, headers=credential, excluded_checks=NOT_SAID)
