"""A storm of faults over a fleet, or over the platform in one process, while many clients use it; then the accounts are checked.

    python -m benchmarks.chaos --minutes 10 --seed 7

Every fault is drawn from the seed, which is printed. The history (one line an event, as it happens), the servers' logs and a
report stay in the folder that is named at the end. Exit code 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos import ground, storm
from benchmarks.chaos.ground import Ground
from benchmarks.chaos.schedule import plan


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments().parse_args(arguments)
    seed = given.seed or random.SystemRandom().randrange(1, 2**31)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mnemata-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    # Servers that refuse to run as root reach their folders in it.
    folder.chmod(0o755)
    print(f"seed {seed}: again with `python -m benchmarks.chaos --seed {seed}`", file=sys.stderr)
    options = storm.Options(
        seed=seed, seconds=given.minutes * 60, clients=given.clients, pace_s=given.pace, words=given.words
    )
    with _ground(given, folder, seed) as made:
        faults = [name for name in sorted(made.faults) if any(part in name for part in given.faults)]
        steps = plan(faults, seed=seed, seconds=options.seconds, lasting_s=tuple(given.lasting))
        outcomes = storm.run(made, steps, options, path=folder / "history.jsonl")
    report = {"seed": seed, "minutes": given.minutes, "over": given.over, **storm.figures(outcomes)}
    text = json.dumps(report, indent=2)
    (folder / "report.json").write_text(text)
    print(text)
    print(f"history, logs and report: {folder}", file=sys.stderr)
    return 0 if outcomes.settled and not outcomes.violations else 1


@contextmanager
def _ground(given: argparse.Namespace, folder: Path, seed: int) -> Iterator[Ground]:
    if given.over == "single":
        with ground.single(folder) as made:
            yield made
    else:
        with ground.fleet(folder, search_nodes=given.search_nodes, seed=seed) as made:
            yield made


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--over", choices=["fleet", "single"], default="fleet")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, printed")
    parser.add_argument("--search-nodes", type=int, default=3, help="1 or 3")
    parser.add_argument("--clients", type=int, default=3, help="of each of three tenants")
    parser.add_argument(
        "--pace", type=float, default=0.1, help="mean pause between a client's calls, in seconds"
    )
    parser.add_argument(
        "--words", type=int, default=400, help="looked for one by one at rest, of each tenant"
    )
    parser.add_argument(
        "--faults", nargs="*", default=[""], help="only those whose names contain one of these"
    )
    parser.add_argument(
        "--lasting",
        type=float,
        nargs=2,
        # Around what leases, deadlines and breakers of the settings take.
        default=[0.5, 9.0],
        metavar=("LEAST", "MOST"),
        help="how long a fault lasts, in seconds",
    )
    parser.add_argument("--folder", type=Path, help="a new one")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
