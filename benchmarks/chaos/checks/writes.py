"""Acknowledged writes are there, in an order in which they can have happened, each once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timeline, Timelines, Violation
from benchmarks.chaos.history import Call, Kind, Outcome, Seen

LOST = "no acknowledged write is lost"
WHOLE = "a history has every version once"
ORDER = "versions follow one another as their writes did"
ONCE = "a write takes effect once, however often it is sent"
NEVER = "what was refused has no effect"


def acknowledged_writes_are_there(all_: Timelines) -> Iterator[Violation]:
    """Each at its version, with what it wrote."""
    for call in all_.calls:
        if not call.writes or call.outcome is not Outcome.OK:
            continue
        if call.kind is Kind.FORGET:
            yield from _forgotten(call, all_)
        elif len(call.seen) < max(len(call.asked.get("words", ())), 1):
            yield Violation(
                promise=LOST, what="an answer names fewer memories than were sent", calls=(call.number,)
            )
        for seen in call.seen:
            yield from _written(call, seen, all_)


def _written(call: Call, seen: Seen, all_: Timelines) -> Iterator[Violation]:
    timeline = all_.memories.get(seen.id)
    version = timeline.at(seen.version) if timeline else None
    if version is None:
        what = f"{seen.id} has no version {seen.version}, which {call.kind} was told of"
        yield Violation(promise=LOST, what=what, calls=(call.number,))
    elif version.content != seen.content or version.deleted:
        what = f"{seen.id} at version {seen.version} is not what {call.kind} was told"
        yield Violation(promise=LOST, what=what, calls=(call.number,))


def _forgotten(call: Call, all_: Timelines) -> Iterator[Violation]:
    timeline = all_.of_call(call)
    version = timeline.at(call.asked["if_match"] + 1) if timeline else None
    if version is None or not version.deleted:
        what = f"{call.asked['id']} was forgotten at version {call.asked['if_match'] + 1}, and was not"
        yield Violation(promise=LOST, what=what, calls=(call.number,))


def histories_are_whole(all_: Timelines) -> Iterator[Violation]:
    """Versions count from 1 without a gap, and each was written by somebody."""
    for timeline in all_.memories.values():
        numbers = [version.number for version in timeline.versions]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation(promise=WHOLE, what=f"{timeline.memory} has the versions {numbers}")
        for version, writer in zip(timeline.versions, timeline.writers, strict=True):
            if writer is None and version.operation != "expired":
                what = f"{timeline.memory} at version {version.number} ({version.operation}) was written by nobody"
                yield Violation(promise=WHOLE, what=what)


def versions_are_in_order(all_: Timelines) -> Iterator[Violation]:
    """A write that was acknowledged before another was sent has the lower version."""
    for timeline in all_.memories.values():
        yield from _out_of_order(timeline)


def _out_of_order(timeline: Timeline) -> Iterator[Violation]:
    latest_sent, by = -math.inf, None
    for version, writer in zip(timeline.versions, timeline.writers, strict=True):
        if writer is None:
            continue
        if by is not None and writer.done_by < latest_sent:
            what = f"{timeline.memory}: version {version.number} had been acknowledged before an earlier one was sent"
            yield Violation(promise=ORDER, what=what, calls=(by.number, writer.number))
        if writer.sent > latest_sent:
            latest_sent, by = writer.sent, writer


def writes_happen_once(all_: Timelines) -> Iterator[Violation]:
    """A word was brought into one version of one memory, and an `external_id` names one memory."""
    brought: dict[str, list[str]] = defaultdict(list)
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for timeline in all_.memories.values():
        for version, writer in zip(timeline.versions, timeline.writers, strict=True):
            if version.operation in {"created", "updated"} and writer is not None:
                word = version.content.split(" ", 1)[0]
                brought[word].append(f"{timeline.memory} at version {version.number}")
            if version.external_id is not None:
                named[version.tenant, version.external_id].add(timeline.memory)
    for word, places in brought.items():
        if len(places) > 1:
            call = all_.by_word[word]
            yield Violation(
                promise=ONCE, what=f"{word} was stored as {', '.join(places)}", calls=(call.number,)
            )
    for (tenant, external_id), memories in named.items():
        if len(memories) > 1:
            what = f"{external_id} of {tenant} names {', '.join(sorted(memories))}"
            yield Violation(promise=ONCE, what=what)


def refused_writes_have_no_effect(all_: Timelines) -> Iterator[Violation]:
    for call in all_.calls:
        if call.outcome is not Outcome.FAIL:
            continue
        for word in call.asked.get("words", ()):
            for memory, version in all_.places.get(word, ()):
                what = f"{memory} has at version {version} what {call.kind} was refused with {call.status}"
                yield Violation(promise=NEVER, what=what, calls=(call.number,))
