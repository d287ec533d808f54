"""A short storm over the platform in one process. `make chaos` runs long ones over a fleet."""

import pytest

from .storming import kept_its_promises, storm


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_platform_in_one_process_keeps_its_promises_in_a_storm(open_folder):
    report = storm(
        open_folder, "--over", "single", "--minutes", "0.2", "--lasting", "0.2", "1", "--words", "50"
    )
    kept_its_promises(report, faults=3)
    assert report["refusals"]
