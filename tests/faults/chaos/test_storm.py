"""A short storm over the platform in one process. `make chaos` runs long ones over a fleet."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def storm(folder: Path, *arguments: str) -> dict:
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


def kept_its_promises(report: dict, *, faults: int) -> None:
    assert report["violations"] == []
    assert report["settled"]
    # Something was at stake: enough was acknowledged, and enough went wrong meanwhile.
    assert report["acknowledged_writes"] > 50
    assert report["looked_for"] > 50
    assert report["faults"] >= faults
    assert report["refusals"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_platform_in_one_process_keeps_its_promises_in_a_storm(open_folder):
    report = storm(
        open_folder, "--over", "single", "--minutes", "0.2", "--lasting", "0.2", "1", "--words", "50"
    )
    kept_its_promises(report, faults=3)
