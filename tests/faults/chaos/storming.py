"""Short storms, as `make chaos` begins long ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def storm(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", "--folder", str(folder), "--seed", "11", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-5_000:]
    return json.loads(done.stdout)


def kept_its_promises(report: dict[str, Any], *, faults: int) -> None:
    assert report["violations"] == []
    assert report["settled"]
    # Something was at stake: enough was acknowledged, and enough went wrong meanwhile.
    assert report["acknowledged_writes"] > 50
    assert report["looked_for"] > 50
    assert report["faults"] >= faults
