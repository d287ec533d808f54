"""What a storm goes over: a fleet on this machine, or the whole platform in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.fleet import Fleet
from deploy.servers.ports import reserved_ports

from benchmarks.chaos import nemeses
from benchmarks.chaos.clocks import SteppedClock, library
from benchmarks.chaos.links import Links
from benchmarks.chaos.nemeses import Fault
from benchmarks.chaos.single import Single

# Short of what a user would set, so that a storm of minutes sees every limit reached, many times.
SETTINGS: Mapping[str, str] = {
    "MNEMATA_AUTH__REQUIRED": "true",
    "MNEMATA_EMBEDDING__MODEL": "hashing",
    "MNEMATA_HTTP__REQUEST_TIMEOUT_S": "8",
    "MNEMATA_HTTP__SHUTDOWN_GRACE_S": "5",
    "MNEMATA_DATABASE__ACQUIRE_TIMEOUT_S": "2",
    # Longer: a process that starts while others do must not give up.
    "MNEMATA_DATABASE__CONNECT_TIMEOUT_S": "30",
    "MNEMATA_DATABASE__STATEMENT_TIMEOUT_S": "5",
    "MNEMATA_DATABASE__LOCK_TIMEOUT_S": "3",
    "MNEMATA_INDEX__WAIT_TIMEOUT_S": "3",
    "MNEMATA_LOG__LEVEL": "info",
}
_OF_A_FLEET = {
    "MNEMATA_SEARCH__SEARCH_TIMEOUT_S": "3",
    "MNEMATA_SEARCH__WRITE_TIMEOUT_S": "15",
    "MNEMATA_SEARCH__SHARDS": "2",
    "MNEMATA_WORKER__LEASE_S": "6",
}
_KEY_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """`url`: where clients send. `faults`: by name. `operator`: a key that may do everything."""

    url: str
    faults: Mapping[str, Fault]
    operator: str


@contextmanager
def fleet(folder: Path, *, search_nodes: int, seed: int) -> Iterator[Ground]:
    """Every server, process, way and clock of a fleet."""
    at = library()
    with Links(seed=seed) as links:
        made = Fleet(
            folder,
            search_nodes=search_nodes,
            settings={**SETTINGS, **_OF_A_FLEET},
            through=links.through,
        )
        clocks = [] if at is None else [SteppedClock(one.name, folder, at) for one in made.processes]
        for process, clock in zip(made.processes, clocks, strict=False):
            process.surroundings.update(clock.environment())
        with made:
            members = [made.postgres, made.redis, *made.search_nodes, *made.processes]
            faults = (
                nemeses.of_members(members) | nemeses.of_ways(links, links.names) | nemeses.of_clocks(clocks)
            )
            yield Ground(url=made.url, faults=faults, operator=first_key(made.processes[0].environment()))


@contextmanager
def single(folder: Path) -> Iterator[Ground]:
    """One process with everything in it, and the servers that it brings along. Its clock is this machine's."""
    folder.chmod(0o755)
    with reserved_ports(1) as (port,):
        platform = Single(folder, port=port, settings=SETTINGS)
        operator = first_key(platform.settings)
        platform.start()
        try:
            faults = nemeses.of_members([platform]) | platform.of_parts()
            yield Ground(url=platform.url, faults=faults, operator=operator)
        finally:
            platform.stop()


def first_key(settings: Mapping[str, str]) -> str:
    """An operator's key, made by the command line on the platform of these settings."""
    done = subprocess.run(
        [sys.executable, "-m", "mnemata", "--json", "keys", "create", "chaos", "--role", "operator"],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=_KEY_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"no key could be made: {done.stderr}")
    return json.loads(done.stdout)["secret"]
