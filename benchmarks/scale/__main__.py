"""A million memories, in steps that go on where the last call ended.

    python -m benchmarks.scale --data FOLDER --folder DIR [--engine local|elasticsearch] [--count 1000000] [--minutes 30]

What is stored stays in DIR: a call that has used its minutes ends behind the step that it is at, and the same call again
goes on. When all steps are done, their figures are written as JSON.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.figures import RESULTS, ROOT, TRIALS, machine, write
from benchmarks.scale.corpus import multiplied
from benchmarks.scale.platforms import ENGINES, Measured
from benchmarks.scale.report import show
from benchmarks.scale.stages import Plan, Record, steps
from benchmarks.speed.corpus import Corpus, dialogues, synthetic
from mnemata.embedding.onnx import MINILM, OnnxEmbedder

TURNS = 300_000
"""Of the dialogues; the rest gives the questions."""

EMBEDDED = 50_000
"""Turns with vectors of their own: the vectors of all others are made from these."""

QUICK_COUNT = 1_000
QUICK_QUESTIONS = 30
GOES_ON = 3
"""The exit code of a call that left steps for the next one."""


def main() -> int:
    options = _options()
    corpus = _corpus(options)
    with _folder(options) as folder:
        record = Record(
            folder / "record.json", {"engine": options.engine, "count": options.count, "corpus": corpus.name}
        )
        if not options.so_far and not _measured(
            folder, corpus, _plan(options), record, minutes=options.minutes
        ):
            print("there is more to do: the same call again goes on from here")
            return GOES_ON
    figures = {**record.figures, "machine": machine()}
    show(Console(), figures)
    write(options.json, figures)
    print(f"\nwritten to {options.json}")
    return 0


def _measured(folder: Path, corpus: Corpus, plan: Plan, record: Record, *, minutes: float) -> bool:
    """Take the steps that are left, as long as there are minutes; whether all are done."""
    until = time.monotonic() + 60 * minutes
    left = steps(platform := Measured(folder, record.figures["about"]["engine"]), corpus, plan, record)
    platform.start()
    try:
        for name, told, take in left:
            if time.monotonic() > until:
                return False
            started = time.monotonic()
            print(told, end=" ", flush=True)
            record.keep(name, take())
            print(f"({time.monotonic() - started:.0f} s)", flush=True)
    finally:
        platform.stop()
    return True


def _plan(options: argparse.Namespace) -> Plan:
    if options.quick:
        return Plan(count=options.count, chunk=500, searches=30, starts=1, still_s=1.0)
    return Plan(
        count=options.count, chunk=min(50_000, options.count // 4), searches=600, starts=3, still_s=13.0
    )


def _corpus(options: argparse.Namespace) -> Corpus:
    if options.data is None:
        said = synthetic(turns=options.count // 2, embedded=options.count // 2)
        return multiplied(replace(said, questions=said.questions[:QUICK_QUESTIONS]), options.count)
    embedder = OnnxEmbedder()
    try:
        said = dialogues(
            options.data,
            turns=TURNS,
            embedded=EMBEDDED,
            embed=embedder.embed_documents,
            space=MINILM.space.name,
            cache=ROOT / ".cache" / "speed",
        )
    finally:
        embedder.close()
    return multiplied(said, options.count)


@contextmanager
def _folder(options: argparse.Namespace) -> Generator[Path]:
    """An embedded PostgreSQL that root starts runs as another user, who must reach its folder."""
    with tempfile.TemporaryDirectory(prefix="mnemata-scale-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        yield folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("MNEMATA_EVAL_DATA"),
        help="folder that holds dialogues/corpus.jsonl.gz",
    )
    parser.add_argument("--folder", type=Path, help="where the memories stay between two calls")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--count", type=int, default=1_000_000, help="memories")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no step when so many have passed")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_COUNT} made-up memories: to see that it runs"
    )
    parser.add_argument("--so-far", action="store_true", help="measure nothing more: write what is known")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    if options.quick:
        options.data, options.count = None, QUICK_COUNT
    elif options.data is None or options.folder is None:
        parser.error("name the folder of the data, and one for the memories: --data FOLDER --folder DIR")
    if options.json is None:
        options.json = (TRIALS if options.quick else RESULTS) / f"scale-{options.engine}.json"
    return options


if __name__ == "__main__":
    sys.exit(main())
