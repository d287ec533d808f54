"""At rest: faults over, index caught up. Store, index and cache say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import AtRest, Timelines, Violation
from benchmarks.chaos.words import word_of

LISTED = "at rest a listing shows the store"
EQUAL = "at rest the index equals the store"
SAME = "at rest the cache answers what a search answers"


def listings_equal_histories(all_: Timelines) -> Iterator[Violation]:
    """Everything whose newest version is not deleted, once and at that version, and nothing else."""
    for one in all_.rest.values():
        newest = {memory: versions[-1] for memory, versions in one.histories.items()}
        live = {memory for memory, version in newest.items() if not version.deleted}
        shown = Counter(seen.id for seen in one.listed)
        yield from _twice(shown, LISTED, "listed")
        yield from _differ(live, set(shown), LISTED, "is not listed", "is listed and should not be")
        for seen in one.listed:
            if seen.id in newest and seen.version != newest[seen.id].number:
                what = f"{seen.id} is listed at version {seen.version}, and is at {newest[seen.id].number}"
                yield Violation(promise=LISTED, what=what)


def index_equals_store(all_: Timelines) -> Iterator[Violation]:
    """Each live memory is found by the word that all have and by its own, once; what has gone is not."""
    for one in all_.rest.values():
        live = {memory for memory, versions in one.histories.items() if not versions[-1].deleted}
        if one.degraded:
            yield Violation(
                promise=EQUAL, what=f"{one.tenant}: searches are degraded: {', '.join(one.degraded)}"
            )
        matched = Counter(one.matched)
        yield from _twice(matched, EQUAL, "found")
        yield from _differ(live, set(matched), EQUAL, "is not found", "is found and should not be")
        if one.total != len(live):
            what = f"{one.tenant}: {one.total} are counted, and there are {len(live)}"
            yield Violation(promise=EQUAL, what=what)
        yield from _by_word(one, live)


def _by_word(one: AtRest, live: set[str]) -> Iterator[Violation]:
    holders = {word_of(one.histories[memory][-1].content): memory for memory in live}
    for word, found in one.found.items():
        expected = (holders[word],) if word in holders else ()
        if found != expected:
            what = f"{word} finds {', '.join(found) or 'nothing'}, and stands in {', '.join(expected) or 'nothing'}"
            yield Violation(promise=EQUAL, what=what)


def cache_equals_computed(all_: Timelines) -> Iterator[Violation]:
    for one in all_.rest.values():
        for twice in one.compared:
            if twice.cached != twice.computed:
                what = f"{twice.asked}: {twice.cached} from the cache, {twice.computed} without"
                yield Violation(promise=SAME, what=what)


def _twice(counted: Counter[str], promise: str, how: str) -> Iterator[Violation]:
    for memory, times in counted.items():
        if times > 1:
            yield Violation(promise=promise, what=f"{memory} is {how} {times} times")


def _differ(
    there: set[str], shown: set[str], promise: str, missing: str, surplus: str
) -> Iterator[Violation]:
    for memory in sorted(there - shown):
        yield Violation(promise=promise, what=f"{memory} {missing}")
    for memory in sorted(shown - there):
        yield Violation(promise=promise, what=f"{memory} {surplus}")
