import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_acknowledged_is_lost_when_every_process_is_killed_under_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--cycles", "4", "--seed", "11", "--writers", "6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["losses"] == []
    assert report["acknowledged_writes"] > 100
    assert report["looked_for"] > 100
