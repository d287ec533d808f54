"""`python -m benchmarks.relevance`: a real platform, asked over REST, and judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("MNEMATA_EVAL_DATA", "")
FLOORS = {
    "scifact": ("ndcg@10", 0.71),
    "cranfield": ("ndcg@10", 0.42),
    "locomo-dev": ("recall@10", 0.66),
}
CLUSTERS = ("elasticsearch", "opensearch")
ON_CLUSTERS = ("scifact", "locomo-dev")
"""The least that the default configuration must reach on a whole set, by its headline measure."""

CORPUS = {
    "tea": "Ana drinks green tea in the morning, never coffee.",
    "train": "The night train to Lisbon leaves at ten past nine.",
    "dog": "Our dog is called Biscuit and is afraid of thunder.",
    "key": "The spare key lies under the third flower pot.",
}
QUESTIONS = {
    "q1": ("What does Ana drink?", "tea", "people"),
    "q2": ("name of our dog", "dog", "animals"),
    "q3": ("where is the spare key", "key", "things"),
}


def evaluate(data: Path, out: Path, *more: str, timeout: float) -> tuple[dict, str]:
    """The figures as JSON, and what was printed."""
    command = [
        sys.executable, "-m", "benchmarks.relevance", "--data", str(data), "--json", str(out), *more
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(out.read_text("utf-8")), done.stdout


def mean(figures: dict, stage: str, measure: str, category: str = "all") -> float:
    (cell,) = [
        cell
        for cell in figures["scores"]
        if (cell["stage"], cell["measure"], cell["category"]) == (stage, measure, category)
    ]
    return cell["mean"]


def write_set(folder: Path) -> None:
    folder.mkdir()
    corpus = [{"_id": name, "title": "", "text": text, "metadata": {}} for name, text in CORPUS.items()]
    corpus.append({"_id": "blank", "title": "", "text": " ", "metadata": {}})
    questions = [
        {"_id": name, "text": text, "metadata": {"category_name": category}}
        for name, (text, _, category) in QUESTIONS.items()
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)), "utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)), "utf-8")
    judged = [f"{name}\t{answer}\t1" for name, (_, answer, _) in QUESTIONS.items()]
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]), "utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_small_set_is_imported_asked_and_reported_by_stage_and_category(tmp_path: Path) -> None:
    write_set(tmp_path / "notes")

    figures, printed = evaluate(tmp_path, tmp_path / "figures.json", timeout=880)
    notes = figures["sets"]["notes"]

    assert (notes["memories"], notes["empty_documents"], notes["questions"]) == (4, 1, 3)
    assert {cell["stage"] for cell in notes["scores"]} == {"lexical", "vector", "hybrid"}
    assert mean(notes, "hybrid", "ndcg@10") == 1.0
    assert mean(notes, "hybrid", "recall@10", "animals") == 1.0
    assert notes["ms_per_query"]["hybrid"]["p50"] > 0.0
    assert all(word in printed for word in ("notes", "hybrid - lexical", "animals", "ndcg@10"))


def test_folder_without_a_set_is_refused_with_how_to_call_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.relevance", "--data", ""]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 2
    assert "make eval DATA=folder" in done.stderr


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Where the platform keeps what it has stored and embedded, for one engine after the other."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-relevance-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> dict:
    if not DATA:
        pytest.skip("MNEMATA_EVAL_DATA does not name the folder of the evaluation sets")
    present = [name for name in FLOORS if (Path(DATA) / name).is_dir()]
    if not present:
        pytest.skip(f"{DATA} holds none of {', '.join(FLOORS)}")
    out = tmp_path_factory.mktemp("relevance") / "figures.json"
    chosen = ("--sets", ",".join(present), "--data-dir", str(data_dir))
    measured, _ = evaluate(Path(DATA), out, *chosen, timeout=3_000)
    return measured["sets"]


@pytest.fixture(scope="module", params=CLUSTERS)
def cluster_figures(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    data_dir: Path,
    figures: dict,
    cluster_url: Callable[[str], str],
) -> dict:
    """What a search cluster finds of the memories that the local engine found before."""
    out = tmp_path_factory.mktemp("relevance") / "figures.json"
    present = ",".join(name for name in ON_CLUSTERS if name in figures)
    chosen = ("--sets", present, "--data-dir", str(data_dir), "--modes", "hybrid")
    where = ("--engine", request.param, "--search-url", cluster_url(request.param))
    measured, _ = evaluate(Path(DATA), out, *chosen, *where, timeout=3_000)
    return measured["sets"]


@pytest.mark.eval
@pytest.mark.slow
@pytest.mark.timeout(3_100)
@pytest.mark.xdist_group("relevance")
@pytest.mark.parametrize("name", FLOORS)
def test_default_configuration_reaches_its_floor(figures: dict, name: str) -> None:
    if name not in figures:
        pytest.skip(f"MNEMATA_EVAL_DATA holds no {name}")
    measure, floor = FLOORS[name]

    assert mean(figures[name], "hybrid", measure) >= floor


@pytest.mark.eval
@pytest.mark.slow
@pytest.mark.timeout(3_100)
@pytest.mark.xdist_group("relevance")
@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_search_cluster_reaches_the_same_floor(cluster_figures: dict, name: str) -> None:
    if name not in cluster_figures:
        pytest.skip(f"MNEMATA_EVAL_DATA holds no {name}")
    measure, floor = FLOORS[name]

    assert mean(cluster_figures[name], "hybrid", measure) >= floor


@pytest.mark.eval
@pytest.mark.slow
@pytest.mark.timeout(3_100)
@pytest.mark.xdist_group("relevance")
@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize("leg", ["lexical", "vector"])
def test_both_legs_together_beat_each_alone(figures: dict, name: str, leg: str) -> None:
    if name not in figures:
        pytest.skip(f"MNEMATA_EVAL_DATA holds no {name}")
    measure, _ = FLOORS[name]

    assert mean(figures[name], "hybrid", measure) > mean(figures[name], leg, measure)
