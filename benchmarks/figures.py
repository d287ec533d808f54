"""Where the benches leave their figures, and on what machine they were made: `python -m benchmarks.report` makes a page of them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from mnemata import __version__

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
"""Kept with the code: the report page is made of what lies here, and of nothing else."""

TRIALS = ROOT / ".cache" / "results"
"""For what is no measurement: quick runs, which only show that everything runs."""


def machine() -> dict[str, Any]:
    """What a figure depends on: the machine, the versions, the day, and what else the machine does."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": platform.python_version(),
        "version": __version__,
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 1),
    }


_SECRET_OR_PLACE = {"--data": "folder", "--key": "key", "--json": None}
"""Options whose values are not told: what stands for them, or nothing where they change no figure."""


def command(module: str, arguments: Sequence[str]) -> str:
    """What was called, as anybody can call it: without this machine's folders, and without keys."""
    words, left = ["python", "-m", module], list(arguments)
    while left:
        name, given, value = left.pop(0).partition("=")
        if name not in _SECRET_OR_PLACE:
            words.append(f"{name}{given}{value}")
            continue
        if not given:
            left.pop(0)
        if (told := _SECRET_OR_PLACE[name]) is not None:
            words += [name, told]
    return " ".join(words)


def write(path: Path, figures: dict[str, Any]) -> None:
    """As JSON with a newline at its end; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Of the code that was measured; nothing where it lies in no repository."""
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
