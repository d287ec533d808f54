"""`mnemata worker`: the work of a fleet behind its doors, until it is told to stop."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli.call import Call
from mnemata.cli.serve import ended_by_sigterm, loop_factory, no_collections

if TYPE_CHECKING:
    from mnemata.settings import Settings


def worker(
    call: Call,
    *,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", help="Port of the health page; 0 chooses one."),
    ] = None,
) -> None:
    """Do a share of the fleet's work.

    It indexes, sweeps, backs up and runs jobs; any number of workers divide that among themselves. It needs a search
    cluster: with a local index, `mnemata serve` does everything. Ctrl-C stops it.
    """
    import asyncio

    settings = _settings(call, port)
    with contextlib.ExitStack() as starting:
        starting.enter_context(no_collections())
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(call, settings, starting))


def _settings(call: Call, port: int | None) -> Settings:
    from mnemata.domain.errors import ConfigurationError
    from mnemata.settings import load

    overrides: dict[str, Any] = call.overrides | ({} if port is None else {"worker": {"port": port}})
    settings = load(config=call.config, **overrides)
    if settings.local:
        raise ConfigurationError(
            reason="A worker needs a search cluster: a local index belongs to one process",
            remedy="Set MNEMATA_SEARCH__KIND and MNEMATA_SEARCH__URL, or use `mnemata serve`",
        )
    return settings


async def _run(call: Call, settings: Settings, starting: contextlib.ExitStack) -> None:
    import os

    from mnemata.api.rest.health_app import create_health_app
    from mnemata.api.rest.options import HttpOptions
    from mnemata.api.rest.server import serve
    from mnemata.observability import logging
    from mnemata.platform import Platform

    logging.configure(format=settings.log.format, level=settings.log.level)
    with ended_by_sigterm():
        platform = await Platform.open(settings, works=True)
    try:
        options = HttpOptions(
            host=settings.worker.host,
            port=settings.worker.port,
            shutdown_grace_s=settings.http.shutdown_grace_s,
        )
        app = create_health_app(
            platform.services, options=options, metrics=platform.metrics, alive=lambda: platform.works
        )

        def on_ready(url: str) -> None:
            starting.close()
            call.output.answer(
                {"url": url, "pid": os.getpid()},
                lambda console: console.print(f"worker {os.getpid()}: health at {url}/readyz", markup=False),
            )

        await serve(app, options=options, on_ready=on_ready)
    finally:
        await platform.close()
