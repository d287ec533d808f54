"""Room on disk: writes are refused while there is still enough left for the server to go on reading.

PostgreSQL takes a full disk well as long as only tables grow: the statement fails. When the write-ahead log cannot grow
it ends, and it cannot recover either, as recovery writes. So two reserves are kept. Below `REFUSE_BELOW` free bytes
every new transaction is read-only, until `ALLOW_ABOVE` are free. And a ballast file is given up when the disk filled
faster than anybody looked, so that recovery has room.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mnemata.observability.logging import get_logger
from mnemata.store.embedded_cluster import Cluster

log = get_logger("store")

MIB = 1024 * 1024
# Two write-ahead log segments of 16 MiB for recovery, and as much again for what reading writes.
REFUSE_BELOW = 48 * MIB
ALLOW_ABOVE = 64 * MIB
BALLAST = 32 * MIB

_READ_ONLY = "default_transaction_read_only = on\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceGuard:
    """Switches a cluster's configuration between writable and read-only; the server takes it over on SIGHUP."""

    cluster: Cluster

    @property
    def full(self) -> bool:
        """Whether writes are refused now."""
        return self._switched_on.exists()

    def prepare(self) -> None:
        """Lay out the switch and the ballast while there is room: on a full disk a file can be renamed, not made."""
        if not self.full and not self._switched_off.exists():
            self._switched_off.write_text(_READ_ONLY, "utf-8")
            self._switched_off.chmod(0o644)
        self._fill_ballast()

    def check(self) -> bool:
        """Look at the free room and switch. True when the server has to take the change over."""
        free = shutil.disk_usage(self.cluster.home).free
        if not self.full and free < REFUSE_BELOW:
            self._switched_off.rename(self._switched_on)
            log.error("storage_full", free_bytes=free, refused_below=REFUSE_BELOW)
            return True
        if self.full and free >= ALLOW_ABOVE:
            self._switched_on.rename(self._switched_off)
            log.info("storage_has_room", free_bytes=free)
            return True
        if not self.full:
            self._fill_ballast()
        return False

    def give_up_ballast(self) -> bool:
        """Free the ballast for a recovery. False when there was none left."""
        if not self._ballast.exists():
            return False
        self._ballast.unlink()
        log.error("storage_ballast_given_up", bytes=BALLAST)
        return True

    @property
    def _ballast(self) -> Path:
        return self.cluster.home / "ballast"

    @property
    def _switched_on(self) -> Path:
        return self.cluster.switches / "full.conf"

    @property
    def _switched_off(self) -> Path:
        return self.cluster.switches / "full.conf.off"

    def _fill_ballast(self) -> None:
        if self._ballast.exists() or shutil.disk_usage(self.cluster.home).free < ALLOW_ABOVE + BALLAST:
            return
        aside = self._ballast.with_name("ballast.new")
        try:
            with aside.open("wb") as file:
                _reserve(file.fileno(), BALLAST)
            aside.rename(self._ballast)
        except OSError:
            # Somebody else took the room meanwhile: there will be another time.
            aside.unlink(missing_ok=True)


def _reserve(descriptor: int, size: int) -> None:
    """Blocks on disk, not a hole."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    block = bytes(MIB)
    for _ in range(size // MIB):
        os.write(descriptor, block)
