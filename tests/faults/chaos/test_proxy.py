"""The proxy that spoils connections does what it says, to a real server."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from benchmarks.chaos.links import NO_TROUBLE, Links
from benchmarks.chaos.proxy import Trouble

PATIENCE_S = 30.0
HELLO = b"hello"


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers with what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    while piece := connection.recv(65_536):
                        connection.sendall(piece)
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE_S)


@pytest.fixture
def links(echo) -> Iterator[Links]:
    with Links(seed=1) as links:
        links.way = links.through("echo", "127.0.0.1", echo)
        yield links


def connected(links: Links) -> socket.socket:
    return socket.create_connection(links.way, timeout=PATIENCE_S)


def received(connection: socket.socket, size: int) -> bytes:
    whole = b""
    while len(whole) < size and (piece := connection.recv(size - len(whole))):
        whole += piece
    return whole


def echoed(connection: socket.socket, text: bytes = HELLO) -> bytes:
    connection.sendall(text)
    return received(connection, len(text))


def test_without_trouble_everything_passes(links):
    large = bytes(range(256)) * 4_096
    with connected(links) as connection:
        assert echoed(connection) == HELLO
        sender = threading.Thread(target=connection.sendall, args=(large,))
        sender.start()
        assert received(connection, len(large)) == large
        sender.join(PATIENCE_S)


def test_delay_holds_each_piece_also_on_a_connection_that_was_there(links):
    with connected(links) as connection:
        assert echoed(connection) == HELLO
        links.trouble("echo", Trouble(delay_s=0.15))
        began = time.monotonic()
        assert echoed(connection) == HELLO
        # There and back.
        assert time.monotonic() - began >= 0.29


def test_bandwidth_is_bounded(links):
    links.trouble("echo", Trouble(bytes_per_s=20_000))
    with connected(links) as connection:
        began = time.monotonic()
        assert len(echoed(connection, bytes(4_000))) == 4_000
        assert time.monotonic() - began >= 0.39


@pytest.mark.parametrize("cut", ["both", "requests", "answers"])
def test_cut_holds_everything_back_until_it_is_over(links, cut):
    with connected(links) as connection:
        assert echoed(connection) == HELLO
        links.trouble("echo", Trouble(cut=cut))
        connection.sendall(HELLO)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        links.trouble("echo", NO_TROUBLE)
        connection.settimeout(PATIENCE_S)
        assert received(connection, len(HELLO)) == HELLO


def test_answer_is_truncated_and_its_connection_closed(links):
    links.trouble("echo", Trouble(truncate=100))
    with connected(links) as connection:
        connection.sendall(bytes(1_000))
        assert len(received(connection, 1_000)) < 100
    links.trouble("echo", NO_TROUBLE)
    with connected(links) as connection:
        assert echoed(connection) == HELLO


def test_refusing_resets_what_is_connected_and_takes_nobody(links):
    with connected(links) as connection:
        assert echoed(connection) == HELLO
        links.trouble("echo", Trouble(refuse=True))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(OSError), connected(links) as another:
            another.sendall(HELLO)
            if not another.recv(1):
                raise ConnectionAbortedError
    links.trouble("echo", NO_TROUBLE)
    with connected(links) as connection:
        assert echoed(connection) == HELLO


def test_server_that_is_away_looks_away(links, echo):
    gone = links.through("gone", "127.0.0.1", unused_port())
    with pytest.raises(ConnectionError), socket.create_connection(gone, timeout=PATIENCE_S) as connection:
        connection.recv(1)


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_proxy_ends_with_who_started_it(links):
    process = links._process
    links.close()
    assert process.poll() == 0
