"""What can be wrong with the store and the index: asked of a running server, or of the data folder itself."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.checks import Check, State, failed
from mnemata.cli.exits import ExitCode
from mnemata.domain.errors import MnemataError

if TYPE_CHECKING:
    from mnemata.cli.client import Client
    from mnemata.settings import Settings


# What a model says of itself that is no reason to worry: it was not needed yet, or none is wanted.
_WELL = ("not asked yet", "none", "off")
_OPENING = ("building", "not connected yet")
_SETTLED_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.1


_REMEDIES = {
    "index": "It mends itself; wait, or see the log",
    "embedding": "Memories are still found by their words; the log says why",
    "cache": "Searches go on without it; see that Redis or Valkey runs and that MNEMATA_CACHE__URL names it",
}


async def server_checks(call: Call) -> AsyncGenerator[Check]:
    """What the server that was named says of itself."""
    async for check in _status_checks(call):
        yield check


async def store_checks(call: Call) -> AsyncGenerator[Check]:
    """PostgreSQL, its schema, and the index, without changing what is there."""
    from mnemata.cli.connection import running_server

    settings = call.settings
    if running_server(settings) is None:
        for check in await asyncio.to_thread(lambda: list(_database_checks(settings))):
            yield check
            if check.state is not State.OK:
                return
        if settings.database.url is None and not _has_store(settings.data_dir):
            yield Check(name="index", says="none yet: nothing has been stored")
            return
    async for check in _status_checks(call):
        yield check


def _database_checks(settings: Settings) -> Iterator[Check]:
    """Whether PostgreSQL starts or answers, and whether its schema is this program's. Blocking."""
    from mnemata.cli.store_access import opened_store
    from mnemata.store import migrate

    try:
        with (
            tempfile.TemporaryDirectory(prefix="mnemata-doctor-") as folder,
            opened_store(_or_in(settings, Path(folder))) as url,
        ):
            waiting, before = migrate.pending(url), migrate.current(url)
    except MnemataError as error:
        yield failed("postgresql", error)
        return
    yield Check(name="postgresql", says="starts and answers" if settings.database.url is None else "answers")
    yield _schema_check(before, waiting, migrates=settings.database.migrate)


def _or_in(settings: Settings, folder: Path) -> Settings:
    """The settings, moved to another folder where theirs holds no store yet: looking must not make one."""
    if settings.database.url is not None or _has_store(settings.data_dir):
        return settings
    # The embedded server may run as another user, who must reach its folder.
    folder.chmod(0o755)
    return settings.model_copy(update={"data_dir": folder / "data"})


def _has_store(data_dir: Path) -> bool:
    return (data_dir / "postgres").exists()


def _schema_check(before: str | None, waiting: list[str], *, migrates: bool) -> Check:
    if before is None:
        return Check(name="schema", says="none yet: made at the first start")
    if not waiting:
        return Check(name="schema", says=f"up to date (revision {before})")
    return Check(
        name="schema",
        state=State.WARN,
        says=f"at revision {before}; {people.amount(len(waiting), 'migration')} waiting",
        remedy="`mnemata serve` applies them" if migrates else "Run `mnemata migrate`",
    )


async def _status_checks(call: Call) -> AsyncGenerator[Check]:
    from mnemata.cli.connection import connected

    try:
        async with connected(call) as client:
            checks = list(status_checks(await _settled(client)))
    except MnemataError as error:
        yield failed("platform", error)
        return
    for check in checks:
        yield check


async def _settled(client: Client) -> dict[str, Any]:
    """The status report, once what is only being opened is open: nothing is wrong with that."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while True:
        report = await client.get("/v1/status")
        opening = {state for state in report["parts"].values() if state.startswith(_OPENING)}
        if not opening or time.monotonic() > deadline:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    if "feed" in report and report["parts"].get("cache") not in {None, "off"}:
        # Asked of the cache itself: the state of the part is that of its last call, a while ago.
        about = (await client.get("/v1/admin/cache"))["server"]
        report["parts"]["cache"] = "ok" if about["answers"] else f"does not answer ({about['reason']})"
    return report


def status_checks(report: dict[str, Any]) -> Iterator[Check]:
    """What a status report says of store, search, feed and index."""
    for name, state in report["parts"].items():
        if state == "ok" or state.startswith(_WELL):
            yield Check(name=name, says=_well(name, state, report))
        else:
            yield _part_failure(name, state)
    if "feed" in report:
        yield _feed_check(report["feed"])
        yield _index_check(report["index"])


def _index_check(index: dict[str, Any]) -> Check:
    if "unavailable" in index:
        remedy = "See that the search cluster runs and that MNEMATA_SEARCH__URL names it"
        return Check(name="indexed", state=State.WARN, says=f"{index['unavailable']}", remedy=remedy)
    documents, size = people.amount(index["documents"], "memory"), people.size(index["bytes_on_disk"])
    return Check(name="indexed", says=f"{documents}, {size} on disk")


def _well(name: str, state: str, report: dict[str, Any]) -> str:
    """The state, and of the store, to those who may know, its version."""
    return (
        f"{state}, PostgreSQL {report['store']['server_version']}"
        if name == "store" and "store" in report
        else state
    )


def _part_failure(name: str, state: str) -> Check:
    if name == "store":
        remedy = "Look at the server's log; is its disk full, is PostgreSQL running?"
        return Check(name=name, state=State.FAIL, says=state, remedy=remedy, exit=ExitCode.UNAVAILABLE)
    return Check(name=name, state=State.WARN, says=state, remedy=_REMEDIES.get(name, "See the log"))


def _feed_check(feed: dict[str, Any]) -> Check:
    set_aside = feed["set_aside"]["count"]
    says = f"{feed['changes_waiting']:,} changes waiting, {set_aside:,} set aside"
    if not set_aside:
        return Check(name="feed", says=says)
    remedy = "`mnemata status` lists them; `mnemata rebuild` tries them again"
    return Check(name="feed", state=State.WARN, says=says, remedy=remedy)
