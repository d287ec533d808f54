from __future__ import annotations

import pytest
from benchmarks.figures import command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "python -m benchmarks.load"),
        (["--data", "sets", "--api", "1,2"], "python -m benchmarks.load --data folder --api 1,2"),
        (
            ["--data=sets", "--json=a.json", "--quick"],
            "python -m benchmarks.load --data folder --quick",
        ),
        (["--key", "mk_secret", "--json", "a.json"], "python -m benchmarks.load --key key"),
        (["--scenario=chat"], "python -m benchmarks.load --scenario=chat"),
    ],
)
def test_a_command_is_told_without_this_machines_folders_and_keys(arguments: list[str], told: str) -> None:
    assert command("benchmarks.load", arguments) == told
