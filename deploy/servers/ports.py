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
def reserved_ports(count: int, *wanted: int) -> Generator[list[int]]:
    """Ports that nobody else is given while the block runs, so that a server may stop and start again on its own.

    Those `wanted` come first, then `count` that are free. Raises RuntimeError where one is in use.
    Each is bound by a socket that never listens. Linux lets a server that sets SO_REUSEADDR (all of ours do) listen beside
    it, and takes the port neither for an outgoing connection nor for whoever asks for any port.
    """
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        for port in (*wanted, *([0] * count)):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError as error:
                raise RuntimeError(
                    f"Port {port} is in use: stop what listens there, or choose another"
                ) from error
            ports.append(one.getsockname()[1])
        yield ports
