import asyncio
from pathlib import Path

import pytest

from mnemata import settings as settings_module
from mnemata.domain.errors import AlreadyExists, Forbidden
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.scope import Role, Scope
from mnemata.platform import Platform
from mnemata.settings import Settings
from mnemata.store.backup_archive import verify
from mnemata.store.backup_rotation import scheduled


async def test_an_operator_makes_a_backup_of_a_running_platform(
    platform: Platform, scope: Scope, tmp_path: Path
) -> None:
    await platform.services.remember.one(scope, MemoryDraft(content="kept"))
    target = tmp_path / "mine.mnemata-backup"
    facts = await platform.services.operations.backup(scope, target)
    assert facts["memories"] == 1
    assert verify(target).memories == 1
    with pytest.raises(AlreadyExists):
        await platform.services.operations.backup(scope, target)
    with pytest.raises(Forbidden):
        await platform.services.operations.backup(Scope(tenant=scope.tenant, role=Role.ADMIN), tmp_path / "x")


async def test_backups_are_made_on_schedule_and_only_the_newest_are_kept(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    often = settings_module.load(
        environment={},
        data_dir=settings.data_dir,
        database={"url": database_url},
        embedding={"model": "hashing"},
        backup={"interval_s": 1.0, "keep": 2, "dir": folder},
    )
    platform = await Platform.open(often)
    try:
        async with asyncio.timeout(60):
            while platform.metrics.backups.labels("ok")._value.get() < 3:
                await asyncio.sleep(0.1)
    finally:
        await platform.close()
    kept = scheduled(folder)
    assert 1 <= len(kept) <= 3
    assert verify(kept[-1]).memories == 0
    assert platform.metrics.backups.labels("failed")._value.get() == 0
