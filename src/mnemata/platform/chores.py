"""Long work that is asked for, by kind: done at once with a local index, by a worker in a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mnemata.domain.job import JobKind
from mnemata.platform.backups import BackUp
from mnemata.platform.crew import sweeper_of
from mnemata.platform.parts import Parts
from mnemata.platform.upkeep import Upkeep
from mnemata.services.operations import Facts, Handler, Progress
from mnemata.services.warming import Warming


def chores_of(
    parts: Parts, upkeep: Upkeep, back_up: BackUp, warming: Warming | None
) -> Mapping[JobKind, Handler]:
    """What does each kind of work. `warming`: None where there is no cache."""
    sweeper = sweeper_of(parts)

    async def backup(arguments: Facts, progress: Progress) -> Facts:
        path = arguments.get("path")
        return await back_up(Path(path) if isinstance(path, str) else None, progress)

    async def sweep(_: Facts, __: Progress) -> Facts:
        return {**await sweeper.sweep()}

    async def warm(_: Facts, progress: Progress) -> Facts:
        return {"tenants": 0, "searches": 0} if warming is None else {**await warming.everything(progress)}

    return {JobKind.BACKUP: backup, JobKind.SWEEP: sweep, JobKind.WARM: warm, **upkeep.handlers}
