import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemata import settings as settings_module
from mnemata.domain.clock import ManualClock
from mnemata.domain.errors import AlreadyExists, Forbidden
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.scope import Role, Scope
from mnemata.platform import Platform, backups
from mnemata.settings import Settings
from mnemata.store.backup_archive import verify
from mnemata.store.backup_rotation import scheduled, scheduled_name


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
            while counted(platform, "ok") < 4:
                await asyncio.sleep(0.1)
    finally:
        await platform.close()
    kept = scheduled(folder)
    # Four were made, and a fifth may be there of which none was dropped yet.
    assert 2 <= len(kept) <= 3
    assert verify(kept[0]).memories == 0
    assert counted(platform, "failed") == 0


def counted(platform: Platform, result: str) -> float:
    return platform.metrics.backups.labels(result)._value.get()


def hourly(settings: Settings, folder: Path, keep: int) -> Settings:
    chosen = settings.backup.model_copy(update={"interval_s": 3_600.0, "keep": keep, "dir": folder})
    return settings.model_copy(update={"backup": chosen})


async def opened_until_one_was_tried(settings: Settings, clock: ManualClock) -> Platform:
    platform = await Platform.open(settings, clock=clock)
    try:
        async with asyncio.timeout(60):
            while not counted(platform, "ok") + counted(platform, "failed"):
                await asyncio.sleep(0.05)
    finally:
        await platform.close()
    return platform


async def test_a_platform_that_is_restarted_all_the_time_makes_the_backups_that_are_due(
    settings: Settings, tmp_path: Path
) -> None:
    folder, clock = tmp_path / "backups", ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    often = hourly(settings, folder, keep=2)
    for hour in range(3):
        clock.set(datetime(2026, 6, 1, hour, tzinfo=UTC))
        platform = await opened_until_one_was_tried(often, clock)
        assert counted(platform, "failed") == 0
        clock.set(datetime(2026, 6, 1, hour, 30, tzinfo=UTC))
        # Nothing is due: the newest is half an hour old.
        platform = await Platform.open(often, clock=clock)
        await asyncio.wait_for(platform.index_ready.wait(), 60)
        await platform.close()
        assert counted(platform, "ok") == 0
    assert [path.name[8:24] for path in scheduled(folder)] == ["20260601T020000Z", "20260601T010000Z"]


async def test_a_scheduled_backup_stays_where_an_older_one_was_made_while_the_clock_was_ahead(
    platform: Platform, settings: Settings, tmp_path: Path
) -> None:
    often, clock = (
        hourly(settings, tmp_path / "backups", keep=1),
        ManualClock(datetime(2027, 6, 1, tzinfo=UTC)),
    )
    back_up = backups.backup_to(often, platform.store, clock)
    run = backups.scheduled(often, platform.store, back_up, clock)
    await run()
    clock.set(datetime(2026, 6, 1, tzinfo=UTC))
    await run()
    assert [path.name[8:24] for path in scheduled(tmp_path / "backups")] == ["20260601T000000Z"]


async def test_a_backup_after_which_the_old_ones_cannot_be_deleted_is_counted_as_failed(
    settings: Settings, tmp_path: Path
) -> None:
    # A folder cannot be unlinked, not even by root.
    old = tmp_path / "backups" / scheduled_name(datetime(2026, 5, 1, tzinfo=UTC))
    old.mkdir(parents=True)
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    platform = await opened_until_one_was_tried(hourly(settings, old.parent, keep=1), clock)
    assert (counted(platform, "failed"), counted(platform, "ok")) == (1, 0)
    assert verify(scheduled(old.parent)[0]).memories == 0
