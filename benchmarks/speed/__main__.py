"""How fast it is, beside its parts and its peers, and through HTTP.

    python -m benchmarks.speed --data FOLDER [--quick] [--json figures.json]

In one run: bare FAISS and tantivy, our index, our whole recall, LanceDB, Chroma and PostgreSQL with pgvector, in process, with the
same vectors and questions; then a real server over HTTP. `--quick` is a smoke test on a few thousand memories: its figures
show that everything runs, not how fast it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# LanceDB warns of each query on stderr; its engine reads this when it is loaded.
os.environ.setdefault("LANCEDB_LOG", "error")

from rich.console import Console

from benchmarks.figures import RESULTS, TRIALS, machine, write
from benchmarks.speed import door, report, startup
from benchmarks.speed.compare import compare
from benchmarks.speed.corpus import Corpus, dialogues, synthetic
from benchmarks.speed.goals import summary
from benchmarks.speed.serving import Server
from mnemata import __version__
from mnemata.embedding.onnx import MINILM, OnnxEmbedder
from mnemata.observability.logging import configure

CACHE = Path(__file__).parents[2] / ".cache" / "speed"
WIDTH = 170
"""Columns of the tables in a file or a log."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is stored and asked. `compared`: turns in process; `served`: memories over HTTP; `full`: for memory.

    `still_s`: how long the server has to be at rest before it is measured. It saves and tidies up every ten seconds.
    """

    compared: int
    served: int
    full: int
    questions: int
    searches: int
    writes: int
    model_texts: int
    model_rounds: int
    starts: int
    still_s: float


WHOLE = Sizes(
    compared=50_000,
    served=100_000,
    full=300_000,
    questions=300,
    searches=900,
    writes=200,
    model_texts=4_096,
    model_rounds=4,
    starts=3,
    still_s=13.0,
)
QUICK = Sizes(
    compared=1_000,
    served=1_000,
    full=1_500,
    questions=20,
    searches=30,
    writes=10,
    model_texts=128,
    model_rounds=1,
    starts=1,
    still_s=1.0,
)


def main() -> None:
    options = _options()
    sizes = QUICK if options.quick else WHOLE
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    configure(format="console", level="error")
    with console.status("starting") as status:
        told = status.update if console.is_terminal else console.print
        corpus = _corpus(options.data, sizes)
        figures = _measured(corpus, sizes, told, parts=options.parts.split(","))
    rows = summary(figures) if {"contestants", "http"} <= figures.keys() else []
    figures["summary"] = [asdict(row) for row in rows]
    if rows:
        report.show(console, figures, rows)
    write(options.json, figures)
    console.print(f"\nwritten to {options.json}")


def _measured(corpus: Corpus, sizes: Sizes, told: Told, *, parts: list[str]) -> dict[str, Any]:
    before = os.getloadavg()[0]
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="mnemata-speed-") as name:
        folder = Path(name)
        # An embedded PostgreSQL that root starts runs as another user, who must reach its folder.
        folder.chmod(0o755)
        if "process" in parts:
            figures |= asyncio.run(compare(corpus, folder, questions=sizes.questions, told=told))
        if "http" in parts:
            figures["http"] = _http(corpus, folder / "served", sizes, told)
    return {
        "version": __version__,
        "corpus": corpus.name,
        "sizes": asdict(sizes),
        "machine": {
            **machine(),
            "load_before": round(before, 1),
            "load_after": round(os.getloadavg()[0], 1),
        },
        **figures,
    }


def _http(corpus: Corpus, data_dir: Path, sizes: Sizes, told: Told) -> dict[str, Any]:
    server = Server(data_dir)
    server.start()
    try:
        # Last first: their texts stand in no memory that is stored with a vector.
        fresh = list(dict.fromkeys(turn.spoken for turn in corpus.turns[::-1]))
        figures: dict[str, Any] = {
            "model": door.with_the_model(
                server, fresh[: sizes.model_texts], rounds=sizes.model_rounds, told=told
            )
        }
        base = startup.footprint(server, corpus, still_s=sizes.still_s)
        figures["bulk"] = door.load(server, corpus, 0, sizes.served, told)
        figures["searches"] = door.searches(
            server, corpus, corpus.questions[-sizes.searches :], told, still_s=sizes.still_s
        )
        writes = fresh[sizes.model_texts : sizes.model_texts + sizes.writes]
        figures["single_writes"] = door.single_writes(server, writes, told)
        told("starting again")
        figures["start"] = startup.restarts(server, corpus, times=sizes.starts)
        figures["bulk_after"] = door.load(server, corpus, sizes.served, sizes.full, told)
        told("reading off memory")
        figures["memory"] = startup.memory(
            base, startup.footprint(server, corpus, still_s=sizes.still_s), sizes.full
        )
    finally:
        server.stop()
    return figures


def _corpus(data: Path | None, sizes: Sizes) -> Corpus:
    if data is None:
        return synthetic(turns=sizes.full + sizes.model_texts, embedded=sizes.compared)
    embedder = OnnxEmbedder()
    try:
        return dialogues(
            data,
            turns=sizes.full + sizes.model_texts + sizes.writes,
            embedded=sizes.compared,
            embed=embedder.embed_documents,
            space=MINILM.space.name,
            cache=CACHE,
        )
    finally:
        embedder.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=os.environ.get("MNEMATA_EVAL_DATA", ""),
        help="folder that holds dialogues/corpus.jsonl.gz",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test of under a minute, on few memories"
    )
    parser.add_argument("--parts", default="process,http", help="process, http or both, with a comma between")
    parser.add_argument(
        "--json",
        type=Path,
        help="where the figures are written; benchmarks/results, but for a quick run",
    )
    options = parser.parse_args()
    options.json = options.json or (TRIALS if options.quick else RESULTS) / "speed.json"
    options.data = _folder(parser, options.data, needed=not options.quick)
    return options


def _folder(parser: argparse.ArgumentParser, given: str, *, needed: bool) -> Path | None:
    if (Path(given) / "dialogues" / "corpus.jsonl.gz").is_file():
        return Path(given)
    if needed or given:
        parser.error(f"'{given}' holds no dialogues/corpus.jsonl.gz: make bench DATA=folder")
    return None


if __name__ == "__main__":
    main()
