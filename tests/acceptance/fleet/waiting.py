"""Waiting for what becomes true in a fleet, however busy the machine is."""

from __future__ import annotations

import time

PATIENCE_S = 240


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it never came true")
