import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_when_every_process_is_killed_under_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--cycles", "3", "--seed", "11", "--writers", "6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["losses"] == []
    # Each of six writers had four writes acknowledged in each of three cycles, on the average, however slow the machine.
    assert report["acknowledged_writes"] >= 72
    assert report["looked_for"] > 50
