"""What is shipped speaks of itself alone, and holds nothing that is left to do."""

import re
from pathlib import Path

import pytest

THIS = Path(__file__)
ROOT = THIS.parents[2]
FOLDERS = ("src", "tests", "docs", "benchmarks", "contracts", "deploy", "locks", ".ci")
SUFFIXES = {".py", ".md", ".sql", ".toml", ".txt", ".sh", ".json", ".yaml", ".yml", ".cfg", ".ini", ""}
# A further work tree of the repository has `.git` as a file that names the first.
SKIPPED = {"__pycache__", "results", ".git"}

UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PLACES = re.compile(r"(?<![\w.])/(work|root|home|Users)/[a-z]|\.\./shared")
TICKET = re.compile(r"\b(issue|ticket) #?\d+\b", re.IGNORECASE)
# The project's own check may be given data that lies beside the checkout.
BESIDE = ROOT / ".ci" / "run"


def shipped():
    files = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    for folder in FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(
        path for path in files if path.suffix in SUFFIXES and not SKIPPED & set(path.relative_to(ROOT).parts)
    )


def found(pattern, *, but=()):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in shipped()
        if path not in {*but, THIS}
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_nothing_is_left_to_do_in_a_comment():
    assert found(UNDONE) == []


def test_no_file_names_a_folder_of_one_machine():
    assert found(PLACES, but={BESIDE}) == []


def test_no_file_refers_to_a_ticket_that_its_reader_cannot_see():
    assert found(TICKET) == []


def test_lock_files_name_no_package_index():
    assert found(re.compile(r"(--(extra-)?index-url|https?://)"), but=set(shipped()) - set(locks())) == []


def test_every_locked_package_has_its_hash():
    for lock in locks():
        requirements = re.findall(r"^([a-z0-9._-]+)==\S+ (.*)$", lock.read_text(), re.MULTILINE)
        assert requirements
        assert [name for name, rest in requirements if not rest.rstrip().endswith("\\")] == []


def locks():
    return sorted((ROOT / "locks").glob("*.txt"))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNDONE, "# TODO: later"),
        (PLACES, "see /root/x"),
        (PLACES, "from ../shared/data"),
        (TICKET, "as issue 12 asks"),
    ],
)
def test_what_is_looked_for_would_be_found(pattern, text):
    assert pattern.search(text)
