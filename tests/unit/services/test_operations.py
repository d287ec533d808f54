from __future__ import annotations

import pytest

from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.services.operations import Operations

OPERATOR = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)


@pytest.mark.parametrize("name", ["rebuild", "backup", "sweep", "warm"])
async def test_long_work_shows_how_far_it_is_until_it_ends(name):
    seen, told = [], []

    async def work(*arguments):
        arguments[-1](3, 10)
        seen.append(operations.running)
        return {}

    operations = Operations(work)
    await getattr(operations, name)(OPERATOR, progress=lambda done, total: told.append((done, total)))

    assert seen == [{name: {"done": 3, "total": 10}}]
    assert told == [(3, 10)]
    assert operations.running == {}
