"""The benches in their quick runs: everything that they measure runs, and every row is there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from benchmarks.report.page import page
from benchmarks.scale.corpus import multiplied
from benchmarks.scale.platforms import Measured
from benchmarks.scale.stages import Plan, Record, steps
from benchmarks.speed.corpus import synthetic

ROOT = Path(__file__).parents[2]
SCENARIOS = {"everything", "one user", "large user"}
PACKAGES = {"lancedb": "lancedb", "chroma": "chromadb", "pgvector": "pgvector"}
"""Peers, and what has to be installed for each: `make bench` does that, the tests do without."""

OWN = {"floor_hnsw", "floor_flat", "mnemata_index", "mnemata_recall"}


def run(bench: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MNEMATA_")}
    command = [sys.executable, "-m", f"benchmarks.{bench}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("speed") / "figures.json"
    done = run("speed", "--quick", "--json", str(out), timeout=880)
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
    assert all({"unseen", "vector_known", "cached"} == kinds.keys() for kinds in http["searches"].values())
    # On a busy machine an answer may come late to the cache, and be computed.
    assert all(
        kinds["cached"]["stages_p50_ms"].keys() >= {"cache", "total", "parse"}
        for kinds in http["searches"].values()
    )
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
    done = run("speed", "--data", "", timeout=240)

    assert done.returncode == 2
    assert "make bench DATA=folder" in done.stderr


class Answering(BaseHTTPRequestHandler):
    """A server that answers what its path says: `/v1/search` well, `/v1/memories` not now, a batch with an error."""

    answers: ClassVar[dict[str, int]] = {"/v1/search": 200, "/v1/memories": 429, "/v1/memories:batch": 500}

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"hits": [], "degraded": ["vector"]}'
        self.send_response(self.answers[urlsplit(self.path).path])
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def answering() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


def test_load_tells_declared_refusals_from_failures_and_counts_degraded_answers(answering: str) -> None:
    material = {
        "turns": [("ana", "USER", "a window seat"), ("ben", "USER", "no shellfish")],
        "vectors": ["AAAA"], "space": "space", "batch": 2, "think_s": 0.01, "run": "test", "keys": {},
    }  # fmt: skip
    order = {
        "url": answering, "clients": {"ChatAgent": 2, "BulkLoader": 1}, "material": material,
        "processes": {}, "warm_s": 0.0, "seconds": 0.5,
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load.generator"],
        cwd=ROOT, input=json.dumps(order).encode(), capture_output=True, timeout=120, check=True,
    )  # fmt: skip

    found = json.loads(done.stdout)
    assert found["operations"].keys() == {"search"}
    assert found["refused"].keys() == {"429"}
    assert all(name.startswith("bulk: ") for name in found["failures"])
    assert sum(found["failures"].values()) > 0
    assert found["degraded"]["vector"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("speed")
def test_every_load_scenario_runs_on_the_embedded_platform_without_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "load-embedded.json"

    done = run("load", "--quick", "--json", str(out), timeout=580)

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    scenarios = json.loads(out.read_text("utf-8"))["runs"][0]["scenarios"]
    operations = {name: scenario["steps"][-1]["operations"].keys() for name, scenario in scenarios.items()}
    assert operations["chat"] == {"write turn", "search", "read"}
    assert operations["bulk"] == {"bulk"}
    assert {"search (light)", "search (heavy)", "bulk (heavy)"} <= operations["tenants"]
    assert {"api", "postgres", "load generator", "others"} <= scenarios["chat"]["steps"][0]["cores"].keys()
    assert "### Tenants" in page(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("speed")
def test_every_step_of_the_scale_bench_is_measured_and_told(tmp_path: Path) -> None:
    out = tmp_path / "scale-local.json"

    done = run("scale", "--quick", "--json", str(out), timeout=580)

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    figures = json.loads(out.read_text("utf-8"))
    assert figures["sizes"]["index"]["documents"] == figures["rebuild"]["documents"] == 1_000
    assert figures["searches"].keys() == SCENARIOS
    assert figures["rebuild"]["searches_not_whole"] == 0
    assert "A rebuild beside the live index takes" in page(tmp_path)


def test_scale_bench_goes_on_where_the_last_call_ended(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.json", {"count": 20})
    record.keep("base", {"resident": 1})
    record.keep("ingest", {"first": 0, "last": 10})

    again = Record(tmp_path / "record.json", {"count": 20})

    plan = Plan(count=20, chunk=10, searches=3, starts=1, still_s=0.0)
    corpus = multiplied(synthetic(turns=10, embedded=10, dimensions=4), 20)
    left = [name for name, _, _ in steps(Measured(tmp_path, "local"), corpus, plan, again)]
    assert left == ["ingest", "settled", "sizes", "start", "searches", "memory", "rebuild"]
    with pytest.raises(SystemExit, match="another run"):
        Record(tmp_path / "record.json", {"count": 30})


def test_repeated_turns_have_texts_and_sessions_of_their_own() -> None:
    said = synthetic(turns=50, embedded=50, dimensions=4)

    turns = multiplied(said, 200).turns[:]

    assert len({turn.text for turn in turns}) == len({(turn.session, turn.sequence) for turn in turns}) == 200
    assert {turn.user for turn in turns} == {turn.user for turn in said.turns}
