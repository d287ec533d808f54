"""A folder belongs to one fleet at a time, and to one of its shape."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None]:
    """No other fleet runs on the folder while the block does. Raises RuntimeError where one does already."""
    with (folder / "fleet.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"Another fleet runs in {folder}: stop it, or give another folder") from error
        yield


def keep_layout(folder: Path, *, search_kind: str, search_nodes: int) -> None:
    """Note the shape in the folder. Raises RuntimeError where the folder has another one.

    A search cluster of one node and one of three do not come together on the same data.
    """
    note = folder / "fleet.json"
    shape = {"search_kind": search_kind, "search_nodes": search_nodes}
    if note.exists():
        known = json.loads(note.read_text())
        if known != shape:
            raise RuntimeError(
                f"{folder} holds a fleet of {known['search_nodes']} {known['search_kind']} nodes: "
                "ask for the same, or give another folder (FLEET_DIR)"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(shape))
