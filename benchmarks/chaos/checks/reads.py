"""Reads show what was acknowledged before them, nothing that had been replaced, and nothing that nobody wrote."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timelines, Violation, expires_within_the_run
from benchmarks.chaos.history import Call, Kind, Outcome, Seen

OWN = "a read shows every write that was acknowledged before it"
TRUE = "a read shows a memory as it was written"
COMPLETE = "a listing shows every memory once"


def reads_are_current(all_: Timelines) -> Iterator[Violation]:
    """By id: a version that may have been the current one; 404 only where there may have been none."""
    for call in all_.calls:
        timeline = all_.of_call(call)
        if call.kind is not Kind.GET or timeline is None or expires_within_the_run(timeline.writers[0]):
            continue
        if call.outcome is Outcome.OK:
            yield from _shown_rightly(call, call.seen[0], all_)
        elif call.status == 404:
            window = timeline.window(call.sent, call.ended)
            if all(timeline.live(number) for number in window):
                what = f"{timeline.memory} was not found, at versions {window.start} to {window.stop - 1}"
                yield Violation(promise=OWN, what=what, calls=(call.number,))


def listings_are_current(all_: Timelines) -> Iterator[Violation]:
    """Of a group: every member that was there all the while, each once and current, and none that was forgotten."""
    members: dict[str, set[str]] = defaultdict(set)
    for memory, timeline in all_.memories.items():
        writer = timeline.writers[0]
        if writer is not None and "group" in writer.asked and not expires_within_the_run(writer):
            members[writer.asked["group"]].add(memory)
    for call in all_.calls:
        if call.kind is not Kind.LIST or call.outcome is not Outcome.OK:
            continue
        shown = Counter(seen.id for seen in call.seen)
        for memory, times in shown.items():
            if times > 1:
                yield Violation(
                    promise=COMPLETE, what=f"{memory} was listed {times} times", calls=(call.number,)
                )
        for seen in call.seen:
            yield from _shown_rightly(call, seen, all_)
        for memory in members[call.asked["group"]] - shown.keys():
            timeline = all_.memories[memory]
            window = timeline.window(call.sent, call.ended)
            if all(timeline.live(number) for number in window):
                what = f"{memory} was not listed, at versions {window.start} to {window.stop - 1}"
                yield Violation(promise=COMPLETE, what=what, calls=(call.number,))


def _shown_rightly(call: Call, seen: Seen, all_: Timelines) -> Iterator[Violation]:
    """Something that was written so, and may have been current."""
    timeline = all_.memories.get(seen.id)
    version = timeline.at(seen.version) if timeline else None
    if timeline is None or version is None:
        what = f"{seen.id} was shown at version {seen.version}, which it does not have"
        yield Violation(promise=TRUE, what=what, calls=(call.number,))
        return
    if expires_within_the_run(timeline.writers[0]):
        return
    if version.content != seen.content or version.deleted:
        what = f"{seen.id} was shown at version {seen.version} as something else"
        yield Violation(promise=TRUE, what=what, calls=(call.number,))
    window = timeline.window(call.sent, call.ended)
    if seen.version not in window:
        what = (
            f"{call.kind} showed {seen.id} at version {seen.version}, not {window.start} to {window.stop - 1}"
        )
        yield Violation(promise=OWN, what=what, calls=(call.number,))
