"""TCP ports of this machine for servers that do not listen yet."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator


def free_ports(count: int) -> list[int]:
    """TCP ports that nothing listens on now."""
    with reserved_ports(count) as ports:
        return ports


@contextlib.contextmanager
def reserved_ports(count: int) -> Generator[list[int]]:
    """Ports that nobody else is given while the block runs, so that a server may stop and start again on its own.

    Each is bound by a socket that never listens. Linux lets a server that sets SO_REUSEADDR (all of ours do) listen beside
    it, and takes the port neither for an outgoing connection nor for whoever asks for any port.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in sockets]
