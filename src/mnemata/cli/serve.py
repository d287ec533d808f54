"""`mnemata serve`: the platform, until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli.call import Call

if TYPE_CHECKING:
    import asyncio
    from types import ModuleType

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
    with_worker: Annotated[
        bool,
        typer.Option(
            "--with-worker", help="In a fleet: do a worker's work too. With a local index it is always done."
        ),
    ] = False,
) -> None:
    """Start the platform; Ctrl-C stops it.

    It prints where it listens, what it runs on and what to try next; its log follows.
    """
    import asyncio

    with contextlib.ExitStack() as starting:
        starting.enter_context(no_collections())
        settings = _with_options(call, host=host, port=port, with_worker=with_worker)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(call, settings, started=starting.close))


async def _run(call: Call, settings: Settings, *, started: Callable[[], None]) -> None:
    from mnemata.cli.http_options import http_options
    from mnemata.observability import logging

    logging.configure(format=settings.log.format, level=settings.log.level)
    with ended_by_sigterm():
        platform, door = await _opened(settings)
    try:
        await _keep_a_local_key(platform, settings)
        options = http_options(settings)
        app = door.create_app(platform.services, options=options, metrics=platform.metrics)
        async with contextlib.AsyncExitStack() as stack:

            def on_ready(url: str) -> None:
                _announce(settings, stack, _reachable(url))
                _greet_beside(_welcome(call, settings, platform, _reachable(url)), stack)
                started()

            await door.serve(app, options=options, on_ready=on_ready)
    finally:
        await platform.close()


async def _opened(settings: Settings) -> tuple[Platform, ModuleType]:
    """The platform and the door. The door's libraries take half a second to load: PostgreSQL starts meanwhile."""
    import asyncio

    from mnemata.platform import Platform

    loading = asyncio.create_task(asyncio.to_thread(_load_door))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.wait, {loading})
        platform = await Platform.open(settings, works=settings.worker.in_server)
        stack.push_async_callback(platform.close)
        door = await loading
        stack.pop_all()
    return platform, door


def _load_door() -> ModuleType:
    from mnemata.cli import http_door

    return http_door


_MADE_BETWEEN_COLLECTIONS = 10_000
"""Objects. A batch of memories makes tens of thousands that are no garbage: Python's 700 takes a tenth of its time."""


@contextlib.contextmanager
def no_collections() -> Generator[None]:
    """No search for cyclic garbage while the block runs; and never in what was made there.

    A start makes hundreds of thousands of objects that stay: looking through them again and again takes a tenth of it, and
    later of the searches that happen to be under way.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(_MADE_BETWEEN_COLLECTIONS)
        gc.enable()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where there is one: about twice the requests a second of asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextlib.contextmanager
def ended_by_sigterm() -> Generator[None]:
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


def _with_options(call: Call, *, host: str | None, port: int | None, with_worker: bool) -> Settings:
    """The settings with what the command line says. Raises ConfigurationError as `load` does."""
    from mnemata.settings import load

    address = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = call.overrides | ({"http": address} if address else {})
    if with_worker:
        overrides |= {"worker": {"in_server": True}}
    return load(config=call.config, **overrides)


async def _keep_a_local_key(platform: Platform, settings: Settings) -> None:
    """Where keys are required, one that works lies in the folder, for the command line of whoever may read it."""
    from mnemata.cli import server_file
    from mnemata.domain.errors import Unauthenticated
    from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope

    if not settings.auth_required or settings.stateless:
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


def _announce(settings: Settings, stack: contextlib.AsyncExitStack, url: str) -> None:
    """Tell the folder's other commands where the server is, for as long as it is there."""
    from mnemata.cli import server_file

    if settings.stateless:
        # Its folder is nobody's: the command line finds a fleet by --url.
        return
    server = server_file.RunningServer(pid=os.getpid(), url=url)
    stack.enter_context(server_file.announced(settings.data_dir, server))


def _greet_beside(welcome: Coroutine[Any, Any, None], stack: contextlib.AsyncExitStack) -> None:
    """Greet while the server answers already."""
    import asyncio

    greeting = asyncio.ensure_future(welcome)
    stack.push_async_callback(asyncio.wait, {greeting})


async def _welcome(call: Call, settings: Settings, platform: Platform, url: str) -> None:
    """Tell the reader where the server is, what it runs on and what to try next."""
    import asyncio

    from mnemata.cli.first_screen import first_screen
    from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope

    operator = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
    facts = dict(await platform.services.status.report(operator))
    document = {"url": url, "pid": os.getpid(), "data_dir": str(settings.data_dir)}
    await asyncio.to_thread(
        call.output.answer, document, lambda console: first_screen(console, settings, url, facts)
    )


def _reachable(url: str) -> str:
    """The address as this machine can call it: one that listens everywhere is called on loopback."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:").rstrip("/")
