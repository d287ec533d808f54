import inspect
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mnemata.domain import errors
from mnemata.domain.access import ApiKey, Tenant
from mnemata.domain.attributes import sortable_number, sortable_time
from mnemata.domain.change import START, Position
from mnemata.domain.clock import ManualClock, SteadyClock, SystemClock
from mnemata.domain.errors import Forbidden, Kind, MnemataError
from mnemata.domain.fault import NAMED, Fault, Findings, Part
from mnemata.domain.ids import JobId, SequentialIds, TenantId, Uuid7Factory
from mnemata.domain.job import Job, JobKind, JobState
from mnemata.domain.query import Words
from mnemata.domain.scope import Role, Scope
from mnemata.domain.vector import Metric, Space

ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MnemataError) and kind is not MnemataError
]
FACTS = {
    "field": "content",
    "reason": "is odd",
    "remedy": "Mend it",
    "limit": 10,
    "unit": "bytes",
    "actual": 11,
    "role": "reader",
    "needed": "writer",
    "memory_id": "m",
    "version": 2,
    "key_id": "k",
    "tenant": "t",
    "what": "key",
    "identity": "i",
    "key": "k",
    "expected": 1,
    "retry_after_s": 3,
    "limit_s": 5,
    "data_dir": "d",
    "pid": 9,
    "path": "p",
    "name": "g7",
    "job_id": 17,
    "job": "rebuild",
    "instead": "i",
}


@pytest.mark.parametrize("error_class", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_writes_one_whole_sentence(error_class: type[MnemataError]) -> None:
    wanted = inspect.signature(error_class).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted.values())
    error = error_class(**{name: value for name, value in FACTS.items() if takes_all or name in wanted})
    assert str(error).endswith(".")
    assert "{" not in str(error)
    assert isinstance(error.kind, Kind)


def test_codes_are_stable_and_belong_to_one_error_each() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)


def test_an_error_says_when_to_try_again_only_where_waiting_helps() -> None:
    assert errors.StoreUnavailable(what="PostgreSQL", reason="down", retry_after_s=2).retry_after_s == 2.0
    assert errors.KeyNotFound(key_id="k").retry_after_s is None
    assert "log" in str(MnemataError())
    assert "11" not in str(errors.TooLarge(field="f", limit=10, unit="bytes"))


def test_ids_are_version_seven_and_strictly_increase() -> None:
    factory = Uuid7Factory()
    made = [factory.new() for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_sequential_ids_are_the_same_in_every_run() -> None:
    first, second = SequentialIds(), SequentialIds()
    assert [first.new() for _ in range(3)] == [second.new() for _ in range(3)]
    assert first.new().version == 7


def test_positions_are_ordered_by_transaction_then_sequence() -> None:
    assert START < Position(xid=1, sequence=5) < Position(xid=1, sequence=6) < Position(xid=2, sequence=1)
    assert str(Position(xid=3, sequence=4)) == "3-4"


def test_roles_include_the_ones_before() -> None:
    scope = Scope(tenant=TenantId("t"), role=Role.WRITER)
    scope.require(Role.READER)
    scope.require(Role.WRITER)
    with pytest.raises(Forbidden, match="admin"):
        scope.require(Role.ADMIN)


def test_words_are_empty_where_nothing_can_match() -> None:
    assert Words(text="  ", excluded=("x",)).empty
    assert not Words(phrases=("a b",)).empty
    assert not Words(prefixes=("a",)).empty
    assert not Words(text="a").empty


def test_clocks_tell_utc_and_a_manual_one_stands() -> None:
    assert SystemClock().now().tzinfo is UTC
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    assert clock.now().year == 2027


def test_steady_clock_goes_on_from_what_it_was_set_to() -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    clock = SteadyClock(began)
    assert began <= clock.now() <= clock.now() < began + timedelta(hours=1)
    behind = clock.set(began + timedelta(days=1), since=time.monotonic())
    assert timedelta(hours=23) < behind <= timedelta(days=1)
    assert clock.now() >= began + timedelta(days=1)


def test_sortable_text_keeps_the_order_of_numbers_and_times() -> None:
    numbers = [-1e300, -5.0, -0.5, 0.0, 1e-300, 0.5, 3.0, 1e300]
    assert sorted(map(sortable_number, numbers)) == list(map(sortable_number, numbers))
    assert sortable_number(-0.0) == sortable_number(0.0)
    start = datetime(1, 1, 2, tzinfo=UTC)
    times = [
        start,
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        start + timedelta(days=800_000),
    ]
    assert sorted(map(sortable_time, times)) == list(map(sortable_time, times))


def test_running_job_tells_how_long_it_may_still_take_from_its_pace() -> None:
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    job = Job(
        id=JobId(UUID(int=1)),
        kind=JobKind.REBUILD,
        state=JobState.RUNNING,
        arguments={},
        tenant=TenantId("t"),
        attempts=0,
        done=20,
        total=100,
        outcome=None,
        code=None,
        created_at=asked,
        updated_at=asked + timedelta(seconds=10),
    )
    assert job.remaining_s == 40.0
    for nothing_told in ({"done": 0}, {"total": 0}, {"updated_at": asked}, {"state": JobState.WAITING}):
        assert replace(job, **nothing_told).remaining_s is None


def test_findings_name_the_first_faults_and_count_them_all() -> None:
    findings = Findings()
    for number in range(NAMED + 1):
        findings.add(Fault(part=Part.STORE, what="content", detail=str(number), remedy="r"))
    assert (len(findings.faults), findings.total, findings.left) == (NAMED, NAMED + 1, NAMED + 1)


def test_ids_do_not_go_back_when_the_clock_stands_still() -> None:
    factory = Uuid7Factory()
    factory._last_ms = 2**47
    first, second = factory.new(), factory.new()
    assert UUID(str(first)) < UUID(str(second))


def test_what_may_be_shown_of_keys_tenants_and_spaces_is_data() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    key = ApiKey(
        id="k",
        tenant=TenantId("t"),
        role=Role.ADMIN,
        label="",
        created_at=now,
        last_used_at=None,
        revoked_at=None,
    )
    assert not any("secret" in name or "hash" in name for name in key.__slots__)
    assert Tenant(id=TenantId("t"), created_at=now, memories=3).memories == 3
    assert Space(name="m", dimensions=2) != Space(name="m/2", dimensions=2)
    assert {metric.value for metric in Metric} == {"cosine", "dot", "l2"}
