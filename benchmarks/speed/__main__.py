"""How fast it is, beside its parts and its peers, and through HTTP.

    python -m benchmarks.speed --data FOLDER [--parts process,http] [--quick] [--json figures.json]

In one run: bare FAISS and tantivy, our index, our whole recall, LanceDB, Chroma and PostgreSQL with pgvector, in process, with the
same vectors and questions; then a real server over HTTP. `--parts` measures less: `process`, `http`, or single parts of the
latter. `--quick` is a smoke test on a few thousand memories: its figures show that everything runs, not how fast it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

# LanceDB warns of each query on stderr; its engine reads this when it is loaded.
os.environ.setdefault("LANCEDB_LOG", "error")

from rich.console import Console

from benchmarks.figures import RESULTS, TRIALS, machine, write
from benchmarks.speed import over_http, report
from benchmarks.speed.compare import compare
from benchmarks.speed.corpus import Corpus, dialogues, synthetic
from benchmarks.speed.goals import summary
from benchmarks.speed.sizes import QUICK, WHOLE, Sizes
from mnemata import __version__
from mnemata.cli.serve import loop_factory
from mnemata.embedding.onnx import MINILM, OnnxEmbedder
from mnemata.observability.logging import configure

CACHE = Path(__file__).parents[2] / ".cache" / "speed"
PROCESS, HTTP = "process", "http"
WIDTH = 170
"""Columns of the tables in a file or a log."""

Told = Callable[[str], None]


def main() -> None:
    options = _options()
    sizes = QUICK if options.quick else WHOLE
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    configure(format="console", level="error")
    with console.status("starting") as status:
        told = status.update if console.is_terminal else console.print
        corpus = _corpus(options.data, sizes)
        figures = _measured(corpus, sizes, told, parts=options.parts)
    rows = summary(figures)
    figures["summary"] = [asdict(row) for row in rows]
    report.show(console, figures, rows)
    write(options.json, figures)
    console.print(f"\nwritten to {options.json}")


def _measured(corpus: Corpus, sizes: Sizes, told: Told, *, parts: set[str]) -> dict[str, Any]:
    before = os.getloadavg()[0]
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="mnemata-speed-") as name:
        folder = Path(name)
        # An embedded PostgreSQL that root starts runs as another user, who must reach its folder.
        folder.chmod(0o755)
        if PROCESS in parts:
            # On the loop that servers run on.
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                figures |= runner.run(compare(corpus, folder, questions=sizes.questions, told=told))
        if parts != {PROCESS}:
            served = folder / "served"
            figures["http"] = over_http.measure(corpus, served, sizes, parts=parts, told=told)
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
    parser.add_argument(
        "--parts",
        type=_parts,
        default=f"{PROCESS},{HTTP}",
        help=f"with commas between: {PROCESS}, {HTTP}, or some of the latter's parts: {', '.join(over_http.PARTS)}",
    )
    parser.add_argument(
        "--json",
        type=Path,
        help="where the figures are written; benchmarks/results for a whole run of all parts",
    )
    options = parser.parse_args()
    whole = not options.quick and options.parts == {PROCESS, *over_http.PARTS}
    options.json = options.json or (RESULTS if whole else TRIALS) / "speed.json"
    options.data = _folder(parser, options.data, needed=not options.quick)
    return options


def _parts(given: str) -> set[str]:
    """The names with `http` replaced by all of its parts."""
    named = set(given.split(","))
    unknown = named - {PROCESS, HTTP, *over_http.PARTS}
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}")
    return named - {HTTP} | (set(over_http.PARTS) if HTTP in named else set())


def _folder(parser: argparse.ArgumentParser, given: str, *, needed: bool) -> Path | None:
    if (Path(given) / "dialogues" / "corpus.jsonl.gz").is_file():
        return Path(given)
    if needed or given:
        parser.error(f"'{given}' holds no dialogues/corpus.jsonl.gz: make bench DATA=folder")
    return None


if __name__ == "__main__":
    main()
