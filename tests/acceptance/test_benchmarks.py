"""`python -m benchmarks.speed --quick`: everything that `make bench` measures runs, and every row is there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = {"everything", "one user", "large user"}
PACKAGES = {"lancedb": "lancedb", "chroma": "chromadb", "pgvector": "pgvector"}
"""Peers, and what has to be installed for each: `make bench` does that, the tests do without."""

OWN = {"floor_hnsw", "floor_flat", "mnemata_index", "mnemata_recall"}


def run(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MNEMATA_")}
    command = [sys.executable, "-m", "benchmarks.speed", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("speed") / "figures.json"
    done = run("--quick", "--json", str(out), timeout=880)
    assert done.returncode == 0, done.stderr[-4_000:] + done.stdout[-2_000:]
    return {**json.loads(out.read_text("utf-8")), "printed": done.stdout}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("speed")
def test_every_contestant_is_measured_in_every_scenario_or_says_why_not(figures: dict) -> None:
    contestants = figures["contestants"]

    assert contestants.keys() == OWN | PACKAGES.keys()
    for key, row in contestants.items():
        if importlib.util.find_spec(PACKAGES.get(key, "json")) is None:
            assert row["skipped"] == f"{PACKAGES[key]} is not installed"
            continue
        assert row["scenarios"].keys() == SCENARIOS
        for found in row["scenarios"].values():
            assert 0.0 < found["p10_ms"] <= found["p50_ms"] <= found["p95_ms"]
            assert found["vector_recall"] > 0.5
            assert found["own"] == 1.0
            assert found["times_the_floor"] > 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("speed")
def test_every_part_of_the_http_door_is_measured(figures: dict) -> None:
    http = figures["http"]

    assert http.keys() == {
        "model", "bulk", "searches", "single_writes", "start", "bulk_after", "memory"
    }  # fmt: skip
    assert http["searches"].keys() == SCENARIOS
    assert all({"unseen", "vector_cached"} == kinds.keys() for kinds in http["searches"].values())
    assert http["single_writes"]["found_on_return"] == 1.0
    assert http["bulk"]["memories_per_s"] > 0.0
    assert http["start"]["ready_s"] > 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("speed")
def test_summary_sets_every_goal_beside_its_figure_and_the_load_of_the_machine(figures: dict) -> None:
    names = [row["name"] for row in figures["summary"]]
    wanted = ("in process", "not seen before", "single write", "bulk write", "start with", "resident memory")

    assert [part for part in wanted if not any(part in name for name in names)] == []
    assert all(row["goal"] in figures["printed"] for row in figures["summary"])
    assert {"load_before", "load_after", "cores"} <= figures["machine"].keys()


def test_whole_run_without_data_is_refused_with_how_to_call_it() -> None:
    done = run("--data", "", timeout=240)

    assert done.returncode == 2
    assert "make bench DATA=folder" in done.stderr
