"""The checker finds nothing in histories that can have happened, and each kind of violation in those that cannot."""

from dataclasses import replace

import pytest
from benchmarks.chaos.checks import expiry, preconditions, reads, refusals, rest, searches, tenants, writes
from benchmarks.chaos.checks.timeline import Compared
from benchmarks.chaos.history import Kind, Outcome

from .telling import (
    add,
    at_rest,
    broken,
    call,
    forget,
    get,
    not_found,
    patch,
    search,
    seen,
    versions,
)

ONE, TWO, THREE = "anaqoneq", "anaqtwoq", "anaqthreeq"

# A memory's whole life, with every kind of call, as it should be.
LIFE = [
    add(0, 1, "m", ONE),
    get(2, 3, "m", 1, ONE),
    search(2, 3, ONE, seen("m", 1, ONE)),
    patch(4, 5, "m", 2, TWO, if_match=1),
    search(6, 7, ONE),
    search(6, 7, TWO, seen("m", 2, TWO)),
    forget(8, 9, "m", 2),
    not_found(10, 11, "m"),
    search(10, 11, TWO),
    call(Kind.RESTORE, 12, 13, seen("m", 4, TWO), id="m", if_match=3),
    get(14, 15, "m", 4, TWO),
    call(Kind.LIST, 14, 15, seen("m", 4, TWO), group="g"),
]
LIVED = at_rest(m=versions(ONE, TWO, f"-{TWO}", f"+{TWO}"))


def test_life_of_a_memory_breaks_no_promise():
    assert broken(LIFE, LIVED) == set()


def test_whatever_became_of_an_unknown_write_breaks_no_promise():
    unknown = patch(4, 5, "m", 2, TWO, outcome=Outcome.INFO, status=0)
    unknown = replace(unknown, seen=())
    begun = [add(0, 1, "m", ONE), unknown]
    assert broken(begun, at_rest(m=versions(ONE))) == set()
    assert broken(begun, at_rest(m=versions(ONE, TWO))) == set()
    # It may also take effect long after its caller gave up.
    later = [*begun, get(6, 7, "m", 1, ONE), get(8, 9, "m", 2, TWO)]
    assert broken(later, at_rest(m=versions(ONE, TWO))) == set()


def test_read_beside_a_write_may_show_either_version():
    beside = [add(0, 1, "m", ONE), patch(4, 9, "m", 2, TWO)]
    after = at_rest(m=versions(ONE, TWO))
    assert broken([*beside, get(5, 6, "m", 1, ONE), get(5, 6, "m", 2, TWO)], after) == set()


def test_search_need_not_find_what_was_not_said_to_be_findable():
    slow = [add(0, 1, "m", ONE, indexed=False), search(2, 3, ONE)]
    assert broken(slow, at_rest(m=versions(ONE))) == set()


@pytest.mark.parametrize(
    ("calls", "left", "promise"),
    [
        pytest.param([add(0, 1, "m", ONE)], at_rest(), writes.LOST, id="memory lost"),
        pytest.param(
            [add(0, 1, "m", ONE), patch(2, 3, "m", 2, TWO)],
            at_rest(m=versions(ONE)),
            writes.LOST,
            id="version lost",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), patch(2, 3, "m", 2, TWO), patch(2, 3, "m", 2, THREE)],
            at_rest(m=versions(ONE, THREE)),
            writes.LOST,
            id="version overwritten",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), forget(2, 3, "m", 1)],
            at_rest(m=versions(ONE)),
            writes.LOST,
            id="forgetting lost",
        ),
        pytest.param(
            [add(0, 1, "m", ONE)],
            at_rest(m=(versions(ONE)[0], replace(versions(ONE)[0], number=3))),
            writes.WHOLE,
            id="version missing",
        ),
        pytest.param(
            [add(0, 1, "m", ONE)],
            at_rest(m=versions(ONE, THREE)),
            writes.WHOLE,
            id="version that nobody wrote",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), patch(2, 3, "m", 3, TWO), patch(4, 5, "m", 2, THREE)],
            at_rest(m=versions(ONE, THREE, TWO)),
            writes.ORDER,
            id="writes in another order",
        ),
        pytest.param(
            [replace(add(0, 1, "m", ONE), tries=2)],
            at_rest(m=versions(ONE), n=versions(ONE)),
            writes.ONCE,
            id="repeated write stored twice",
        ),
        pytest.param(
            [
                call(Kind.UPSERT, 0, 1, seen("m", 1, ONE, external_id="x"), words=[ONE]),
                call(Kind.UPSERT, 2, 3, seen("n", 1, TWO, external_id="x"), words=[TWO]),
            ],
            at_rest(
                m=(replace(versions(ONE)[0], external_id="x"),),
                n=(replace(versions(TWO)[0], external_id="x"),),
            ),
            writes.ONCE,
            id="external id of two memories",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE),
                replace(patch(2, 3, "m", 2, TWO, outcome=Outcome.FAIL, status=412, if_match=7), seen=()),
            ],
            at_rest(m=versions(ONE, TWO)),
            writes.NEVER,
            id="refused write took effect",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), patch(2, 3, "m", 3, TWO, if_match=1)],
            at_rest(m=versions(ONE, TWO, TWO)),
            preconditions.NAMED,
            id="write did not follow what it named",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), forget(2, 3, "m", 1), forget(2, 3, "m", 1)],
            at_rest(m=versions(ONE, f"-{ONE}")),
            preconditions.NAMED,
            id="two writes follow one version",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE),
                replace(patch(2, 3, "m", 2, TWO, outcome=Outcome.FAIL, status=412, if_match=1), seen=()),
            ],
            at_rest(m=versions(ONE)),
            preconditions.RIGHTLY,
            id="refused though its precondition held",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE),
                replace(patch(2, 3, "m", 2, TWO, outcome=Outcome.INFO, status=412, if_match=1), seen=()),
            ],
            at_rest(m=versions(ONE, TWO)),
            preconditions.AGAIN,
            id="repetition refused by its own first try",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), not_found(2, 3, "m", Kind.PATCH, words=[TWO])],
            at_rest(m=versions(ONE)),
            preconditions.RIGHTLY,
            id="writer told that it is not there",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), not_found(2, 3, "m")],
            at_rest(m=versions(ONE)),
            reads.OWN,
            id="reader told that it is not there",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), patch(2, 3, "m", 2, TWO), get(4, 5, "m", 1, ONE)],
            at_rest(m=versions(ONE, TWO)),
            reads.OWN,
            id="old version read",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), get(2, 3, "m", 2, TWO), patch(4, 5, "m", 2, TWO)],
            at_rest(m=versions(ONE, TWO)),
            reads.OWN,
            id="version read before it was written",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), get(2, 3, "m", 1, THREE)],
            at_rest(m=versions(ONE)),
            reads.TRUE,
            id="something else read",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), forget(2, 3, "m", 1), get(4, 5, "m", 1, ONE)],
            at_rest(m=versions(ONE, f"-{ONE}")),
            reads.OWN,
            id="forgotten memory read",
        ),
        pytest.param(
            [add(0, 1, "m", ONE, group="g"), call(Kind.LIST, 2, 3, group="g")],
            at_rest(m=versions(ONE)),
            reads.COMPLETE,
            id="not listed",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE, group="g"),
                call(Kind.LIST, 2, 3, seen("m", 1, ONE), seen("m", 1, ONE), group="g"),
            ],
            at_rest(m=versions(ONE)),
            reads.COMPLETE,
            id="listed twice",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), search(2, 3, ONE)],
            at_rest(m=versions(ONE)),
            searches.FOUND,
            id="not found on return",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), search(2, 3, ONE, seen("m", 1, ONE), seen("m", 1, ONE))],
            at_rest(m=versions(ONE)),
            searches.ONLY,
            id="found twice",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), forget(2, 3, "m", 1), search(4, 5, ONE, seen("m", 1, ONE))],
            at_rest(m=versions(ONE, f"-{ONE}")),
            searches.ONLY,
            id="forgotten memory found",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE),
                add(0, 1, "n", TWO),
                search(2, 3, ONE, seen("m", 1, ONE), seen("n", 1, TWO)),
            ],
            at_rest(m=versions(ONE), n=versions(TWO)),
            searches.ONLY,
            id="found without the word",
        ),
        pytest.param(
            [
                add(0, 1, "m", ONE),
                patch(2, 3, "m", 2, TWO, indexed=False),
                search(4, 5, ONE, seen("m", 1, ONE)),
            ],
            at_rest(m=versions(ONE, TWO)),
            searches.CURRENT,
            id="hit older than an acknowledged write",
        ),
        pytest.param(
            [call(Kind.PEEK, 0, 1, seen("m", 1, ONE), id="m", of="ben")],
            at_rest(),
            tenants.OWN_ONLY,
            id="another tenant's memory read",
        ),
        pytest.param(
            [add(0, 1, "m", ONE), search(2, 3, ONE, seen("m", 1, ONE, tenant="ben"))],
            at_rest(m=versions(ONE)),
            tenants.OWN_ONLY,
            id="another tenant's hit",
        ),
        pytest.param(
            [],
            at_rest(m=versions("benqoneq")),
            tenants.OWN_ONLY,
            id="another tenant's words in store",
        ),
        pytest.param(
            [call(Kind.GET, 0, 1, outcome=Outcome.INFO, status=500, code="internal", id="m")],
            at_rest(),
            refusals.DECLARED,
            id="internal error",
        ),
        pytest.param(
            [call(Kind.GET, 0, 1, outcome=Outcome.FAIL, status=401, code="unauthenticated", id="m")],
            at_rest(),
            refusals.DECLARED,
            id="key not known for a moment",
        ),
        pytest.param(
            [
                replace(
                    call(Kind.GET, 0, 1, outcome=Outcome.FAIL, id="m"),
                    refusals=({"status": 503, "code": "x"},),
                )
            ],
            at_rest(),
            refusals.DECLARED,
            id="unavailable without saying for how long",
        ),
        pytest.param(
            [add(0, 1, "m", ONE, ttl_s=20), not_found(5, 6, "m", word=ONE)],
            at_rest(m=versions(ONE, f"!{ONE}")),
            expiry.LIVES,
            id="gone before its time",
        ),
        pytest.param(
            [add(0, 1, "m", ONE, ttl_s=20), call(Kind.GET, 40, 41, seen("m", 1, ONE), id="m", word=ONE)],
            at_rest(m=versions(ONE, f"!{ONE}")),
            expiry.LIVES,
            id="there after its time",
        ),
        pytest.param(
            [add(0, 1, "m", ONE, ttl_s=3_600)],
            at_rest(m=versions(ONE, f"!{ONE}")),
            expiry.LIVES,
            id="ended before its time",
        ),
        pytest.param(LIFE, replace(LIVED, listed=()), rest.LISTED, id="at rest not listed"),
        pytest.param(LIFE, replace(LIVED, listed=LIVED.listed * 2), rest.LISTED, id="at rest listed twice"),
        pytest.param(LIFE, replace(LIVED, matched=()), rest.EQUAL, id="at rest not in the index"),
        pytest.param(
            LIFE, replace(LIVED, matched=("m", "gone")), rest.EQUAL, id="at rest in the index though gone"
        ),
        pytest.param(LIFE, replace(LIVED, total=2), rest.EQUAL, id="at rest counted otherwise"),
        pytest.param(
            LIFE, replace(LIVED, found={TWO: ("m", "m")}), rest.EQUAL, id="at rest found twice by its word"
        ),
        pytest.param(
            LIFE, replace(LIVED, found={ONE: ("m",)}), rest.EQUAL, id="at rest found by a word it had"
        ),
        pytest.param(LIFE, replace(LIVED, degraded=("index",)), rest.EQUAL, id="at rest degraded"),
        pytest.param(
            LIFE,
            replace(LIVED, compared=(Compared(asked="x", cached=(("m", 2),), computed=(("m", 4),)),)),
            rest.SAME,
            id="at rest another answer from the cache",
        ),
    ],
)
def test_violation_is_found(calls, left, promise):
    assert promise in broken(calls, left)


def test_restored_memory_stands_as_it_was_restored():
    other = [*LIFE[:-3], call(Kind.RESTORE, 12, 13, seen("m", 4, ONE), id="m", if_match=3)]
    assert broken(other, LIVED) == {writes.LOST}


def test_declared_errors_break_no_promise():
    refused = [
        call(Kind.GET, 0, 1, outcome=Outcome.FAIL, status=503, code="store_unavailable", id="m"),
        call(Kind.ADD, 0, 1, outcome=Outcome.INFO, status=504, code="deadline_exceeded", words=[ONE]),
        call(Kind.ADD, 0, 1, outcome=Outcome.INFO, status=0, code="ReadTimeout", words=[TWO]),
    ]
    assert broken(refused, at_rest()) == set()
