"""What a generation's folder says of its life: when it was made and left, and what others noted of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from mnemata.domain.memory import JsonValue
from mnemata.index.local.durable import write_durably

_NAME = "notes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotes:
    """`touched_at`: when anything of this was written last."""

    created_at: datetime
    touched_at: datetime
    retired_at: datetime | None = None
    notes: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def begun(cls, now: datetime) -> FolderNotes:
        return cls(created_at=now, touched_at=now)

    def noted(self, notes: Mapping[str, JsonValue], *, now: datetime) -> FolderNotes:
        """With these notes beside those that there are; None takes one away."""
        kept = {name: value for name, value in {**self.notes, **notes}.items() if value is not None}
        return replace(self, notes=kept, touched_at=now)

    def retired(self, now: datetime) -> FolderNotes:
        return replace(self, retired_at=now, touched_at=now)

    def live(self, now: datetime) -> FolderNotes:
        return replace(self, retired_at=None, touched_at=now)

    def write(self, folder: Path) -> None:
        written = {
            "created_at": self.created_at.isoformat(),
            "touched_at": self.touched_at.isoformat(),
            "retired_at": None if self.retired_at is None else self.retired_at.isoformat(),
            "notes": dict(self.notes),
        }
        write_durably(folder / _NAME, json.dumps(written).encode())


def read_notes(folder: Path) -> FolderNotes | None:
    """None where the folder has none that can be read."""
    try:
        read = json.loads((folder / _NAME).read_bytes())
        retired_at = read["retired_at"]
        return FolderNotes(
            created_at=datetime.fromisoformat(read["created_at"]),
            touched_at=datetime.fromisoformat(read["touched_at"]),
            retired_at=None if retired_at is None else datetime.fromisoformat(retired_at),
            notes=dict(read["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
