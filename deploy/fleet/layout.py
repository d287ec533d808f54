"""A folder belongs to a fleet of one shape: another search cluster on the same data would not come together."""

from __future__ import annotations

import json
from pathlib import Path


def keep_layout(folder: Path, *, search_kind: str, search_nodes: int) -> None:
    """Note the shape in the folder. Raises RuntimeError where the folder has another one."""
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
