"""Writes the report page from the figures that the benches left.

python -m benchmarks.report [--results FOLDER] [--page FILE] [--check]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.figures import RESULTS, ROOT
from benchmarks.report.page import page

PAGE = ROOT / "docs" / "performance-report.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit code 1 where the page is not what it should be",
    )
    options = parser.parse_args()
    written = page(options.results)
    if options.check:
        return 0 if options.page.is_file() and options.page.read_text("utf-8") == written else 1
    options.page.write_text(written, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
