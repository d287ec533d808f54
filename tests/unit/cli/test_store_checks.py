import pytest

from mnemata.cli.exits import ExitCode
from mnemata.cli.store_checks import status_checks

WELL = {
    "parts": {"store": "ok", "index": "ok", "embedding": "not asked yet"},
    "store": {"server_version": "18.4"},
    "feed": {"changes_waiting": 0, "set_aside": {"count": 0}},
    "index": {"documents": 3, "bytes_on_disk": 1_000},
}


def checks(**changes):
    return {check.name: check for check in status_checks(WELL | changes)}


def test_report_without_trouble_gives_no_remedy():
    found = checks()

    assert {check.state for check in found.values()} == {"ok"}
    assert [check.remedy for check in found.values() if check.remedy] == []
    assert "18.4" in found["store"].says


def test_store_that_does_not_answer_is_a_failure_with_its_exit_code():
    found = checks(parts={**WELL["parts"], "store": "storage_full"})

    assert (found["store"].state, found["store"].exit) == ("fail", ExitCode.UNAVAILABLE)


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ("index", "building: searches are answered from the store"),
        ("embedding", "model_damaged: ..."),
        ("cache", "does not answer (unreachable)"),
    ],
)
def test_part_that_searches_can_do_without_is_a_warning_with_what_to_do(part, state):
    found = checks(parts={**WELL["parts"], part: state})

    assert (found[part].state, bool(found[part].remedy)) == ("warn", True)


def test_changes_that_were_set_aside_are_a_warning():
    found = checks(feed={"changes_waiting": 0, "set_aside": {"count": 2}})

    assert found["feed"].state == "warn"
    assert "rebuild" in found["feed"].remedy


def test_reader_who_may_not_see_inside_gets_the_parts_only():
    found = {check.name for check in status_checks({"parts": WELL["parts"]})}

    assert found == {"store", "index", "embedding"}
