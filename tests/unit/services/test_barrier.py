import asyncio
import time

import pytest

from mnemata.domain.change import START, Position
from mnemata.services.barrier import IndexBarrier, Pauses


def at(sequence: int) -> Position:
    return Position(xid=7, sequence=sequence)


async def test_a_position_that_was_reached_is_not_waited_for() -> None:
    barrier = IndexBarrier()
    barrier.advance(at(5))
    assert await barrier.wait(at(5), timeout_s=0)
    assert barrier.position == at(5)


async def test_everybody_up_to_the_position_is_released_and_nobody_behind_it() -> None:
    barrier = IndexBarrier()
    early = [asyncio.create_task(barrier.wait(at(n), timeout_s=60)) for n in (3, 1, 2)]
    late = asyncio.create_task(barrier.wait(at(9), timeout_s=0.1))
    await asyncio.sleep(0)
    barrier.advance(at(3))
    assert await asyncio.gather(*early) == [True, True, True]
    assert await late is False


async def test_one_who_gave_up_does_not_stop_the_others() -> None:
    barrier = IndexBarrier()
    assert await barrier.wait(at(1), timeout_s=0.01) is False
    waiting = asyncio.create_task(barrier.wait(at(2), timeout_s=60))
    await asyncio.sleep(0)
    barrier.advance(at(2))
    assert await waiting is True


async def test_the_position_never_goes_back_by_itself() -> None:
    barrier = IndexBarrier()
    barrier.advance(at(5))
    barrier.advance(at(3))
    assert barrier.position == at(5)


async def test_waiting_wakes_the_indexer_and_a_poll_backs_it_up() -> None:
    barrier = IndexBarrier()
    started = time.monotonic()
    await barrier.work(0.02)
    assert time.monotonic() - started >= 0.015
    barrier.wake()
    async with asyncio.timeout(60):
        await barrier.work(3_600)
    waiting = asyncio.create_task(barrier.wait(at(1), timeout_s=60))
    async with asyncio.timeout(60):
        await barrier.work(3_600)
    barrier.advance(at(1))
    assert await waiting
    assert barrier.position > START


async def test_who_is_woken_and_finds_nothing_looks_again_soon_until_something_was_found() -> None:
    barrier = IndexBarrier()
    pauses = Pauses(barrier, poll_interval_s=3_600.0)
    barrier.wake()
    await pauses.rest()
    async with asyncio.timeout(60):
        await pauses.rest()
        await pauses.rest()
    pauses.found()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await pauses.rest()
