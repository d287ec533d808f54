"""If-Match: a write happens to the version that it names, or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timelines, Violation
from benchmarks.chaos.history import Call, Kind, Outcome

NAMED = "a write with If-Match follows the version that it names"
AGAIN = "a repeated write is told what became of the first"
RIGHTLY = "a write is refused only where its precondition does not hold"


def writes_follow_what_they_name(all_: Timelines) -> Iterator[Violation]:
    told: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in all_.calls:
        expected = call.asked.get("if_match")
        if expected is None or call.outcome is not Outcome.OK:
            continue
        told[call.asked["id"], expected].append(call)
        for seen in call.seen:
            if seen.version != expected + 1:
                what = f"{seen.id}: If-Match {expected} made version {seen.version}"
                yield Violation(promise=NAMED, what=what, calls=(call.number,))
    for (memory, version), calls in told.items():
        if len(calls) > 1:
            what = f"{memory}: {len(calls)} writes were told that they followed version {version}"
            yield Violation(promise=NAMED, what=what, calls=tuple(call.number for call in calls))


def refusals_are_right(all_: Timelines) -> Iterator[Violation]:
    """412 only where the version named may not have been the current one; 404 only where the memory may have been gone."""
    for call in all_.calls:
        timeline = all_.of_call(call)
        if call.outcome is not Outcome.FAIL or timeline is None or not call.writes:
            continue
        window = timeline.window(call.sent, call.ended)
        if call.status == 412 and set(window) == {call.asked["if_match"]}:
            what = f"{timeline.memory} stood at version {call.asked['if_match']}, which {call.kind} named"
            yield Violation(promise=RIGHTLY, what=what, calls=(call.number,))
        gone = call.kind is not Kind.RESTORE and not all(timeline.live(number) for number in window)
        if call.status == 404 and not gone:
            what = f"{timeline.memory} was there, and {call.kind} was told 404"
            yield Violation(promise=RIGHTLY, what=what, calls=(call.number,))


def repetitions_are_told_of_the_first(all_: Timelines) -> Iterator[Violation]:
    """Nobody whose own write moved the version on is told that the version has moved on."""
    for call in all_.calls:
        mismatched = any(refusal["status"] == 412 for refusal in call.refusals)
        for word in call.asked.get("words", ()) if mismatched else ():
            for memory, version in all_.places.get(word, ()):
                if version == call.asked["if_match"] + 1:
                    what = f"{memory}: version {version} is its own, and a repetition was told 412"
                    yield Violation(promise=AGAIN, what=what, calls=(call.number,))
