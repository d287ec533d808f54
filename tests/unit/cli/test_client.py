"""What a server answers, as it is told at a terminal."""

import httpx
import pytest

from mnemata.api.rest.errors import problem_response
from mnemata.cli.client import Client
from mnemata.cli.exits import ServerProblem
from mnemata.domain.errors import RateLimited


async def test_who_has_to_wait_is_told_the_seconds_and_no_header():
    refusal = problem_response(RateLimited(limit=3, retry_after_s=6.2))
    answered = httpx.MockTransport(
        lambda _: httpx.Response(refusal.status_code, headers=dict(refusal.headers), content=refusal.body)
    )

    async with httpx.AsyncClient(transport=answered, base_url="http://test") as http:
        with pytest.raises(ServerProblem) as told:
            await Client(http, where="The test's server", has_key=True).get("/v1/status")

    assert str(told.value) == "This key may send 3 requests a minute. Wait 7 s."
