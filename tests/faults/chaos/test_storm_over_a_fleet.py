"""A short storm over a fleet with three search nodes: each is lost and returns while clients write and search."""

import subprocess

import pytest
from deploy.fleet.programs import program
from deploy.servers import artifacts

from .storming import kept_its_promises, storm


@pytest.fixture
def servers():
    try:
        for name in ("initdb", "redis-server", "haproxy"):
            program(name)
        artifacts.elasticsearch()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"a fleet cannot be started here: {error}")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("servers")
def test_fleet_keeps_its_promises_while_search_nodes_are_lost_and_return(open_folder):
    lost = ["killed search-1", "paused search-2", "cut off search-3"]
    report = storm(
        open_folder,
        *("--search-nodes", "3", "--minutes", "0.5", "--clients", "2", "--words", "50"),
        *("--lasting", "2", "6", "--faults", *lost),
    )
    kept_its_promises(report, faults=3)
    assert set(report["faults_by_name"]) == set(lost)
