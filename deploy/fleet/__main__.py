"""`make fleet`: the fleet on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import platformdirs

from deploy.fleet.first_screen import first_screen
from deploy.fleet.fleet import OWN, Fleet
from deploy.fleet.layout import keep_layout
from deploy.servers import artifacts
from deploy.servers.member import Member


def main() -> int:
    chosen = _options().parse_args()
    try:
        _fetch(chosen.search_kind)
        print(f"Starting a fleet in {chosen.folder}", flush=True)
        with _told_to_end(), _fleet(chosen) as fleet:
            print(first_screen(fleet), flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("The fleet has ended; its data stay in the folder")
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"The fleet did not start. {error}", file=sys.stderr)
        return 1
    return 0


def _fetch(search_kind: str) -> None:
    """Downloads come before anything runs."""
    if not artifacts.is_here(search_kind):
        print(f"Downloading {search_kind}, once: a minute or two", flush=True)
    artifacts.home(search_kind)


def _fleet(chosen: argparse.Namespace) -> Fleet:
    keep_layout(chosen.folder, search_kind=chosen.search_kind, search_nodes=chosen.search_nodes)
    return Fleet(
        chosen.folder,
        api=chosen.api,
        workers=chosen.workers,
        search_nodes=chosen.search_nodes,
        search_kind=chosen.search_kind,
        pooler=chosen.pooler,
        port=chosen.port,
        settings=_settings(),
        on_ready=_show,
    )


def _settings() -> dict[str, str]:
    """What the environment says to Mnemata is said to every process. Raises RuntimeError where it is the fleet's to say."""
    given = {name: value for name, value in os.environ.items() if name.startswith("MNEMATA_")}
    for name in OWN:
        if name in given:
            raise RuntimeError(f"{name} is set, and this fleet has servers of its own: unset it")
    return given


def _show(member: Member, seconds: float) -> None:
    print(f"  {member.name:<10} ready after {seconds:.1f} s", flush=True)


@contextlib.contextmanager
def _told_to_end() -> Generator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, end)
    yield


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.fleet", description=__doc__)
    parser.add_argument("--folder", type=Path, default=_default_folder(), help="where its data and logs are")
    parser.add_argument("--port", type=int, default=8080, help="port of the balancer; 0: a free one")
    parser.add_argument("--api", type=int, default=2, help="`mnemata serve` processes")
    parser.add_argument("--workers", type=int, default=2, help="`mnemata worker` processes")
    parser.add_argument(
        "--search-nodes", type=int, default=3, help="nodes of the search cluster, 0.9 GB each"
    )
    parser.add_argument("--search-kind", choices=("elasticsearch", "opensearch"), default="elasticsearch")
    parser.add_argument("--pooler", action="store_true", help="PgBouncer in front of PostgreSQL")
    return parser


def _default_folder() -> Path:
    if os.geteuid() == 0:
        # Its servers run as another user, who may not enter root's home.
        return Path("/var/lib/mnemata-fleet")
    return Path(platformdirs.user_data_dir("mnemata-fleet", appauthor=False))


if __name__ == "__main__":
    sys.exit(main())
