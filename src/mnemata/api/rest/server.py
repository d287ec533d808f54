"""Serving the app: uvicorn on one socket, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mnemata.api.rest.door import Lifecycle, Phase
from mnemata.api.rest.errors import MalformedRequest, problem_response
from mnemata.api.rest.options import HttpOptions
from mnemata.domain.errors import ConfigurationError
from mnemata.observability.logging import get_logger

_log = get_logger("api.rest")
_BACKLOG = 1_024


async def serve(
    app: FastAPI,
    *,
    options: HttpOptions,
    on_ready: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`, and `drain_s` longer; let running requests finish within the grace, return.

    `on_ready` is told the URL, with the real port, once connections are accepted. Each further signal skips what is
    waited for: the time of draining, then the running requests.
    Raises ConfigurationError where the address cannot be had. The loop is the caller's: run it under uvloop.
    """
    listener = _listen(options)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=options.shutdown_grace_s,  # pyright: ignore[reportArgumentType]
    )
    server = _Server(
        config,
        lifecycle=app.state.door.lifecycle,
        drain_s=options.drain_s,
        ready=lambda: on_ready(_url(options, listener)),
    )
    with listener, _signals(server):
        watcher = asyncio.create_task(_stop_on(stop, server)) if stop is not None else None
        try:
            await server.serve(sockets=[listener])
        finally:
            if watcher is not None:
                watcher.cancel()


class _Protocol(HttpToolsProtocol):
    """uvicorn's, where what is no HTTP is answered by a problem too. It reaches no app, and the connection ends."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        answer = problem_response(MalformedRequest(), headers={"Connection": "close"})
        head = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn, without its own handling of signals: it would raise them again and end the process before its time."""

    def __init__(
        self, config: uvicorn.Config, *, lifecycle: Lifecycle, drain_s: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_s = drain_s
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def end(self) -> None:
        """Begin the orderly end; each further time, go on to its next part."""
        if self._lifecycle.phase is Phase.SERVING and self._drain_s > 0:
            self._lifecycle.phase = Phase.LEAVING
            _log.info("leaving", drain_s=self._drain_s)
            asyncio.get_running_loop().call_later(self._drain_s, self._drain)
        elif not self.should_exit:
            self._drain()
        else:
            self.force_exit = True
            _log.info("ending_at_once")

    def _drain(self) -> None:
        if not self.should_exit:
            self._lifecycle.phase = Phase.DRAINING
            self.should_exit = True
            _log.info("draining")


def _listen(options: HttpOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            reason=f"Cannot listen on {options.host} port {options.port}: {error.strerror or error}",
            remedy="Stop what uses it, or choose another with MNEMATA_HTTP__PORT (0: a free one)",
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _url(options: HttpOptions, listener: socket.socket) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def _signals(server: _Server) -> Generator[None]:
    """SIGTERM and SIGINT end the server in order. Outside the main thread there are no signals: only `stop` ends it."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    for one in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(one, server.end)
            handled.append(one)
    try:
        yield
    finally:
        for one in handled:
            loop.remove_signal_handler(one)


async def _stop_on(stop: asyncio.Event, server: _Server) -> None:
    await stop.wait()
    server.end()
