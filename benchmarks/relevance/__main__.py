"""Relevance of the default configuration, through REST, on every retrieval set in a folder.

    python -m benchmarks.relevance --data FOLDER [--sets scifact,cranfield] [--modes hybrid] [--json figures.json]

One platform is started on a temporary data folder, or on one that is kept (`--data-dir`), so that a second engine searches
what the first one has stored and embedded; each set gets a tenant of its own, is imported in batches, and all
its judged questions are asked in each mode. Intervals are 95% percentile bootstraps over questions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.relevance import report, sets
from benchmarks.relevance.asking import MODES, Tenant
from benchmarks.relevance.serving import serving

WIDTH = 160
"""Columns of the tables in a file or a log."""


def main() -> None:
    options = _options()
    console = Console(stderr=str(options.json) == "-", width=None if sys.stdout.isatty() else WIDTH)
    figures = dict[str, Any]()
    with serving(_search(options), kept=options.data_dir) as url, console.status("starting") as status:
        for name in options.sets:
            chosen = sets.load(options.data / name, questions=options.questions)
            figures[name] = _measure(url, chosen, options.modes, status.update)
            report.show(console, name, figures[name])
    if options.json is not None:
        _write(options.json, report.whole(figures))


def _measure(url: str, chosen: sets.RetrievalSet, modes: Sequence[str], told: Any) -> dict[str, Any]:
    tenant = Tenant(url, chosen.name)
    try:
        import_s = tenant.import_set(chosen, told)
        stages = {mode: tenant.ask(chosen.questions, mode, told) for mode in modes}
    finally:
        tenant.close()
    return report.judged(chosen, stages, import_s=import_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.relevance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", required=True, help="folder with a folder for each set")
    parser.add_argument("--sets", default="", help="names, with commas between; all of them by default")
    parser.add_argument(
        "--questions", type=int, default=None, help="only the first judged questions of each set"
    )
    parser.add_argument(
        "--json", type=Path, default=None, help="write the figures to a file, or - for stdout"
    )
    parser.add_argument("--modes", default=",".join(MODES), help="stages to ask, with commas between")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=None,
        help="a data folder to keep, and to use again for another engine",
    )
    engines = ("local", "elasticsearch", "opensearch")
    parser.add_argument("--engine", choices=engines, default="local", help="what searches")
    parser.add_argument("--search-url", default="http://127.0.0.1:9200", help="the cluster's nodes")
    options = parser.parse_args()
    options.data = _folder(parser, options.data)
    options.modes = [mode for mode in options.modes.split(",") if mode]
    if unknown := set(options.modes) - set(MODES):
        parser.error(f"--modes knows {', '.join(MODES)}, not {', '.join(sorted(unknown))}")
    present = sets.names_in(options.data)
    options.sets = [name for name in options.sets.split(",") if name] or present
    missing = [name for name in options.sets if name not in present]
    if missing or not present:
        parser.error(f"{options.data} holds no retrieval set {', '.join(missing)}".rstrip())
    return options


def _search(options: argparse.Namespace) -> dict[str, str] | None:
    """Settings of an index of its own in the cluster; it stays there for whoever wants to look at it."""
    if options.engine == "local":
        return None
    index = f"eval{os.getpid()}"
    return {"kind": options.engine, "url": options.search_url, "index": index, "shards": "1"}


def _folder(parser: argparse.ArgumentParser, given: str) -> Path:
    if not given or not Path(given).is_dir():
        parser.error("name the folder of the evaluation sets: make eval DATA=folder")
    return Path(given)


def _write(path: Path, figures: dict[str, Any]) -> None:
    text = json.dumps(figures, indent=2) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
