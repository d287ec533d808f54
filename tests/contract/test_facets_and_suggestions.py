"""Facets, fragments and suggestions: every engine counts, marks and suggests the same, and within one tenant."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.attributes import attribute_terms, path_prefix, plain_number, term_value
from mnemata.domain.change import START, Position
from mnemata.domain.facet import (
    Bucket,
    Interval,
    NumberStatistics,
    RangeBucket,
    RangeCounts,
    RangeFacet,
    StatisticsFacet,
    TimeBucket,
    TimeCounts,
    TimeFacet,
    ValueCounts,
    ValueFacet,
)
from mnemata.domain.filter import EVERYTHING, AnyOf, Exists, Field, Not, Or, Range, field_elements, matches
from mnemata.domain.fragment import FragmentShape
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import Memory, text_hash
from mnemata.domain.query import Mode, Words
from mnemata.domain.suggestion import CompletionKind, Respelling
from mnemata.domain.vector import Space
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.protocol import PENDING, IndexQuery, Remove, SearchIndex, Upsert

SPACE = Space(name="test/1", dimensions=8)
ANA, BEN = TenantId("ana"), TenantId("ben")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = SequentialIds()
FOLDING = {"local-fresh": 512, "local-folded": 1}


@pytest.fixture(params=[*sorted(FOLDING), "elasticsearch", "opensearch"])
def engine(request, tmp_path) -> SearchIndex:
    if request.param in FOLDING:
        options = LocalOptions(fold_changes=FOLDING[request.param], fold_interval_s=600.0)
        return LocalIndex(tmp_path / "index", epoch="e", space=SPACE, options=options)
    name = "f" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    return request.getfixturevalue("cluster_index")(request.param, name, space=SPACE)


@pytest.fixture
async def index(engine) -> Any:
    await engine.open()
    yield engine
    await engine.close()


def memory(content: str = "c", **values: Any) -> Memory:
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


async def store(index: SearchIndex, *memories: Memory, sequence: int = 1) -> None:
    upserts = [Upsert(memory=one, vector=PENDING) for one in memories]
    await index.apply(upserts, position=Position(xid=1, sequence=sequence), ticket=sequence)


def asking(text: str = "", *, tenant: TenantId = ANA, mode: Mode = Mode.LEXICAL, **more: Any) -> IndexQuery:
    phrases, excluded = more.pop("phrases", ()), more.pop("excluded", ())
    words = Words(text=text, phrases=phrases, excluded=excluded)
    return IndexQuery(tenant=tenant, mode=mode, words=words, **more)


def named(name: str, *path: str) -> Field:
    return Field(name=name, path=path)


async def values(index: SearchIndex, field: Field, query: IndexQuery | None = None, **more: Any) -> Any:
    (facet,) = await index.facets(query or asking(), [ValueFacet(field=field, **more)])
    return facet


# --- facets: by hand -------------------------------------------------------------------------------------------------


async def test_values_are_counted_by_count_and_then_by_value(index):
    await store(index, *(memory(user_id=user) for user in ("zoe", "ben", "ana", "ana", None, "zoe", "cy")))
    facet = await values(index, named("user_id"), limit=3)
    assert facet == ValueCounts(
        field=named("user_id"),
        buckets=(Bucket(value="ana", count=2), Bucket(value="zoe", count=2), Bucket(value="ben", count=1)),
        others=1,
        missing=1,
    )


async def test_each_element_of_tags_and_arrays_is_counted_once_and_keeps_its_type(index):
    await store(
        index,
        memory(tags=("a", "b"), metadata={"x": [1, 1.0, "1", True, None, {"deep": 1}]}),
        memory(tags=("b",), metadata={"x": "1"}),
        memory(metadata={"x": {"deep": 2}}),
    )
    tags = await values(index, named("tags"))
    assert [(bucket.value, bucket.count) for bucket in tags.buckets] == [("b", 2), ("a", 1)]
    assert tags.missing == 1
    facet = await values(index, named("metadata", "x"))
    assert [(type(b.value), b.value, b.count) for b in facet.buckets] == [
        (str, "1", 2),
        (bool, True, 1),
        (float, 1.0, 1),
    ]
    assert facet.missing == 1


async def test_a_date_is_counted_as_the_string_that_it_is(index):
    await store(index, memory(metadata={"due": "2026-05-01"}))
    facet = await values(index, named("metadata", "due"))
    assert facet.buckets == (Bucket(value="2026-05-01", count=1),)


async def test_long_values_are_apart_and_told_to_be_cut(index):
    alike, other = "x" * 300 + "a", "x" * 300 + "b"
    await store(index, *(memory(metadata={"long": text}) for text in (alike, alike, other)))
    facet = await values(index, named("metadata", "long"))
    assert sorted((bucket.count, bucket.cut, bucket.value) for bucket in facet.buckets) == [
        (1, True, "x" * 200),
        (2, True, "x" * 200),
    ]


async def test_facets_count_what_the_total_counts(index):
    stored = [
        memory("red bicycle", user_id="u1"),
        memory("red canoe", user_id="u1"),
        memory("green canoe", user_id="u2"),
        memory("green tea", user_id="u2"),
    ]
    await store(index, *stored)
    vector = np.full(8, 8**-0.5, np.float32)
    user = AnyOf(field=named("user_id"), values=("u1",))
    for query in (
        asking("canoe"),
        asking("canoe", filter=user),
        asking("red tea", excluded=("canoe",)),
        asking(phrases=("green canoe",)),
        asking("canoe", mode=Mode.HYBRID),
        asking("canoe", mode=Mode.HYBRID, vector=vector),
        asking("canoe", mode=Mode.HYBRID, vector=vector, filter=user, excluded=("bicycle",)),
        asking(phrases=("red",), mode=Mode.HYBRID, vector=vector),
        asking(mode=Mode.VECTOR, vector=vector),
        asking("nothing has this"),
    ):
        facet = await values(index, named("kind"), query)
        assert sum(bucket.count for bucket in facet.buckets) == (await index.search(query)).total, query
    # Nothing asked for: everything within the filter, as in a list.
    assert (await values(index, named("user_id"), asking(filter=user))).buckets == (
        Bucket(value="u1", count=2),
    )


async def test_replaced_and_removed_memories_are_not_counted(index):
    old, gone = memory(user_id="old"), memory(user_id="gone")
    await store(index, old, gone)
    await store(index, replace(old, user_id="new", version=2), sequence=2)
    removal = Remove(tenant=ANA, memory_id=gone.id)
    await index.apply([removal], position=Position(xid=1, sequence=3), ticket=3)
    facet = await values(index, named("user_id"))
    assert (facet.buckets, facet.missing) == ((Bucket(value="new", count=1),), 0)


async def test_times_are_counted_by_calendar_and_by_fixed_intervals(index):
    moments = [
        datetime(2026, 3, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 4, 1, tzinfo=UTC),
        datetime(2026, 5, 3, 23, tzinfo=UTC),  # a Sunday
        datetime(2026, 5, 4, tzinfo=UTC),
        datetime(2024, 2, 29, tzinfo=UTC),
    ]
    await store(index, *(memory(occurred_at=moment) for moment in (*moments, None)))

    async def counted(interval: Interval | timedelta, limit: int = 100) -> Any:
        request = TimeFacet(field=named("occurred_at"), interval=interval, limit=limit)
        (facet,) = await index.facets(asking(), [request])
        assert facet.missing == 1
        return [(f"{bucket.start:%y%m%d%H}", bucket.count) for bucket in facet.buckets], facet.older

    months = [("24022900"[:4] + "0100", 1), ("26030100", 1), ("26040100", 1), ("26050100", 2)]
    assert await counted(Interval.MONTH) == (months, 0)
    assert await counted(Interval.MONTH, 2) == (months[2:], 2)
    assert await counted(Interval.YEAR) == ([("24010100", 1), ("26010100", 4)], 0)
    weeks, older = await counted(Interval.WEEK, 2)
    assert (weeks, older) == ([("26042700", 1), ("26050400", 1)], 3)
    assert await counted(Interval.DAY, 2) == ([("26050300", 1), ("26050400", 1)], 3)
    assert await counted(timedelta(hours=12), 2) == ([("26050312", 1), ("26050400", 1)], 3)


async def test_a_histogram_of_no_times_is_empty(index):
    request = TimeFacet(field=named("occurred_at"), interval=Interval.DAY)
    empty = TimeCounts(field=named("occurred_at"), buckets=(), older=0, missing=0)
    assert list(await index.facets(asking(), [request])) == [empty]
    await store(index, memory())
    assert list(await index.facets(asking(), [request])) == [replace(empty, missing=1)]


async def test_numbers_are_counted_by_range_and_summed_up(index):
    await store(
        index,
        memory(importance=0.25, metadata={"score": [1, 5]}),
        memory(importance=0.5, metadata={"score": -2.5}),
        memory(importance=1.0, metadata={"score": "high"}),
    )
    score, weight = named("metadata", "score"), named("importance")
    requests = [
        RangeFacet(field=score, ranges=((None, 1), (1, 5), (0, None))),
        StatisticsFacet(field=score),
        RangeFacet(field=weight, ranges=((0.25, 0.5), (0.5, None))),
        StatisticsFacet(field=weight),
        StatisticsFacet(field=named("metadata", "none")),
        RangeFacet(field=weight, ranges=()),
    ]
    ranges, numbers, shares, summed, none, empty = await index.facets(asking(), requests)
    assert ([bucket.count for bucket in ranges.buckets], ranges.missing) == ([1, 1, 1], 1)
    assert numbers == NumberStatistics(field=score, count=3, minimum=-2.5, maximum=5.0, total=3.5, missing=1)
    assert numbers.mean == pytest.approx(3.5 / 3)
    assert shares.buckets == (
        RangeBucket(low=0.25, high=0.5, count=1),
        RangeBucket(low=0.5, high=None, count=2),
    )
    assert (summed.count, summed.minimum, summed.maximum, summed.total) == (3, 0.25, 1.0, 1.75)
    assert (none.count, none.minimum, none.maximum, none.mean, none.missing) == (0, None, None, None, 3)
    assert empty == RangeCounts(field=weight, buckets=(), missing=0)


async def test_no_facets_are_asked_for(index):
    assert list(await index.facets(asking(), [])) == []


# --- facets: any memories, any condition -----------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "ab", "b", "é", "日", "😀", " a", "x" * 230])
KEYS = st.sampled_from(["a", "b", "a.b", "(a|b)*", "\\"])
NUMBERS = st.sampled_from([0, 1, -1, 0.5, -0.0, 1e300, 5e-324]) | st.floats(-5, 5)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | NAMES | st.just("2026-05-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
TIMES = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
MEMORIES = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.none() | NAMES,
            "tags": st.lists(NAMES, max_size=3, unique=True).map(tuple),
            "metadata": st.dictionaries(KEYS, VALUES, max_size=3),
            "importance": st.floats(0, 1),
            "occurred_at": st.none() | TIMES,
        }
    ),
    max_size=24,
)
PATHS = st.builds(Field, name=st.just("metadata"), path=st.lists(KEYS, min_size=1, max_size=2).map(tuple))
NUMERIC = PATHS | st.just(named("importance"))
BOUNDS = st.none() | st.floats(-5, 5)
REQUESTS = st.one_of(
    st.builds(
        ValueFacet,
        field=PATHS | st.sampled_from([named("user_id"), named("tags"), named("source")]),
        limit=st.integers(1, 4),
    ),
    st.builds(
        TimeFacet,
        field=st.sampled_from([named("occurred_at"), named("created_at")]),
        interval=st.sampled_from([*Interval, timedelta(days=7), timedelta(hours=5)]),
        limit=st.integers(1, 50),
    ),
    st.builds(RangeFacet, field=NUMERIC, ranges=st.lists(st.tuples(BOUNDS, BOUNDS), max_size=3).map(tuple)),
    st.builds(StatisticsFacet, field=NUMERIC),
)
LEAVES = st.one_of(
    st.just(EVERYTHING),
    st.builds(Exists, field=PATHS | st.just(named("user_id"))),
    st.builds(AnyOf, field=st.just(named("tags")), values=st.lists(NAMES, max_size=2).map(tuple)),
    st.builds(Range, field=st.just(named("importance")), low=st.floats(0, 1)),
)
CONDITIONS = LEAVES | st.builds(Not, item=LEAVES) | st.builds(Or, items=st.tuples(LEAVES, LEAVES))


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(MEMORIES, st.lists(st.tuples(CONDITIONS, REQUESTS), min_size=25, max_size=25))
async def test_every_facet_counts_what_counting_by_hand_counts(index, given, asked):
    tenant = TenantId(f"t{IDS.new()}")
    stored = [memory(tenant=tenant, **one) for one in given]
    await index.apply([Upsert(memory=one, vector=PENDING) for one in stored], position=START)
    for condition, request in asked:
        (facet,) = await index.facets(asking(tenant=tenant, filter=condition), [request])
        expected = counted(request, [one for one in stored if matches(condition, one)])
        if isinstance(facet, NumberStatistics) and facet.count:
            # Doubles are added in another order.
            assert facet.total == pytest.approx(expected.total, rel=1e-9, abs=1e-9)
            facet = replace(facet, total=expected.total)
        assert facet == expected, (request, condition)


def counted(request: Any, found: list[Memory]) -> Any:
    """The reference: one memory after the other."""
    match request:
        case ValueFacet(field=field, limit=limit):
            held = [values_of(field, one) for one in found]
            counts = Counter(value for each in held for value in each)
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            buckets = [(term_value(key) if field.path else (key, False), n) for key, n in ranked[:limit]]
            return ValueCounts(
                field=field,
                buckets=tuple(Bucket(value=value, cut=cut, count=n) for (value, cut), n in buckets),
                others=sum(n for _, n in ranked[limit:]),
                missing=sum(not each for each in held),
            )
        case TimeFacet(field=field):
            return by_time(request, [getattr(one, field.name) for one in found])
        case RangeFacet(field=field, ranges=ranges):
            held = [numbers_of(field, one) for one in found]
            return RangeCounts(
                field=field,
                buckets=tuple(
                    RangeBucket(
                        low=low, high=high, count=sum(any(within(n, low, high) for n in one) for one in held)
                    )
                    for low, high in ranges
                ),
                missing=sum(not each for each in held),
            )
        case StatisticsFacet(field=field):
            held = [numbers_of(field, one) for one in found]
            every = [number for each in held for number in each]
            return NumberStatistics(
                field=field,
                count=len(every),
                minimum=min(every, default=None),
                maximum=max(every, default=None),
                total=float(sum(every)),
                missing=sum(not each for each in held),
            )


def values_of(field: Field, one: Memory) -> list[str]:
    """The strings of a field; of metadata the terms, which have the order of the values."""
    if not field.path:
        return [str(element) for element in field_elements(field, one)]
    terms = [term for term in attribute_terms(one.metadata) if term.startswith(path_prefix(field.path))]
    return [term for term in terms if not term.startswith(path_prefix(field.path) + "t")]


def numbers_of(field: Field, one: Memory) -> list[float]:
    if not field.path:
        return [getattr(one, field.name)]
    start = path_prefix(field.path) + "n\x1f"
    return [plain_number(term[-16:]) for term in attribute_terms(one.metadata) if term.startswith(start)]


def within(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number < high)


def by_time(request: TimeFacet, moments: list[datetime | None]) -> TimeCounts:
    known = sorted(moment for moment in moments if moment is not None)
    starts = Counter(interval_of(moment, request.interval) for moment in known)
    # One interval before another until there are enough of them: those without memories count, too.
    first = interval_of(known[-1], request.interval) if known else None
    for _ in range(request.limit - 1 if known else 0):
        first = interval_of(first - timedelta(microseconds=1), request.interval)
    shown = {start: n for start, n in sorted(starts.items()) if start >= first} if known else {}
    return TimeCounts(
        field=request.field,
        buckets=tuple(TimeBucket(start=start, count=n) for start, n in shown.items()),
        older=len(known) - sum(shown.values()),
        missing=len(moments) - len(known),
    )


def interval_of(moment: datetime, interval: Interval | timedelta) -> datetime:
    if isinstance(interval, timedelta):
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return moment - (moment - epoch) % interval
    year, month, day = moment.year, moment.month, moment.day
    match interval:
        case Interval.DAY:
            return datetime(year, month, day, tzinfo=UTC)
        case Interval.WEEK:
            return datetime(year, month, day, tzinfo=UTC) - timedelta(days=moment.isoweekday() - 1)
        case Interval.MONTH:
            return datetime(year, month, 1, tzinfo=UTC)
        case Interval.YEAR:
            return datetime(year, 1, 1, tzinfo=UTC)


# --- suggestions -----------------------------------------------------------------------------------------------------


async def test_a_misspelt_word_has_the_nearest_words_of_the_tenant(index):
    await store(
        index,
        *(memory("the restaurant by the harbour") for _ in range(3)),
        memory("restaurants", tags=("Resort",)),
        memory("restaurant", tenant=BEN),
    )
    (spelling,) = await index.spellings(ANA, "A resturant by the Harbour")
    assert (spelling.word, spelling.start, spelling.end) == ("resturant", 2, 11)
    assert spelling.options == (
        Respelling(word="restaurant", distance=1, count=3),
        Respelling(word="restaurants", distance=2, count=1),
    )


async def test_a_word_that_another_form_of_is_found_by_is_not_misspelt(index):
    await store(index, memory("two bicycles", role="caroline", tags=("Travel plans",)))
    assert list(await index.spellings(ANA, "bicycle caroline travel the 1234 ab")) == []
    assert await index.correction(ANA, "bicycle") is None


async def test_a_word_that_nothing_is_near_has_no_options_and_no_correction(index):
    await store(index, memory("harbour"))
    (spelling,) = await index.spellings(ANA, "xylophone")
    assert spelling.options == ()
    assert await index.correction(ANA, "xylophone harbour") is None


async def test_a_correction_chooses_words_that_go_together_and_keeps_the_rest(index):
    await store(
        index,
        *(memory("the chess club meets") for _ in range(3)),
        *(memory("cheese market") for _ in range(4)),
        *(memory("cheers") for _ in range(6)),
    )
    told = await index.correction(ANA, "When: the CHESES clab, really?")
    assert told is not None
    assert told.text.startswith("When: the ")
    assert told.text.endswith(" club, really?")
    pair = await index.correction(ANA, "cheess market")
    assert pair is not None
    assert pair.text == "cheese market"
    alone = await index.correction(ANA, "cheess")
    assert alone is not None
    assert {option.word for option in alone.spellings[0].options} == {"chess", "cheese", "cheers"}


async def test_completions_are_words_phrases_and_tags_by_frequency(index):
    await store(
        index,
        memory("red bicycle", tags=("Red alert",)),
        memory("red bicycle and red bird", tags=("Red alert",)),
        memory("bicycle race"),
        memory("redwood", role="Redford"),
    )
    words = [(one.text, one.kind, one.count) for one in await index.completions(ANA, "Red")]
    assert words == [
        ("Red alert", CompletionKind.TAG, 2),
        ("red", CompletionKind.WORD, 2),
        ("redford", CompletionKind.WORD, 1),
        ("redwood", CompletionKind.WORD, 1),
    ]
    assert list(await index.completions(ANA, "My red bi")) == []
    phrases = [(one.text, one.kind, one.count) for one in await index.completions(ANA, "Red bi")]
    assert phrases == [
        ("Red bicycle", CompletionKind.PHRASE, 2),
        ("Red bird", CompletionKind.PHRASE, 1),
    ]
    assert [one.text for one in await index.completions(ANA, "red a")] == ["Red alert"]
    assert list(await index.completions(ANA, "red ")) == [
        one for one in await index.completions(ANA, "Red ") if one.kind is CompletionKind.TAG
    ]
    assert [one.text for one in await index.completions(ANA, "re", limit=1)] == ["Red alert"]


async def test_nothing_completes_nothing(index):
    await store(index, memory("word", tags=("tag",)))
    for prefix in ("", "  ", "?", "zzz"):
        assert list(await index.completions(ANA, prefix)) == []


async def test_no_tenant_is_suggested_what_another_says(index):
    await store(index, memory("harbour"), memory("secret secretary", tenant=BEN, tags=("Secrets",)))
    assert list(await index.completions(ANA, "sec")) == []
    (spelling,) = await index.spellings(ANA, "secrat")
    assert spelling.options == ()
    assert await index.correction(ANA, "secrat harbour") is None
    assert (await index.spellings(TenantId("nobody"), "secrat"))[0].options == ()
    assert list(await index.completions(TenantId("nobody"), "sec")) == []


async def test_a_forgotten_word_is_suggested_no_more(index):
    gone, changed = memory("clandestine", tags=("Clan",)), memory("clarinet")
    await store(index, gone, changed, memory("claim"))
    removal = Remove(tenant=ANA, memory_id=gone.id)
    await index.apply([removal], position=Position(xid=1, sequence=2), ticket=2)
    await store(index, replace(changed, content="trumpet", version=2), sequence=3)
    assert [one.text for one in await index.completions(ANA, "cla")] == ["claim"]
    told = await index.spellings(ANA, "clandestin clarinets")
    assert [spelling.options for spelling in told] == [(), ()]


async def test_words_of_many_scripts_are_completed(index):
    await store(index, memory("Ein Café in München"), memory("Мы видели сияние"), memory("東京都に"))
    for typed, whole in {"mün": "munchen", "Caf": "cafe", "сия": "сияние", "東京": "東京"}.items():
        assert whole in [one.text for one in await index.completions(ANA, typed)], typed


# --- fragments -------------------------------------------------------------------------------------------------------


async def test_fragments_mark_the_forms_that_the_query_finds(index):
    words = Words(text="bicycles the harbour")
    text = "<b>My bicycle</b> stands at the Harbour."
    (fragments,) = await index.highlight(words, [text])
    (fragment,) = fragments
    assert fragment.text == text
    assert [part.text for part in fragment.parts if part.marked] == ["bicycle", "Harbour"]


async def test_texts_keep_their_order_and_those_without_the_words_have_no_fragment(index):
    shape = FragmentShape(count=1, characters=20)
    found = await index.highlight(Words(text="tea"), ["no such word", "tea " * 40, ""], shape=shape)
    assert [len(fragments) for fragments in found] == [0, 1, 0]
    assert len(found[1][0].text) <= shape.characters
