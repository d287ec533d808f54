"""No answer holds anything of another tenant."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.chaos.checks.timeline import Timelines, Violation
from benchmarks.chaos.history import Kind, Outcome
from benchmarks.chaos.words import is_of

OWN_ONLY = "no answer holds anything of another tenant"


def tenants_do_not_cross(all_: Timelines) -> Iterator[Violation]:
    for call in all_.calls:
        if call.kind is Kind.PEEK and call.outcome is Outcome.OK:
            what = f"{call.tenant} read {call.asked['id']}, which is of {call.asked['of']}"
            yield Violation(promise=OWN_ONLY, what=what, calls=(call.number,))
        for seen in call.seen:
            if seen.tenant != call.tenant or not is_of(call.tenant, seen.content):
                what = f"{call.kind} of {call.tenant} was answered with {seen.id} of {seen.tenant}"
                yield Violation(promise=OWN_ONLY, what=what, calls=(call.number,))


def stores_do_not_cross(all_: Timelines) -> Iterator[Violation]:
    """At rest: every version stands with whom its words are of."""
    for one in all_.rest.values():
        for memory, versions in one.histories.items():
            if any(
                version.tenant != one.tenant or not is_of(one.tenant, version.content) for version in versions
            ):
                yield Violation(promise=OWN_ONLY, what=f"{memory} stands with {one.tenant}")
        for seen in one.listed:
            if not is_of(one.tenant, seen.content):
                yield Violation(promise=OWN_ONLY, what=f"{seen.id} is listed with {one.tenant}")
