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
    assert await barrier.wait({0: at(5)}, timeout_s=0)
    assert barrier.position == at(5)


async def test_everybody_up_to_the_position_is_released_and_nobody_behind_it() -> None:
    barrier = IndexBarrier()
    early = [asyncio.create_task(barrier.wait({0: at(n)}, timeout_s=60)) for n in (3, 1, 2)]
    late = asyncio.create_task(barrier.wait({0: at(9)}, timeout_s=0.1))
    await asyncio.sleep(0)
    barrier.advance(at(3))
    assert await asyncio.gather(*early) == [True, True, True]
    assert await late is False


async def test_one_who_gave_up_does_not_stop_the_others() -> None:
    barrier = IndexBarrier()
    assert await barrier.wait({0: at(1)}, timeout_s=0.01) is False
    waiting = asyncio.create_task(barrier.wait({0: at(2)}, timeout_s=60))
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
    waiting = asyncio.create_task(barrier.wait({0: at(1)}, timeout_s=60))
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


async def test_a_change_that_is_seen_ahead_releases_who_waits_for_it_and_nobody_else() -> None:
    barrier = IndexBarrier()
    behind, between, later = [asyncio.create_task(barrier.wait({0: at(n)}, timeout_s=60)) for n in (7, 6, 8)]
    await asyncio.sleep(0)
    barrier.ahead([at(7), at(9)])
    assert await behind
    assert not between.done()
    # Who comes only now does not wait; and nothing in front of it is seen for that.
    assert await barrier.wait({0: at(9)}, timeout_s=0)
    assert not barrier.sees({0: at(8)})
    barrier.advance(at(8))
    assert await asyncio.gather(between, later) == [True, True]
    assert barrier.position == at(8)


async def test_what_was_ahead_of_another_index_is_not_seen_in_this_one() -> None:
    barrier = IndexBarrier(2)
    barrier.ahead([at(7)], partition=1)
    assert barrier.sees({1: at(7)})
    assert not barrier.sees({0: at(7)})
    barrier.start_from(at(3), partition=1)
    assert not barrier.sees({1: at(7)})


async def test_nothing_is_kept_that_is_ahead_no_more() -> None:
    barrier = IndexBarrier()
    barrier.ahead([at(4), at(7)])
    # Said once more by who began again.
    barrier.ahead([at(5), at(9)])
    barrier.advance(at(8))
    barrier.ahead([at(8)])
    assert list(barrier._ahead[0]) == [at(9)]
