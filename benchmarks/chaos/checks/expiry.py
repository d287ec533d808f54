"""Memories with a time to live are there until it is over and not after, whatever a process's clock says."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timelines, Violation, expires_within_the_run
from benchmarks.chaos.history import Call, Kind, Outcome

LIVES = "a memory with a time to live is there until it is over, and not after"

SLACK_S = 3.0
"""Servers' clocks may be apart by so much, and a search may be on its way for so long."""


def memories_live_their_time(all_: Timelines) -> Iterator[Violation]:
    """Every read and search of one that expires within the run."""
    for call in all_.calls:
        if call.kind not in {Kind.GET, Kind.SEARCH}:
            continue
        writer = all_.by_word.get(call.asked.get("word", ""))
        if writer is None or writer.outcome is not Outcome.OK or not expires_within_the_run(writer):
            continue
        shown = call.outcome is Outcome.OK and bool(call.seen)
        absent = call.status == 404 or (
            call.kind is Kind.SEARCH and call.outcome is Outcome.OK and not call.seen
        )
        findable = call.kind is Kind.GET or writer.indexed
        ttl_s = float(writer.asked["ttl_s"])
        if shown and call.sent > writer.ended + ttl_s + SLACK_S:
            yield _told(call, writer, "was shown after its time")
        if absent and findable and writer.ended < call.sent and call.ended < writer.sent + ttl_s - SLACK_S:
            yield _told(call, writer, "was gone before its time")


def expired_have_gone(all_: Timelines) -> Iterator[Violation]:
    """At rest nothing is listed whose time was over, and everything is whose time is long."""
    for one in all_.rest.values():
        for seen in one.listed:
            writer = all_.by_word.get(seen.content.split(" ", 1)[0])
            if writer is not None and expires_within_the_run(writer):
                yield Violation(
                    promise=LIVES, what=f"{seen.id} is listed after its time", calls=(writer.number,)
                )
    for timeline in all_.memories.values():
        ended = any(version.operation == "expired" for version in timeline.versions)
        if ended and not expires_within_the_run(timeline.writers[0]):
            yield Violation(promise=LIVES, what=f"{timeline.memory} was ended before its time")


def _told(call: Call, writer: Call, what: str) -> Violation:
    memory = writer.seen[0].id
    since = call.sent - writer.ended
    text = f"{memory} with {writer.asked['ttl_s']} s {what}, {since:.1f} s after it was stored"
    return Violation(promise=LIVES, what=text, calls=(writer.number, call.number))
