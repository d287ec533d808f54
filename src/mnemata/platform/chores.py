"""Long work that is asked for, by kind: done at once with a local index, by a worker in a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mnemata.domain.job import JobKind
from mnemata.platform.backups import BackUp
from mnemata.platform.crew import sweeper_of
from mnemata.platform.parts import Parts
from mnemata.platform.upkeep import Upkeep
from mnemata.platform.use_cases import Core
from mnemata.services.operations import Facts, Handler, Progress
from mnemata.workers.imports import Importer


def chores_of(parts: Parts, upkeep: Upkeep, back_up: BackUp, core: Core) -> Mapping[JobKind, Handler]:
    """What does each kind of work."""
    sweeper = sweeper_of(parts)
    importer = Importer(parts.store.database, core.remember)
    warming = core.warming

    async def backup(arguments: Facts, progress: Progress) -> Facts:
        path = arguments.get("path")
        return await back_up(Path(path) if isinstance(path, str) else None, progress)

    async def sweep(_: Facts, __: Progress) -> Facts:
        return {**await sweeper.sweep()}

    async def warm(_: Facts, progress: Progress) -> Facts:
        return {"tenants": 0, "searches": 0} if warming is None else {**await warming.everything(progress)}

    async def store(arguments: Facts, progress: Progress) -> Facts:
        return await importer.run(int(str(arguments["job"])), progress)

    return {
        JobKind.BACKUP: backup,
        JobKind.SWEEP: sweep,
        JobKind.WARM: warm,
        JobKind.IMPORT: store,
        **upkeep.handlers,
    }
