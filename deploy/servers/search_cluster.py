"""Several search nodes as one cluster on this machine, while a command runs against it.

    python -m deploy.servers.search_cluster --kind opensearch --nodes 3 -- python -m pytest tests/contract

The command finds the cluster's first node in MNEMATA_TEST_ELASTICSEARCH or MNEMATA_TEST_OPENSEARCH, and that indices are to have a
shard for each node and a copy of each in MNEMATA_TEST_SHARDS and MNEMATA_TEST_REPLICAS. Exit code: the command's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from deploy.servers import artifacts
from deploy.servers.ports import reserved_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions


def nodes_of_a_cluster(
    kind: str,
    folder: Path,
    *,
    logs: Path,
    ports: Sequence[int],
    heap_mb: int = 512,
    short_lived: bool = False,
) -> list[SearchNode]:
    """The nodes of one cluster, not begun, each with a folder of its own: a node for every two of the ports."""
    http, transport = ports[::2], ports[1::2]
    return [
        SearchNode(
            SearchNodeOptions(
                engine=kind,
                folder=folder / name,
                http_port=http[number],
                transport_port=transport[number],
                peers=transport,
                heap_mb=heap_mb,
                short_lived=short_lived,
            ),
            name=name,
            log=logs / f"{name}.log",
        )
        for number, name in enumerate(f"search-{number}" for number in range(1, len(http) + 1))
    ]


@contextlib.contextmanager
def running(kind: str, folder: Path, *, count: int) -> Generator[list[SearchNode]]:
    """A cluster of so many nodes, whole, until the block ends. Raises RuntimeError where a node does not become ready."""
    folder.chmod(0o755)
    with reserved_ports(2 * count) as ports:
        nodes = nodes_of_a_cluster(kind, folder, logs=folder, ports=ports, short_lived=True)
        try:
            for node in nodes:
                node.launch()
            for node in nodes:
                node.wait()
            yield nodes
        finally:
            for node in nodes:
                node.ask_to_end()
            for node in nodes:
                node.end()


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments().parse_args(arguments)
    artifacts.home(given.kind)
    with (
        tempfile.TemporaryDirectory(prefix="mnemata-search-") as folder,
        running(given.kind, Path(folder), count=given.nodes) as nodes,
    ):
        told = {
            f"MNEMATA_TEST_{given.kind.upper()}": nodes[0].url,
            "MNEMATA_TEST_SHARDS": str(given.nodes),
            "MNEMATA_TEST_REPLICAS": str(min(1, given.nodes - 1)),
        }
        return subprocess.run(given.command, env={**os.environ, **told}, check=False).returncode


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.servers.search_cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kind", choices=("elasticsearch", "opensearch"), default="elasticsearch")
    parser.add_argument("--nodes", type=int, default=3, help="how many, 0.9 GB each")
    parser.add_argument("command", nargs="+", help="what runs against it, behind --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
