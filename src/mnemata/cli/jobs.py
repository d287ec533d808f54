"""`mnemata jobs`: long work that the workers of a fleet do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from mnemata.cli import people
from mnemata.cli.call import Call

if TYPE_CHECKING:
    from rich.console import Console

JobId = Annotated[UUID, typer.Argument(metavar="ID", help="The job's id, as listed.")]


async def list_jobs(
    call: Call,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.", min=1, max=200)] = 20,
) -> None:
    """List jobs, the newest first."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        page = await client.get("/v1/jobs", params={"limit": limit})
    call.output.answer(page, lambda console: _print_jobs(console, page["items"]))
    if not page["items"]:
        call.output.note("no jobs yet")


async def show(call: Call, job_id: JobId) -> None:
    """Show how far a job is, and what came of it."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        job = await client.get(f"/v1/jobs/{job_id}")
    call.output.answer(job, lambda console: _print_jobs(console, [job]))


async def cancel(call: Call, job_id: JobId) -> None:
    """Stop a job: at once while it waits, soon while it runs."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        job = await client.delete(f"/v1/jobs/{job_id}")
    call.output.answer(job, lambda console: console.print(f"{job['kind']} {job['id']}: {job['state']}"))


async def retry(call: Call, job_id: JobId) -> None:
    """Begin a job again that failed. An import goes on with what it has not stored yet."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        job = await client.post(f"/v1/jobs/{job_id}:retry", None)
    call.output.answer(job, lambda console: console.print(f"{job['kind']} {job['id']}: {job['state']}"))


_TITLES = ("ID", "KIND", "STATE", "DONE", "REMAINING", "ASKED", "RESULT")


def _print_jobs(console: Console, jobs: list[dict[str, Any]]) -> None:
    if not jobs:
        return
    columns = [people.Column(title=title) for title in _TITLES]
    people.print_table(console, columns, [_row(job) for job in jobs])


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    done = f"{job['done']:,} of {job['total']:,}" if job["total"] else ""
    remaining = "" if job["remaining_s"] is None else people.duration(job["remaining_s"])
    plain = {
        name: value for name, value in (job["outcome"] or {}).items() if not isinstance(value, dict | list)
    }
    result = job["code"] or ", ".join(f"{name} {value}" for name, value in plain.items())
    asked = people.moment(job["created_at"])
    return (str(job["id"]), job["kind"], job["state"], done, remaining, asked, result)
