"""Long work of a server with a bar: the work is asked for, and its status is read until the answer is there."""

from __future__ import annotations

import asyncio
from typing import Any

from mnemata.cli.client import Client
from mnemata.cli.output import Output
from mnemata.cli.progress import bar
from mnemata.domain.errors import MnemataError

_LOOK_EVERY_S = 0.5


async def watched(
    client: Client, output: Output, path: str, body: Any, *, title: str, part: str, noun: str = "memories"
) -> Any:
    """The answer of POST `path`; meanwhile the bar shows what `GET /v1/status` says of `part`: {done, total}."""
    with bar(output, title, noun) as shown:
        work = asyncio.create_task(client.post(path, body, patient=True))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_LOOK_EVERY_S)
                if output.shows_progress and not work.done():
                    done, total = await _how_far(client, part)
                    shown.at(done, total, counted=done)
            return await work
        finally:
            work.cancel()


async def until_findable(client: Client, output: Output) -> None:
    """Return when the index has applied what was written, with a bar; a key that may not see the feed gets a note."""
    with bar(output, "indexing", "memories") as shown:
        at_first = 0
        while True:
            feed = (await client.get("/v1/status")).get("feed")
            if feed is None:
                output.note("stored; the index follows: searches find all of it in a while")
                return
            waiting = int(feed["changes_waiting"])
            at_first = max(at_first, waiting)
            shown.at(at_first - waiting, at_first, counted=at_first - waiting)
            if waiting == 0:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def _how_far(client: Client, part: str) -> tuple[int, int | None]:
    try:
        report = await client.get("/v1/status")
    except MnemataError:
        # The work itself tells what went wrong.
        return 0, None
    running = report.get("running", {}).get(part) or {}
    return int(running.get("done", 0)), running.get("total")
