"""`mnemata serve`: the platform, until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli.call import Call

if TYPE_CHECKING:
    import asyncio

    from mnemata.platform import Platform
    from mnemata.settings import Settings


def serve(
    call: Call,
    *,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Port to listen on; 0 chooses one.")
    ] = None,
) -> None:
    """Start the platform; Ctrl-C stops it.

    It prints where it listens, what it runs on and what to try next; its log follows.
    """
    import asyncio

    settings = _with_address(call, host=host, port=port)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(call, settings))


async def _run(call: Call, settings: Settings) -> None:
    from mnemata.api.rest.app import create_app
    from mnemata.api.rest.server import serve as answer
    from mnemata.cli.http_options import http_options
    from mnemata.observability import logging
    from mnemata.platform import Platform

    logging.configure(format=settings.log.format, level=settings.log.level)
    with _ended_by_sigterm():
        platform = await Platform.open(settings)
    try:
        await _keep_a_local_key(platform, settings)
        options = http_options(settings)
        app = create_app(platform.services, options=options, metrics=platform.metrics)
        facts = await _facts(platform)
        with contextlib.ExitStack() as stack:
            await answer(
                app, options=options, on_ready=lambda url: _welcome(call, settings, stack, url, facts)
            )
    finally:
        await platform.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where there is one: about twice the requests a second of asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextlib.contextmanager
def _ended_by_sigterm() -> Generator[None]:
    """SIGTERM while the block runs cancels it, so that what was opened on the way is closed again."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None or sys.platform == "win32":
        yield
        return
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _with_address(call: Call, *, host: str | None, port: int | None) -> Settings:
    """The settings with the address of the command line. Raises ConfigurationError as `load` does."""
    from mnemata.settings import load

    address = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = call.overrides | ({"http": address} if address else {})
    return load(config=call.config, **overrides)


async def _keep_a_local_key(platform: Platform, settings: Settings) -> None:
    """Where keys are required, one that works lies in the folder, for the command line of whoever may read it."""
    from mnemata.cli import server_file
    from mnemata.domain.errors import Unauthenticated
    from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope

    if not settings.auth_required:
        return
    with contextlib.suppress(Unauthenticated):
        kept = server_file.local_key(settings.data_dir)
        if kept is not None:
            await platform.services.access.authenticate(kept)
            return
    operator = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
    made = await platform.services.access.create_key(
        operator, role=Role.OPERATOR, label="command line of this machine"
    )
    server_file.keep_local_key(settings.data_dir, made.secret)


async def _facts(platform: Platform) -> dict[str, Any]:
    from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope

    return dict(await platform.services.status.report(Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)))


def _welcome(
    call: Call, settings: Settings, stack: contextlib.ExitStack, url: str, facts: dict[str, Any]
) -> None:
    """Tell the folder's other commands, and the reader, where the server is."""
    from mnemata.cli import server_file
    from mnemata.cli.first_screen import first_screen

    reachable = _reachable(url)
    server = server_file.RunningServer(pid=os.getpid(), url=reachable)
    stack.enter_context(server_file.announced(settings.data_dir, server))
    document = {"url": reachable, "pid": server.pid, "data_dir": str(settings.data_dir)}
    call.output.answer(document, lambda console: first_screen(console, settings, reachable, facts))


def _reachable(url: str) -> str:
    """The address as this machine can call it: one that listens everywhere is called on loopback."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:").rstrip("/")
