"""What an index in a search cluster does beyond the common suite: many processes, tickets, positions, switches."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mnemata.domain.change import START, Position
from mnemata.domain.clock import ManualClock
from mnemata.domain.errors import IndexMoved, IndexRefused, IndexUnavailable
from mnemata.domain.filter import (
    EVERYTHING,
    AllOf,
    And,
    AnyOf,
    Exists,
    Field,
    Not,
    Or,
    Prefix,
    Range,
    matches,
)
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import Memory, MemoryDraft, text_hash
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.vector import Metric, Space
from mnemata.index.protocol import PENDING, Embedded, IndexQuery, Remove, Upsert, partition_of
from mnemata.platform import Platform
from mnemata.settings import CacheSettings, SearchSettings

SPACE = Space(name="test/1", dimensions=8)
ANA, BEN = TenantId("ana"), TenantId("ben")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = SequentialIds()


@pytest.fixture(params=["elasticsearch", "opensearch"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def name(request) -> str:
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def make_index(cluster_index, kind, name):
    """Engines of one index, as in several processes."""
    return lambda **options: cluster_index(kind, name, space=SPACE, **options)


@pytest.fixture
async def index(make_index):
    engine = make_index()
    await engine.open()
    yield engine
    await engine.close()


def memory(content: str, **values: Any) -> Memory:
    empty: dict[str, Any] = {field.name: None for field in fields(Memory)}
    given: dict[str, Any] = {
        "id": IDS.new(),
        "tenant": ANA,
        "content": content,
        "content_hash": text_hash(content),
        "kind": "semantic",
        "tags": (),
        "metadata": {},
        "importance": 0.5,
        "created_at": NOON,
        "updated_at": NOON,
        "version": 1,
    }
    return Memory(**(empty | given | values))


def upsert(content: str, *, axis: int | None = None, **values: Any) -> Upsert:
    vector = PENDING
    if axis is not None:
        row = np.zeros(SPACE.dimensions, np.float32)
        row[axis] = 1.0
        vector = Embedded(vector=row, space=SPACE)
    return Upsert(memory=memory(content, **values), vector=vector)


def saying(first: Upsert, content: str) -> Upsert:
    return replace(first, memory=replace(first.memory, content=content))


def at(sequence: int) -> Position:
    return Position(xid=3, sequence=sequence)


async def found(index, text: str, *, tenant: TenantId = ANA) -> int:
    query = IndexQuery(tenant=tenant, mode=Mode.LEXICAL, words=Words(text=text))
    return (await index.search(query)).total


async def test_every_page_of_a_question_is_asked_of_one_copy(index, monkeypatch):
    await index.apply([upsert("green tea", axis=0)], position=at(1))
    copies: list[set[str]] = []
    send = index._connection.send_lines

    async def sending(path: str, lines: list[bytes], **more: Any) -> Any:
        copies.append({orjson.loads(head)["preference"] for head in lines[::2]})
        return await send(path, lines, **more)

    monkeypatch.setattr(index._connection, "send_lines", sending)
    vector = np.eye(1, SPACE.dimensions, dtype=np.float32)[0]
    for text, depth in (("green", 10), ("green", 200), ("tea", 10)):
        query = IndexQuery(tenant=ANA, mode=Mode.HYBRID, words=Words(text=text), vector=vector, depth=depth)
        assert (await index.search(query)).total == 1
    page, later, other = copies

    assert page == later != other
    assert len(page) == 1


# --- tickets ---------------------------------------------------------------------------------------------------------


async def test_what_an_earlier_reading_says_never_replaces_what_a_later_one_said(index):
    first = upsert("old words")
    await index.apply([saying(first, "new words")], position=at(2), ticket=20)
    await index.apply([first], position=at(1), ticket=10)
    assert (await found(index, "new"), await found(index, "old")) == (1, 0)


async def test_a_memory_that_a_later_reading_found_gone_does_not_come_back(index):
    first = upsert("gone")
    await index.apply([first], position=at(1), ticket=5)
    await index.apply([Remove(tenant=ANA, memory_id=first.memory.id)], position=at(3), ticket=30)
    await index.apply([first], position=at(2), ticket=20)
    assert await found(index, "gone") == 0


async def test_every_batch_twice_and_in_any_order_ends_as_the_last_reading(index):
    first = upsert("version 0")
    batches = [(saying(first, f"version {ticket}"), ticket) for ticket in (1, 2, 3, 4)]
    for action, ticket in [*batches, *reversed(batches), *batches[::2]]:
        await index.apply([action], position=START, ticket=ticket)
    assert await found(index, "4") == 1
    assert await found(index, "version") == 1


# --- positions -------------------------------------------------------------------------------------------------------


async def test_partitions_have_positions_of_their_own_which_another_process_reads(index, make_index):
    await index.apply([upsert("one")], position=at(7), partition=3, ticket=1)
    other = make_index()
    positions = await other.open()
    assert (len(positions), positions[3], min(positions)) == (16, at(7), START)
    assert (await other.statistics()).positions == positions
    await other.close()


async def test_positions_only_move_forward_whoever_moves_them(index, make_index):
    other = make_index()
    await other.open()
    await index.apply([], position=at(9), partition=0)
    await other.apply([], position=at(4), partition=0)
    await other.apply([], position=at(11), partition=0)
    await index.apply([], position=at(10), partition=0)
    await other.close()
    assert (await index.statistics()).positions[0] == at(11)


async def test_many_processes_move_one_position_at_once(index, make_index):
    engines = [make_index() for _ in range(4)]
    for engine in engines:
        await engine.open()
    moves = [engine.apply([], position=at(n), partition=1) for n, engine in enumerate(engines, 1)]
    await asyncio.gather(*moves)
    assert (await index.statistics()).positions[1] == at(4)
    for engine in engines:
        await engine.close()


def test_a_memory_is_always_in_the_same_partition():
    ids = [IDS.new() for _ in range(500)]
    assert {partition_of(one, 1) for one in ids} == {0}
    assert {partition_of(one, 16) for one in ids} == set(range(16))


# --- several processes -----------------------------------------------------------------------------------------------


async def test_processes_that_open_a_new_index_at_once_share_one(make_index):
    engines = [make_index() for _ in range(3)]
    await asyncio.gather(*(engine.open() for engine in engines))
    # One of them may have made an index that another replaced: who opens again is in the live one.
    for engine in engines:
        await engine.open()
    (name,) = {engine.generation.name for engine in engines}
    assert await aliased(engines[0]) == {name}
    for engine in engines:
        await engine.close()


@pytest.mark.parametrize("lowest_is_last", [False, True])
async def test_first_starts_that_both_saw_no_live_index_leave_one(make_index, monkeypatch, lowest_is_last):
    engines = [make_index(), make_index()]
    gates = [Gate(monkeypatch, engine) for engine in engines]
    opening = []
    for engine, gate in zip(engines, gates, strict=True):
        opening.append(asyncio.create_task(engine.open()))
        await gate.reached.wait()
    for one in (1, 0) if lowest_is_last else (0, 1):
        gates[one].open.set()
        await opening[one]

    assert await aliased(engines[0]) == {f"{engines[0].generation.alias}-000001"}
    for n, engine in enumerate(engines):
        await written_in_the_end(engine, upsert("shared"), at(n + 1))
    assert {engine.generation.number for engine in engines} == {1}
    assert await found(engines[0], "shared") == 2
    for engine in engines:
        await engine.close()


async def test_a_process_that_writes_to_a_replaced_index_must_open_again(index, make_index):
    other = make_index()
    await other.open()
    await other.apply([upsert("before")], position=at(5), ticket=1)
    staged = await index.stage()
    await staged.apply([upsert("staged")], position=at(2), ticket=2)
    await index.adopt(staged)

    for _ in range(2):
        with pytest.raises(IndexMoved):
            await other.apply([upsert("lost")], position=at(6), ticket=3)
    assert await found(other, "staged") == 1
    assert set(await other.open()) == {at(2)}
    await other.apply([upsert("again")], position=at(6), ticket=4)
    assert await found(index, "again") == 1
    await other.close()


async def test_a_replaced_index_is_kept_for_its_time_and_then_deleted(make_index):
    clock = ManualClock(NOON)
    index = make_index(clock=clock, keep_old_s=3_600.0)
    await index.open()
    old = index.generation.name
    await index.adopt(await index.stage())
    clock.set(NOON + timedelta(minutes=59))
    await index.flush()
    assert old in await every_index(index)
    clock.set(NOON + timedelta(minutes=61))
    await index.flush()
    assert await every_index(index) == {index.generation.name}
    await index.close()


async def test_a_process_that_takes_an_index_for_what_it_was_before_cannot_write_to_it(index, make_index):
    idle = make_index()
    await idle.open()
    old = index.generation.name
    await index.adopt(await index.stage())
    again = await index.beside(old)
    with pytest.raises(IndexMoved):
        await idle.apply([upsert("lost")], position=at(5), ticket=1)
    assert await found(again, "lost") == 0
    await idle.close()


async def test_a_deleted_index_is_not_guessed_again_by_the_cluster(index):
    made = "action.auto_create_index"
    await index._connection.send("PUT", "/_cluster/settings", {"persistent": {made: "true"}})
    try:
        await index._connection.send("DELETE", f"/{index.generation.name}")
        for _ in range(2):
            with pytest.raises(IndexMoved):
                await index.apply([upsert("lost")], position=at(1), ticket=1)
        with pytest.raises(IndexUnavailable):
            await found(index, "lost")
        assert set(await index.open()) == {START}
        await index.apply([upsert("again")], position=at(1), ticket=1)
        assert await found(index, "again") == 1
    finally:
        await index._connection.send("PUT", "/_cluster/settings", {"persistent": {made: None}})


async def every_index(index) -> set[str]:
    reply = await index._connection.send("GET", f"/{index.generation.alias}-*")
    return set(reply.body)


async def aliased(index) -> set[str]:
    """What searches by the alias are answered from."""
    reply = await index._connection.send("GET", f"/_alias/{index.generation.alias}")
    return set(reply.body)


async def written_in_the_end(index, action: Upsert, position: Position) -> None:
    """As a worker does: opens again what moved, and tries again what failed."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await index.apply([action], position=position, ticket=position.sequence)
            except IndexMoved:
                await index.open()
            except IndexUnavailable:
                await asyncio.sleep(0.02)


# --- switches that go wrong ------------------------------------------------------------------------------------------


class Gate:
    """Holds an engine's next change of aliases until it is open."""

    def __init__(self, monkeypatch, index) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        send = index._connection.send

        async def sending(method: str, target: str, *more: Any, **how: Any) -> Any:
            if target == "/_aliases":
                self.reached.set()
                await self.open.wait()
            return await send(method, target, *more, **how)

        monkeypatch.setattr(index._connection, "send", sending)


def fail_once(monkeypatch, index, *, done: bool) -> None:
    """The engine's next change of aliases is told to have failed; `done`: it was made all the same."""
    send = index._connection.send
    failures = [IndexUnavailable(what="the search cluster", reason="it cannot be reached", retry_after_s=1)]

    async def sending(method: str, target: str, *more: Any, **how: Any) -> Any:
        if target != "/_aliases" or not failures:
            return await send(method, target, *more, **how)
        if done:
            await send(method, target, *more, **how)
        raise failures.pop()

    monkeypatch.setattr(index._connection, "send", sending)


async def block(index, name: str, *, blocked: bool | None = True) -> None:
    settings = {"index": {"blocks": {"write": blocked}}}
    await index._connection.send("PUT", f"/{name}/_settings", settings)


async def is_blocked(index, name: str) -> bool:
    reply = await index._connection.send("GET", f"/{name}/_settings")
    return "blocks" in reply.body[name]["settings"]["index"]


async def test_a_switch_that_fails_leaves_an_index_that_is_written(index, monkeypatch):
    staged = await index.stage()
    fail_once(monkeypatch, index, done=False)
    with pytest.raises(IndexUnavailable):
        await index.adopt(staged)
    await index.apply([upsert("after")], position=at(1), ticket=1)
    assert await found(index, "after") == 1

    new = staged.name
    await index.adopt(staged)
    assert await aliased(index) == {index.name} == {new}


async def test_a_switch_that_happened_in_spite_of_its_error_is_gone_on_with(index, make_index, monkeypatch):
    other = make_index()
    await other.open()
    old, staged = index.name, await index.stage()
    fail_once(monkeypatch, index, done=True)
    await index.adopt(staged)

    assert await aliased(index) == {index.name} != {old}
    assert await is_blocked(index, old)
    with pytest.raises(IndexMoved):
        await other.apply([upsert("lost")], position=at(1), ticket=1)
    await index.apply([upsert("after")], position=at(1), ticket=1)
    assert await found(index, "after") == 1
    await other.close()


async def test_what_a_process_blocked_that_was_killed_in_its_switch_is_written_again(index, make_index):
    other = make_index(switch_s=0.2)
    await other.open()
    await block(index, index.name)
    with pytest.raises(IndexUnavailable) as failed:
        await other.apply([upsert("at last")], position=at(1), ticket=1)
    assert not isinstance(failed.value, IndexMoved)
    await written_in_the_end(other, upsert("at last"), at(1))
    assert await found(index, "at last") == 1
    await other.close()


async def test_who_opens_an_index_lifts_a_block_that_was_left_behind(index, make_index):
    await block(index, index.name)
    other = make_index(switch_s=0.0)
    await other.open()
    await other.apply([upsert("at once")], position=at(1), ticket=1)
    assert await found(index, "at once") == 1
    await other.close()


async def test_a_block_is_left_alone_for_as_long_as_a_switch_may_take(index, make_index):
    patient = make_index(switch_s=3_600.0)
    await patient.open()
    await block(index, index.name)
    for _ in range(2):
        with pytest.raises(IndexUnavailable):
            await patient.apply([upsert("early")], position=at(1), ticket=1)
    assert await is_blocked(index, index.name)
    await patient.close()


async def test_a_write_between_two_blocks_begins_the_time_again(index, make_index, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mnemata.index.cluster.blocks.time.monotonic", lambda: now[0])
    writer = make_index(switch_s=60.0)
    await writer.open()
    for moment in (1_000.0, 2_000.0):
        now[0] = moment
        await block(index, index.name)
        with pytest.raises(IndexUnavailable):
            await writer.apply([upsert("early")], position=at(1), ticket=1)
        assert await is_blocked(index, index.name)
        await block(index, index.name, blocked=None)
        await writer.apply([upsert("late")], position=at(int(moment)), ticket=2)
    await writer.close()


async def test_a_slow_switch_that_goes_on_after_its_block_was_lifted_ends_with_one_writable_index(
    index, make_index, monkeypatch
):
    writer = make_index(switch_s=0.0)
    await writer.open()
    old, staged = index.name, await index.stage()
    gate = Gate(monkeypatch, index)
    adopting = asyncio.create_task(index.adopt(staged))
    await gate.reached.wait()
    await written_in_the_end(writer, upsert("meanwhile"), at(5))
    gate.open.set()
    await adopting

    assert await is_blocked(index, old)
    with pytest.raises(IndexMoved):
        await writer.apply([upsert("lost")], position=at(6), ticket=6)
    assert set(await writer.open()) == {START}
    await written_in_the_end(writer, upsert("meanwhile"), at(6))
    assert await found(index, "meanwhile") == 1
    await writer.close()


async def test_a_replaced_index_is_not_written_even_without_its_block_and_can_be_taken_up(index, make_index):
    """Its process was killed right after the aliases were changed: no second block, and no word that it was replaced."""
    writer = make_index()
    await writer.open()
    old = index.name
    await index.adopt(await index.stage())
    await block(index, old, blocked=None)
    await index._catalogue.describe(old, {"retired_at": None})

    removing = Remove(tenant=ANA, memory_id=IDS.new())
    for action in (upsert("lost"), removing):
        with pytest.raises(IndexMoved):
            await writer.apply([action], position=at(1), ticket=1)
    again = await index.beside(old)
    await again.apply([upsert("again")], position=at(1), ticket=2)
    assert await found(again, "again") == 1
    await writer.close()


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_a_document_that_the_cluster_refuses_is_told_and_loses_no_other(index):
    good, bad = upsert("good"), upsert("bad", external_id="x" * 40_000)
    with pytest.raises(IndexRefused):
        await index.apply([good, bad], position=at(1), ticket=1)
    await index.apply([good], position=at(1), ticket=1)
    assert (await found(index, "good"), await found(index, "bad")) == (1, 0)


async def test_a_memory_of_the_largest_size_is_written(index):
    await index.apply([upsert("wombat " + "ox " * 340_000), upsert("short")], position=at(1), ticket=1)
    assert (await found(index, "wombat"), await found(index, "short")) == (1, 1)


async def test_an_index_out_of_reach_says_so_and_nothing_else(kind, cluster_url):
    from mnemata.domain.clock import SystemClock
    from mnemata.index.cluster.engine import ClusterIndex
    from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions

    access = Access(urls=("http://127.0.0.1:9",), search_timeout_s=5.0, write_timeout_s=5.0)
    options = ClusterOptions(access=access)
    index = ClusterIndex(ClusterKind(kind), epoch="e", space=SPACE, options=options, clock=SystemClock())
    with pytest.raises(IndexUnavailable):
        await index.open()
    with pytest.raises(IndexUnavailable):
        await index.search(IndexQuery(tenant=ANA, mode=Mode.LEXICAL, words=Words(text="a")))
    await index.close()


# --- tenants, metrics, synonyms --------------------------------------------------------------------------------------


async def test_a_tenant_may_have_an_index_of_its_own_and_moves_with_the_others(make_index):
    index = make_index(own=(BEN,))
    await index.open()
    await index.apply([upsert("shared"), upsert("shared", tenant=BEN)], position=at(1), ticket=1)
    assert (await found(index, "shared"), await found(index, "shared", tenant=BEN)) == (1, 1)
    assert (await index.statistics()).documents == 2
    assert (await index.statistics(BEN)).documents == 1

    staged = await index.stage()
    await staged.apply([upsert("moved", tenant=BEN)], position=at(2), ticket=2)
    await index.adopt(staged)
    assert (await found(index, "moved", tenant=BEN), await found(index, "shared", tenant=BEN)) == (1, 0)
    assert await index.matching(ANA, EVERYTHING, leg="lexical") == frozenset()
    await index.close()


@pytest.mark.parametrize("metric", list(Metric))
async def test_vector_scores_are_exact_in_every_metric(make_index, metric):
    index = make_index(metric=metric)
    await index.open()
    rows = np.random.default_rng(5).normal(size=(40, SPACE.dimensions)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    upserts = [
        Upsert(memory=memory(f"n{n}"), vector=Embedded(vector=row, space=SPACE)) for n, row in enumerate(rows)
    ]
    await index.apply(upserts, position=at(1), ticket=1)
    query = IndexQuery(tenant=ANA, mode=Mode.VECTOR, words=Words(), vector=rows[0], depth=10)
    told = (await index.search(query)).vector

    exact = -np.sum((rows - rows[0]) ** 2, axis=1) if metric is Metric.L2 else rows @ rows[0]
    best = sorted(range(40), key=lambda n: -exact[n])[:10]
    assert [one.memory_id for one in told] == [upserts[n].memory.id for n in best]
    assert [one.score for one in told] == pytest.approx([float(exact[n]) for n in best], abs=2e-3)
    await index.close()


async def test_synonyms_find_where_the_cluster_can(cluster_index, name):
    index = cluster_index("opensearch", name, space=SPACE, synonyms=("boat, ship, vessel", "nyc => new york"))
    await index.open()
    await index.apply([upsert("The ships left the harbour"), upsert("A trip to New York")], position=at(1))
    assert (await index.statistics()).details["analysis"] == "cluster"
    assert await found(index, "boat") == 1
    assert await found(index, "nyc") == 1
    assert await found(index, "aeroplane") == 0
    await index.close()


# --- filters: any memories, any condition ----------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "ab", "a.b*", "ab\nc", "é", "x" * 250, "(a|b)", "\\d", " a", ""])
STRINGS = NAMES | st.sampled_from(["2026-05-01", "2026-05-01T12:00:00.000001Z", "\x1fa", "日" * 90])
NUMBERS = st.sampled_from([0, 1, -1, 0.5, 1e300, -1e300, 5e-324, float(2**53 - 1)]) | st.floats(-5, 5)
TIMES = st.sampled_from([NOON, NOON + timedelta(microseconds=1)]) | st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 (hypothesis adds the zone)
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
KEYS = st.sampled_from(["a", "b", "a.b", "c\\", ".", "a\nb"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
MEMORIES = st.lists(
    st.fixed_dictionaries(
        {
            "tags": st.lists(NAMES, max_size=3, unique=True).map(tuple),
            "metadata": st.dictionaries(KEYS, VALUES, max_size=3),
            "sequence": st.none() | st.sampled_from([0, 1, 2**53 - 1]),
            "importance": st.floats(0, 1),
            "user_id": st.none() | NAMES,
            "occurred_at": st.none() | TIMES,
        }
    ),
    min_size=8,
    max_size=24,
)


def ranges(field, bounds):
    bound = st.none() | bounds
    return st.builds(
        Range, field=field, low=bound, high=bound, include_low=st.booleans(), include_high=st.booleans()
    )


def chosen(field, values):
    few = st.lists(values, max_size=4).map(tuple)
    return st.builds(AnyOf, field=field, values=few) | st.builds(Exists, field=field)


def named(name):
    return st.just(Field(name=name))


PATHS = st.builds(Field, name=st.just("metadata"), path=st.lists(KEYS, min_size=1, max_size=3).map(tuple))
LEAVES = st.one_of(
    chosen(PATHS, STRINGS | NUMBERS | TIMES | st.booleans()),
    st.builds(AllOf, field=PATHS | named("tags"), values=st.lists(STRINGS, max_size=3).map(tuple)),
    ranges(PATHS, NUMBERS),
    ranges(PATHS, TIMES),
    st.builds(Prefix, field=PATHS | named("tags") | named("user_id"), text=STRINGS),
    chosen(named("user_id") | named("tags"), NAMES),
    chosen(named("sequence") | named("importance"), NUMBERS) | ranges(named("importance"), NUMBERS),
    chosen(named("occurred_at"), TIMES) | ranges(named("occurred_at"), TIMES),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, item=inner),
        st.builds(And, items=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, items=st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@hypothesis_settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(MEMORIES, st.lists(CONDITIONS, min_size=30, max_size=30))
async def test_every_filter_chooses_what_the_reference_chooses(index, values, conditions):
    tenant = TenantId(f"t{IDS.new()}")
    stored = [memory("c", tenant=tenant, **one) for one in values]
    await index.apply([Upsert(memory=one, vector=PENDING) for one in stored], position=START)
    for condition in conditions:
        expected = {one.id for one in stored if matches(condition, one)}
        assert await index.matching(tenant, condition, leg="lexical") == expected, condition


# --- the platform on a cluster ---------------------------------------------------------------------------------------


async def test_platform_finds_in_the_cluster_what_it_has_just_stored(
    make_index, kind, name, cluster_url, settings, scope
):
    # Its indices are deleted with those of the engines of this test.
    make_index()
    search = SearchSettings(kind=kind, url=cluster_url(kind), index=name, shards=1, search_timeout_s=60)
    nothing_else = {"search": search, "cache": CacheSettings(url="off")}
    platform = await Platform.open(settings.model_copy(update=nothing_else))
    while (await platform.services.status.ready())[1]["index"] != "ok":
        await asyncio.sleep(0.05)

    draft = MemoryDraft(content="The lighthouse keeper retired")
    stored = await platform.services.remember.one(scope, draft)
    asked = Query(text="lighthouse keeper", words=Words(text="lighthouse keeper"))
    answer = await platform.services.recall.search(scope, asked)

    assert [hit.memory.id for hit in answer.hits] == [stored.memory.id]
    assert (answer.total, answer.degraded) == (1, ())
    assert (await platform.index.statistics()).documents == 1
    report = await platform.services.status.report(scope)
    assert report["index"]["documents"] == 1
    await platform.close()
