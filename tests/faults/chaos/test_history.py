"""A history is there whatever becomes of who wrote it, and a schedule is what its seed says."""

import itertools
import json
import math

from benchmarks.chaos.history import Kind, Outcome, Recorder, read
from benchmarks.chaos.schedule import plan, victim

FAULTS = ["killed api-1", "paused api-1", "cut off postgres", "killed redis"]


def test_calls_come_back_as_they_were_noted(tmp_path):
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    memory = {"id": "m", "tenant": "ana", "version": 1, "content": "w x", "external_id": None}
    first = recorder.invoke(client="c", tenant="ana", kind=Kind.ADD, asked={"words": ["w"]})
    recorder.note(fault="killed api-1", what="begins")
    second = recorder.invoke(client="d", tenant="ana", kind=Kind.GET, asked={"id": "m"})
    recorder.ended(second, Outcome.FAIL, status=404, refusals=[{"status": 404}])
    recorder.ended(first, Outcome.OK, status=201, seen=[memory], indexed=True, tries=2)
    recorder.close()
    stored, refused = read(path)
    assert (stored.outcome, stored.seen[0].id, stored.indexed, stored.tries) == (Outcome.OK, "m", True, 2)
    assert stored.sent <= refused.sent <= refused.ended <= stored.ended
    assert (refused.outcome, refused.refusals) == (Outcome.FAIL, ({"status": 404},))


def test_call_whose_end_was_not_written_is_unknown_for_ever(tmp_path):
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    number = recorder.invoke(client="c", tenant="ana", kind=Kind.ADD, asked={"words": ["w"]})
    recorder.close()
    with path.open("a") as torn:
        torn.write(json.dumps({"n": number, "type": "ok"})[:10])
    (call,) = read(path)
    assert (call.outcome, call.ended, call.done_by) == (Outcome.INFO, math.inf, math.inf)


def test_same_seed_gives_the_same_storm_and_another_seed_another():
    def planned(seed):
        return plan(FAULTS, seed=seed, seconds=300, lasting_s=(0.5, 9))

    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


def test_every_fault_comes_before_any_comes_again():
    steps = plan(FAULTS, seed=3, seconds=600, lasting_s=(0.5, 9))
    rounds = [steps[at : at + len(FAULTS)] for at in range(0, len(steps) - len(FAULTS), len(FAULTS))]
    assert len(rounds) > 5
    assert all({step.fault for step in one} == set(FAULTS) for one in rounds)


def test_faults_that_overlap_befall_different_victims():
    steps = plan(FAULTS, seed=5, seconds=3_000, lasting_s=(0.5, 9))
    overlapping = [
        (before, after)
        for before, after in itertools.pairwise(steps)
        if after.at_s < before.at_s + before.for_s
    ]
    assert overlapping
    assert all(victim(before.fault) != victim(after.fault) for before, after in overlapping)
