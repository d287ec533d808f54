"""`mnemata import`: memories from JSON lines, streamed in batches, again without harm."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.exits import ExitCode, Interrupted
from mnemata.cli.progress import Bar, bar
from mnemata.domain.errors import InvalidField

if TYPE_CHECKING:
    from mnemata.cli.client import Client
    from mnemata.cli.importing.handover import Handover
    from mnemata.cli.importing.lines import Line, Refused
    from mnemata.cli.importing.mapping import FieldMap
    from mnemata.cli.importing.sender import Report, Sender

_SHOWN_REFUSALS = 20
_READ_AT_ONCE = 500


class PresetName(StrEnum):
    AUTO = "auto"
    NONE = "none"
    LOCOMO = "locomo"
    DIALOGUES = "dialogues"


async def import_files(
    call: Call,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="JSON lines, plain or .gz; - is stdin; a folder stands for its corpus.jsonl.",
        ),
    ],
    *,
    preset: Annotated[
        PresetName, typer.Option("--preset", help="A ready mapping; auto recognises turns of conversations.")
    ] = PresetName.AUTO,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=SOURCE",
            help="Where a field comes from: content=message, user_id=metadata.name or session_id={metadata.a}/{metadata.b}.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=1_000, help="Memories per request.")
    ] = 500,
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, max=32, help="Requests under way at once.")
    ] = 4,
    errors: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Write refused lines there, as JSON lines."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="End when searches find all of it, or when it is stored.")
    ] = True,
    background: Annotated[
        bool, typer.Option("--background", help="In a fleet: hand all of it over to the workers, and end.")
    ] = False,
) -> None:
    """Store memories from files of JSON lines.

    A line holds a memory's fields, or those of a retrieval set: _id, title, text, metadata. What `mnemata list --json`
    and the API give out is taken too: each item of its `items` is a memory.

    It may be run again: a line with an external id (or _id) changes its memory instead of adding one. Ends with
    exit code 2 if any line was refused; the others are stored.
    """
    from mnemata.cli.connection import connected
    from mnemata.cli.importing.lines import files_of
    from mnemata.cli.importing.mapping import PLAIN, with_options
    from mnemata.cli.watching import until_findable

    names = files_of(files)
    # Refused here, before anything is opened or stored.
    with_options(PLAIN, mapping or [])
    if errors is not None:
        _write(errors, [])
    async with connected(call) as client:
        began = time.monotonic()
        # The sender is patient with a server that goes away: one that never was there is said at once.
        await client.get("/v1/status")
        with bar(call.output, "importing", "memories") as shown:
            report = await _send_all(
                client,
                names,
                shown,
                lambda first: _field_map(first, preset, mapping or [], call),
                batch_size=batch_size,
                in_flight=in_flight,
                wait=wait,
                note=call.output.note,
                background=background,
            )
        if wait and not background and not report.findable:
            with _told_when_interrupted(report):
                await until_findable(client, call.output)
    report.seconds = time.monotonic() - began
    _tell(call, report, errors)
    if report.refused:
        raise typer.Exit(ExitCode.INVALID)


async def _send_all(
    client: Client,
    names: list[str],
    shown: Bar,
    chosen: Callable[[Line], FieldMap],
    *,
    batch_size: int,
    in_flight: int,
    wait: bool,
    note: Callable[[str], None],
    background: bool,
) -> Report:
    from mnemata.cli.importing import lines
    from mnemata.cli.importing.handover import Handover
    from mnemata.cli.importing.sender import Sender
    from mnemata.domain.ids import Uuid7Factory

    total, ids = lines.total_bytes(names), Uuid7Factory()

    def progress(report: Report) -> None:
        shown.at(report.bytes_read, total, counted=report.counted)

    sender = (
        Handover(client, ids=ids, progress=progress)
        if background
        else Sender(
            client,
            ids=ids,
            batch_size=batch_size,
            in_flight=in_flight,
            wait=wait,
            progress=progress,
            note=note,
        )
    )
    try:
        with _told_when_interrupted(sender.report):
            await _feed(sender, lines.read(names), chosen)
            await sender.finish()
    finally:
        sender.stop()
    return sender.report


@contextmanager
def _told_when_interrupted(report: Report) -> Generator[None]:
    """Ctrl-C while the block runs is told with what was done until then."""
    try:
        yield
    except asyncio.CancelledError:
        raise Interrupted(_so_far(report)) from None


def _so_far(report: Report) -> str:
    """Where an import stood when it was interrupted, and that it may be run again."""
    if report.jobs:
        jobs = ", ".join(map(str, report.jobs))
        done = f"{people.amount(report.handed_over, 'memory')} handed over so far, to: {jobs}"
    else:
        stored, unchanged = people.amount(report.stored, "memory"), report.unchanged
        done = f"{stored} stored, {report.updated:,} updated, {unchanged:,} unchanged so far"
    return (
        f"Interrupted: {done}; requests that were under way may have been stored, too. "
        "Running it again is harmless where every line has an external id."
    )


async def _feed(
    sender: Sender | Handover,
    source: Iterator[tuple[Line | Refused, int]],
    chosen: Callable[[Line], FieldMap],
) -> None:
    """Every line to the sender, mapped; lines that cannot be read go to the report."""
    from mnemata.cli.importing.lines import Refused

    field_map: FieldMap | None = None
    # Reading and unzipping leave the event loop, in pieces large enough not to be felt.
    while piece := await asyncio.to_thread(lambda: list(itertools.islice(source, _READ_AT_ONCE))):
        for item, bytes_read in piece:
            if isinstance(item, Refused):
                sender.refuse(item, bytes_read)
                continue
            field_map = field_map or chosen(item)
            await sender.add(item.place, field_map.memory(item.value), bytes_read)


def _field_map(first: Line, preset: PresetName, options: list[str], call: Call) -> FieldMap:
    from mnemata.cli.importing.mapping import PRESETS, preset_for, with_options

    name = preset.value
    if preset is PresetName.AUTO:
        name = preset_for(first.value)
        if name != "none":
            call.output.note(
                f"turns of conversations: taken as --preset {name} (--preset none leaves them as they are)"
            )
    return with_options(PRESETS[name], options)


def _tell(call: Call, report: Report, errors: Path | None) -> None:
    refused = [item.as_json() for item in report.refused]
    if errors is not None:
        _write(errors, refused)
    summary: dict[str, Any] = {
        "stored": report.stored,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": len(refused),
        "seconds": round(report.seconds, 3),
    }
    if report.jobs:
        summary |= {"handed_over": report.handed_over, "jobs": report.jobs}
    call.output.answer(summary | {"errors": refused}, lambda console: console.print(_sentence(report)))
    if errors is not None:
        return
    for item in report.refused[:_SHOWN_REFUSALS]:
        call.output.warn(f"{item.place} is not stored: {item.reason}")
    if len(refused) > _SHOWN_REFUSALS:
        call.output.warn(f"{len(refused) - _SHOWN_REFUSALS:,} more refused; --errors FILE keeps them all")


def _write(errors: Path, refused: list[dict[str, Any]]) -> None:
    """The refused lines into their file. Raises InvalidField where that cannot be written."""
    try:
        errors.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in refused), "utf-8")
    except OSError as error:
        raise InvalidField(
            field="--errors",
            reason=f"{errors} cannot be written: {error.strerror}",
            remedy="Name another file",
        ) from error


def _sentence(report: Report) -> str:
    if report.jobs:
        jobs = ", ".join(map(str, report.jobs))
        handed_over = people.amount(report.handed_over, "memory")
        return f"{handed_over} handed over, {len(report.refused):,} refused; `mnemata jobs show ID` tells of: {jobs}"
    done = report.counted - len(report.refused)
    unchanged = f"{report.unchanged:,} unchanged, " if report.unchanged else ""
    rate = done / report.seconds if report.seconds else 0.0
    return (
        f"{people.amount(report.stored, 'memory')} stored, {report.updated:,} updated, {unchanged}"
        f"{len(report.refused):,} refused in {people.duration(report.seconds)} ({rate:,.0f} a second)"
    )
