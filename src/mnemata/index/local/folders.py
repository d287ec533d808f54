"""The folder of the local engine: generations side by side, and a pointer to the one in use."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from mnemata.domain.clock import Clock
from mnemata.domain.errors import GenerationNotFound, GenerationRefused, IndexDamaged
from mnemata.domain.memory import JsonValue
from mnemata.index.local.durable import write_durably
from mnemata.index.local.failures import translated
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.manifest import Identity, written_epoch
from mnemata.index.local.notes import FolderNotes, read_notes
from mnemata.index.local.options import LocalOptions
from mnemata.observability.logging import get_logger

log = get_logger("index")

_CURRENT = "CURRENT"
_DAMAGED = "damaged"


def last_epoch(root: Path) -> str | None:
    """The epoch that the generation in use was built on, or None where that cannot be read. Opens nothing."""
    folder = current_folder(root)
    return None if folder is None else written_epoch(folder)


class Folders:
    """Finds, makes, switches, keeps and removes generations. Calls block; one at a time."""

    def __init__(self, root: Path, *, options: LocalOptions, clock: Clock) -> None:
        self._root = root
        self._options = options
        self._clock = clock

    @property
    def keeps(self) -> bool:
        """Whether generations that are not in use are kept."""
        return self._options.keep_old_s > 0

    def open_current(self, identity: Identity) -> IndexGeneration:
        """The generation in use, or an empty one where there is none that is whole and of this identity."""
        with translated("create", self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            folder = current_folder(self._root)
            self.sweep(in_use=() if folder is None else (folder,))
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
        numbers = [int(found.name[1:]) for found in self.all()]
        folder = self._root / f"g{max(numbers, default=0) + 1:06d}"
        generation = IndexGeneration.create(folder, identity=identity, options=self._options)
        with translated("create", folder):
            FolderNotes.begun(self._clock.now()).write(folder)
        return generation

    def open_beside(self, name: str, identity: Identity) -> IndexGeneration:
        """A generation that is not in use. Raises as SearchIndex.beside."""
        folder = self.folder_of(name)
        if folder == current_folder(self._root):
            raise GenerationRefused(name=name, reason="it is the live one", remedy="Name another one")
        try:
            return IndexGeneration.open(folder, identity=identity, options=self._options)
        except IndexDamaged as error:
            raise GenerationRefused(
                name=name, reason=str(error.facts["reason"]), remedy="Drop it, and build a new one"
            ) from error

    def point_to(self, generation: IndexGeneration) -> None:
        """Put the generation in use, atomically."""
        with translated("switch", self._root):
            self._notes(generation.folder).live(self._clock.now()).write(generation.folder)
            write_durably(self._root / _CURRENT, generation.folder.name.encode())

    def retire(self, folder: Path) -> None:
        """Note that another generation has taken the place of this one."""
        with translated("save", folder):
            self._notes(folder).retired(self._clock.now()).write(folder)

    def note(self, name: str, notes: Mapping[str, JsonValue]) -> None:
        """As SearchIndex.note."""
        folder = self.folder_of(name)
        with translated("save", folder):
            self._notes(folder).noted(notes, now=self._clock.now()).write(folder)

    def discard(self, name: str) -> None:
        """As SearchIndex.discard, of a generation that is not open."""
        folder = self.folder_of(name)
        if folder == current_folder(self._root):
            raise GenerationRefused(
                name=name, reason="it is the live one", remedy="Switch to another one before"
            )
        shutil.rmtree(folder, ignore_errors=True)

    def all(self) -> list[Path]:
        return sorted(self._root.glob("g[0-9]*"))

    def folder_of(self, name: str) -> Path:
        """The folder of a generation. Raises GenerationNotFound."""
        folders = {folder.name: folder for folder in self.all()}
        if name not in folders:
            raise GenerationNotFound(name=name)
        return folders[name]

    def sweep(self, *, in_use: tuple[Path, ...]) -> None:
        """Delete the generations that nobody uses and that are not to be kept any longer."""
        kept_since = self._clock.now() - timedelta(seconds=self._options.keep_old_s)
        for folder in self.all():
            notes = read_notes(folder)
            over = notes is None or not self.keeps or notes.touched_at < kept_since
            if over and folder not in in_use:
                shutil.rmtree(folder, ignore_errors=True)

    def _notes(self, folder: Path) -> FolderNotes:
        return read_notes(folder) or FolderNotes.begun(self._clock.now())

    def _start(self, identity: Identity) -> IndexGeneration:
        generation = self.new_generation(identity)
        self.point_to(generation)
        return generation

    def _set_aside(self, folder: Path) -> None:
        """Keep the last damaged index for whoever wants to know why."""
        aside = self._root / _DAMAGED
        shutil.rmtree(aside, ignore_errors=True)
        with translated("set aside", folder):
            folder.rename(aside)


def current_folder(root: Path) -> Path | None:
    """The folder of the generation in use; None where there is none."""
    pointer = root / _CURRENT
    name = pointer.read_text("utf-8", errors="replace").strip() if pointer.exists() else ""
    # Only a name that `new_generation` gives: a damaged pointer must not lead anywhere else.
    folder = root / name
    return folder if name[1:].isdigit() and folder.is_dir() else None
