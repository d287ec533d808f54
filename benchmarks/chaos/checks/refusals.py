"""While servers fail, callers see only what the pages declare: 429, 503 and 504, and what they brought upon themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.chaos.checks.timeline import Timelines, Violation
from benchmarks.chaos.history import Call, Kind

DECLARED = "callers see declared errors only"

_NO_ANSWER = 0
_PASSING = frozenset({429, 503})
"""Each says when to come again."""
_BALANCER = frozenset({502, 503, 504})
_MAY_BE_GONE = frozenset({Kind.GET, Kind.PATCH, Kind.FORGET, Kind.RESTORE, Kind.PEEK})


def errors_are_declared(all_: Timelines) -> Iterator[Violation]:
    for call in all_.calls:
        for refusal in call.refusals:
            wrong = _wrong(call, refusal)
            if wrong:
                what = f"{call.kind} was answered {refusal['status']} {refusal.get('code', '')}: {wrong}"
                yield Violation(promise=DECLARED, what=what, calls=(call.number,))


def _wrong(call: Call, refusal: dict[str, Any]) -> str | None:
    status = refusal["status"]
    if status == _NO_ANSWER or (refusal.get("balancer") and status in _BALANCER):
        return None
    if status in _PASSING:
        return None if refusal.get("retry_after") else "no Retry-After"
    if status == 504 or (status == 412 and "if_match" in call.asked):
        return None
    if status == 404 and call.kind in _MAY_BE_GONE and refusal.get("code") == "memory_not_found":
        return None
    return "not declared"
