"""PgBouncer in transaction mode, in front of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from deploy.fleet import postgres
from deploy.fleet.programs import program
from deploy.servers.member import Member


class Pooler(Member):
    """`behind`: the host and port of PostgreSQL."""

    refuses_root = True

    def __init__(self, *, folder: Path, log: Path, port: int, behind: tuple[str, int]) -> None:
        super().__init__("pooler", folder=folder, log=log, url=postgres.address("127.0.0.1", port))
        self._port = port
        self._behind = behind

    @property
    def _configuration(self) -> Path:
        return self.folder / "pgbouncer.ini"

    def prepare(self) -> None:
        host, port = self._behind
        self._configuration.write_text(
            f"[databases]\n{postgres.NAME} = host={host} port={port} user={postgres.NAME}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 500\n"
            # Without PostgreSQL its clients are told so, long before their requests run out of time.
            "query_wait_timeout = 5\nserver_login_retry = 1\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        super().prepare()

    def command(self) -> Sequence[str]:
        return [program("pgbouncer"), str(self._configuration)]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5, prepare_threshold=None).close()
        except psycopg.OperationalError:
            return False
        return True
