"""The folder of the local engine: generations side by side, and a pointer to the one in use."""

from __future__ import annotations

import shutil
from pathlib import Path

from mnemata.domain.errors import IndexDamaged
from mnemata.index.local.durable import write_durably
from mnemata.index.local.failures import translated
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.manifest import Identity, written_epoch
from mnemata.index.local.options import LocalOptions
from mnemata.observability.logging import get_logger

log = get_logger("index")

_CURRENT = "CURRENT"
_DAMAGED = "damaged"


def last_epoch(root: Path) -> str | None:
    """The epoch that the generation in use was built on, or None where that cannot be read. Opens nothing."""
    folder = _current(root)
    return None if folder is None else written_epoch(folder)


class Folders:
    """Finds, makes, switches and removes generations. Calls block; one at a time."""

    def __init__(self, root: Path, *, options: LocalOptions) -> None:
        self._root = root
        self._options = options

    def open_current(self, identity: Identity) -> IndexGeneration:
        """The generation in use, or an empty one where there is none that is whole and of this identity."""
        with translated("create", self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            folder = _current(self._root)
            self._remove_others(folder)
        if folder is None:
            return self._start(identity)
        try:
            return IndexGeneration.open(folder, identity=identity, options=self._options)
        except IndexDamaged as error:
            log.warning("index_set_aside", generation=folder.name, reason=str(error.facts["reason"]))
            self._set_aside(folder)
            return self._start(identity)

    def new_generation(self, identity: Identity) -> IndexGeneration:
        """An empty generation beside the others, not in use yet."""
        numbers = [int(found.name[1:]) for found in self._root.glob("g[0-9]*")]
        folder = self._root / f"g{max(numbers, default=0) + 1:06d}"
        return IndexGeneration.create(folder, identity=identity, options=self._options)

    def point_to(self, generation: IndexGeneration) -> None:
        """Put the generation in use, atomically."""
        with translated("switch", self._root):
            write_durably(self._root / _CURRENT, generation.folder.name.encode())

    def _start(self, identity: Identity) -> IndexGeneration:
        generation = self.new_generation(identity)
        self.point_to(generation)
        return generation

    def _remove_others(self, current: Path | None) -> None:
        """Delete what an interrupted rebuild left."""
        for folder in self._root.glob("g[0-9]*"):
            if folder != current:
                shutil.rmtree(folder, ignore_errors=True)

    def _set_aside(self, folder: Path) -> None:
        """Keep the last damaged index for whoever wants to know why."""
        aside = self._root / _DAMAGED
        shutil.rmtree(aside, ignore_errors=True)
        with translated("set aside", folder):
            folder.rename(aside)


def _current(root: Path) -> Path | None:
    pointer = root / _CURRENT
    name = pointer.read_text("utf-8", errors="replace").strip() if pointer.exists() else ""
    # Only a name that `new_generation` gives: a damaged pointer must not lead anywhere else.
    folder = root / name
    return folder if name[1:].isdigit() and folder.is_dir() else None
