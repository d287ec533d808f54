"""Searches find what was told to be findable, once, and not what has gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timeline, Timelines, Violation, expires_within_the_run
from benchmarks.chaos.history import Call, Kind, Outcome, Seen
from benchmarks.chaos.words import word_of

FOUND = "a search finds every write that was told to be findable"
ONLY = "a search finds nothing that has gone or was never there"
CURRENT = "a hit is not older than the writes that were acknowledged before the search"


def searches_find_what_is_there(all_: Timelines) -> Iterator[Violation]:
    """Each search is for the unique word of one write."""
    for call in all_.calls:
        if call.kind is not Kind.SEARCH or call.outcome is not Outcome.OK:
            continue
        places = all_.places.get(call.asked["word"], [])
        with_word = {version for _, version in places}
        timeline = all_.memories[places[0][0]] if places else None
        yield from _nothing_else(call, timeline)
        if timeline is not None and not expires_within_the_run(timeline.writers[0]):
            yield from _as_it_may_be(call, timeline, with_word)


def _nothing_else(call: Call, timeline: Timeline | None) -> Iterator[Violation]:
    """No memory that never had the word, and none twice."""
    wanted = set() if timeline is None else {timeline.memory}
    hits = Counter(seen.id for seen in call.seen)
    for memory in hits.keys() - wanted:
        what = f"{call.asked['word']} found {memory}, which never had it"
        yield Violation(promise=ONLY, what=what, calls=(call.number,))
    for memory, times in hits.items():
        if times > 1:
            yield Violation(promise=ONLY, what=f"{memory} was found {times} times", calls=(call.number,))


def _as_it_may_be(call: Call, timeline: Timeline, with_word: set[int]) -> Iterator[Violation]:
    indexed = timeline.window(call.sent, call.ended, indexed=True)
    findable = {number for number in indexed if number in with_word and timeline.live(number)}
    hits = [seen for seen in call.seen if seen.id == timeline.memory]
    span = f"at versions {indexed.start} to {indexed.stop - 1}"
    if not hits and len(findable) == len(indexed):
        what = f"{call.asked['word']} did not find {timeline.memory}, {span}"
        yield Violation(promise=FOUND, what=what, calls=(call.number,))
    if hits and not findable:
        what = f"{call.asked['word']} found {timeline.memory}, which had not got it any more, {span}"
        yield Violation(promise=ONLY, what=what, calls=(call.number,))
    for seen in hits:
        yield from _hit_is_current(call, timeline, seen)


def _hit_is_current(call: Call, timeline: Timeline, seen: Seen) -> Iterator[Violation]:
    window = timeline.window(call.sent, call.ended)
    version = timeline.at(seen.version)
    if seen.version not in window:
        what = f"{seen.id} was found at version {seen.version}, not {window.start} to {window.stop - 1}"
        yield Violation(promise=CURRENT, what=what, calls=(call.number,))
    elif version is None or word_of(version.content) != word_of(seen.content) or version.deleted:
        what = f"{seen.id} was found at version {seen.version} as something else"
        yield Violation(promise=CURRENT, what=what, calls=(call.number,))
