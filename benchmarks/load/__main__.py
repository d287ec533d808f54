"""Load by locust: agents that chat, bulk loaders, and a heavy tenant among light ones.

    python -m benchmarks.load --data FOLDER [--target embedded|fleet|URL] [--scenario chat,bulk,tenants] [--api 1,2,4]

The number of clients doubles until throughput stops to grow. Any answer but a good one, 429 and 503 is a failure, and
makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.figures import RESULTS, ROOT, TRIALS, command, machine, write
from benchmarks.load.climbing import Pace, climb
from benchmarks.load.report import show
from benchmarks.load.scenarios import NAMES, chosen
from benchmarks.load.targets import target
from benchmarks.scale import ingest
from benchmarks.speed.corpus import Corpus, dialogues, synthetic
from mnemata.embedding.onnx import MINILM, OnnxEmbedder

WIDTH = 170
EMBEDDED = 50_000
QUICK_MEMORIES = 1_000


def main() -> int:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    corpus = _corpus(options)
    runs = list[dict[str, Any]]()
    for api in options.api:
        runs.append(_run(options, corpus, api, console))
        # After each: a later one may fail, and takes minutes.
        called = command("benchmarks.load", sys.argv[1:])
        about = {"command": called, "memories": options.memories, "think_s": options.think}
        about["machine"] = machine()
        write(options.json, {**about, "runs": runs})
    console.print(f"\nwritten to {options.json}")
    failures = [line for run in runs for line in _failures(run)]
    for line in failures:
        console.print(f"failed: {line}", style="red")
    return 1 if failures else 0


def _run(options: argparse.Namespace, corpus: Corpus, api: int, console: Console) -> dict[str, Any]:
    """All scenarios against one target, in their order, on the same memories."""
    pace = Pace(warm_s=options.warm, seconds=options.seconds, think_s=options.think, batch=options.batch)
    with tempfile.TemporaryDirectory(prefix="mnemata-load-") as name:
        folder = Path(name)
        # Servers that refuse to run as root run as another user, who must reach their folders.
        folder.chmod(0o755)
        with target(options.target, folder, api=api, key=options.key) as chosen_target:
            console.print(f"storing {options.memories:,} memories")
            ingest.send(chosen_target.client, ingest.bodies(corpus, 0, options.memories))
            ingest.until_indexed(chosen_target.client)
            scenarios = {
                scenario: climb(
                    chosen_target,
                    chosen(scenario, most=options.users, batch=options.batch),
                    corpus,
                    pace,
                    console.print,
                )
                for scenario in options.scenario
            }
    run = {"target": chosen_target.name, "api": api, "scenarios": scenarios}
    show(console, run)
    return run


def _failures(run: dict[str, Any]) -> list[str]:
    return [
        f"{name}, {step['label'] or step['clients']}: {count} x {what}"
        for name, scenario in run["scenarios"].items()
        for step in scenario["steps"]
        for what, count in step["failures"].items()
    ]


def _corpus(options: argparse.Namespace) -> Corpus:
    if options.data is None:
        return synthetic(turns=options.memories, embedded=options.memories)
    embedder = OnnxEmbedder()
    try:
        return dialogues(
            options.data,
            turns=options.memories,
            embedded=min(EMBEDDED, options.memories),
            embed=embedder.embed_documents,
            space=MINILM.space.name,
            cache=ROOT / ".cache" / "speed",
        )
    finally:
        embedder.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("MNEMATA_EVAL_DATA"),
        help="folder that holds dialogues/corpus.jsonl.gz",
    )
    parser.add_argument("--target", default="embedded", help="embedded, fleet, or the URL of a running one")
    parser.add_argument("--key", help="an operator's API key, where the URL needs one")
    parser.add_argument("--scenario", default=",".join(NAMES), help="names, with commas between")
    parser.add_argument("--api", default="1", help="numbers of API processes of a fleet, with commas between")
    parser.add_argument("--users", type=int, default=128, help="clients at most")
    parser.add_argument("--memories", type=int, default=20_000, help="stored before")
    parser.add_argument("--batch", type=int, default=200, help="memories of a bulk write")
    parser.add_argument("--think", type=float, default=0.5, help="seconds between two turns of an agent")
    parser.add_argument("--warm", type=float, default=3.0, help="seconds of a step before it is measured")
    parser.add_argument("--seconds", type=float, default=12.0, help="seconds of a step that are measured")
    parser.add_argument(
        "--quick", action="store_true", help="few made-up memories, few clients: to see that it runs"
    )
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    options.scenario = options.scenario.split(",")
    options.api = [int(count) for count in options.api.split(",")]
    if unknown := [name for name in options.scenario if name not in NAMES]:
        parser.error(f"there is no scenario {', '.join(unknown)}: there are {', '.join(NAMES)}")
    if options.quick:
        options.data, options.memories, options.users = None, QUICK_MEMORIES, 1
        options.batch, options.think, options.warm, options.seconds = 50, 0.1, 0.5, 1.0
    elif options.data is None:
        parser.error("name the folder of the data: --data FOLDER")
    if options.target != "fleet":
        options.api = options.api[:1]
    if options.json is None:
        place = options.target if options.target in {"embedded", "fleet"} else "url"
        options.json = (TRIALS if options.quick else RESULTS) / f"load-{place}.json"
    return options


if __name__ == "__main__":
    sys.exit(main())
