"""Whether a history and what was left of it keep every promise. Pure: from what was noted, nothing is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from benchmarks.chaos.checks import (
    expiry,
    preconditions,
    reads,
    refusals,
    rest,
    searches,
    tenants,
    writes,
)
from benchmarks.chaos.checks.timeline import AtRest, Timelines, Violation
from benchmarks.chaos.history import Call

CHECKS: tuple[Callable[[Timelines], Iterator[Violation]], ...] = (
    writes.acknowledged_writes_are_there,
    writes.histories_are_whole,
    writes.versions_are_in_order,
    writes.writes_happen_once,
    writes.refused_writes_have_no_effect,
    preconditions.writes_follow_what_they_name,
    preconditions.refusals_are_right,
    preconditions.repetitions_are_told_of_the_first,
    reads.reads_are_current,
    reads.listings_are_current,
    searches.searches_find_what_is_there,
    tenants.tenants_do_not_cross,
    tenants.stores_do_not_cross,
    refusals.errors_are_declared,
    expiry.memories_live_their_time,
    expiry.expired_have_gone,
    rest.listings_equal_histories,
    rest.index_equals_store,
    rest.cache_equals_computed,
)


def check(calls: Iterable[Call], at_rest: Iterable[AtRest]) -> list[Violation]:
    """Every broken promise; none when all is well."""
    timelines = Timelines(calls, at_rest)
    return [violation for one in CHECKS for violation in one(timelines)]
