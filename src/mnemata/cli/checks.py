"""What can be wrong with this machine, one question each: settings, folder, room, process, port, model, keys."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from mnemata.cli import people, server_file
from mnemata.cli.exits import ExitCode, exit_code
from mnemata.domain.errors import MnemataError

if TYPE_CHECKING:
    from mnemata.settings import Settings

FOLDER = "data folder"
"""The check without which the folder's process, store and index cannot be asked."""

_LITTLE_ROOM = 1_000_000_000
_NO_ROOM = 200_000_000
_TIMEOUT_S = 5.0


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor: what was looked at, how it is, and what to do where something is wrong."""

    name: str
    state: State = State.OK
    says: str
    remedy: str = ""
    exit: ExitCode = ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "exit"}


def failed(name: str, error: MnemataError) -> Check:
    """A check that ended in an error of ours, whose sentence holds the remedy."""
    return Check(name=name, state=State.FAIL, says=str(error), exit=exit_code(error.kind))


def machine_checks(settings: Settings) -> Iterator[Check]:
    """Everything that can be asked without opening the data folder."""
    yield python_check()
    yield folder_check(settings.data_dir)
    yield room_check(settings.data_dir)
    yield keys_check(settings)
    yield model_check(settings)


def python_check() -> Check:
    return Check(name="python", says=f"{platform.python_version()} on {sys.platform} ({platform.machine()})")


def folder_check(data_dir: Path) -> Check:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    existing = _nearest_existing(data_dir)
    if not existing.is_dir():
        says = f"{existing} is a file"
        return _folder_failure(says, "Choose another folder with MNEMATA_DATA_DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        return _folder_failure(
            f"{existing} cannot be written", "Change its rights, or choose another with MNEMATA_DATA_DIR"
        )
    state = "" if existing == data_dir else " (made at the first start)"
    return Check(name=FOLDER, says=f"{data_dir}{state}")


def room_check(data_dir: Path) -> Check:
    free = shutil.disk_usage(_nearest_existing(data_dir)).free
    says = f"{people.size(free)} free"
    remedy = "Free some space, or choose a folder on another disk with MNEMATA_DATA_DIR"
    if free < _NO_ROOM:
        return Check(name="disk", state=State.FAIL, says=says, remedy=remedy, exit=ExitCode.UNAVAILABLE)
    return Check(
        name="disk",
        state=State.WARN if free < _LITTLE_ROOM else State.OK,
        says=says,
        remedy=remedy if free < _LITTLE_ROOM else "",
    )


def keys_check(settings: Settings) -> Check:
    """Whether keys are asked for: by the server that runs, which may have been started with an address of its own."""
    from mnemata.cli.connection import running_server

    server = running_server(settings)
    if server is not None:
        return Check(name="keys", says=f"{_asked_for(server.url)} by the server at {server.url}")
    if settings.auth_required:
        return Check(name="keys", says=f"required on {settings.http.host}")
    return Check(name="keys", says=f"not required: {settings.http.host} is reached from this machine only")


def _asked_for(url: str) -> str:
    """What a request without a key is told."""
    try:
        answer = httpx.get(f"{url}/v1/status", timeout=_TIMEOUT_S)
    except httpx.TransportError:
        return "not known to be required"
    if answer.is_success:
        return "not required"
    return "required" if answer.status_code == HTTPStatus.UNAUTHORIZED else "not known to be required"


def model_check(settings: Settings) -> Check:
    """Whether the model can be loaded, its checksum compared on the way, and makes a vector of the right length."""
    from mnemata.embedding.registry import build

    chosen = settings.embedding
    try:
        embedder = build(chosen.model, model_path=chosen.model_path)
        if embedder is None:
            return Check(name="model", says="none: memories are found by their words only")
        with contextlib.closing(embedder):
            made = embedder.embed_queries(["Is anything wrong?"])
    except MnemataError as error:
        return failed("model", error)
    return Check(name="model", says=f"{chosen.model}, {made.shape[1]} dimensions, checksum right")


def process_check(settings: Settings) -> Check:
    """Who has the data folder: nobody, a server that answers, or a process that does not."""
    from mnemata.cli.connection import running_server

    server = server_file.read(settings.data_dir)
    if server is None:
        return Check(name="server", says="none runs on the data folder: commands open it themselves")
    if running_server(settings) is not None:
        return Check(name="server", says=f"process {server.pid} answers at {server.url}")
    return Check(
        name="server",
        state=State.FAIL,
        says=f"process {server.pid} wrote {server.url} and does not answer there",
        remedy=f"Look at its log; stop it with `kill {server.pid}`",
        exit=ExitCode.UNAVAILABLE,
    )


def port_check(settings: Settings) -> Check:
    """Whether `serve` could listen; asked only while no server of ours does."""
    host, port = settings.http.host, settings.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Check(
                name="port",
                state=State.FAIL,
                says=f"{host}:{port} cannot be used: {error.strerror}",
                remedy="Stop what listens there, or choose another with MNEMATA_HTTP__PORT",
                exit=ExitCode.CONFLICT,
            )
    return Check(name="port", says=f"{host}:{port} is free")


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _folder_failure(says: str, remedy: str) -> Check:
    return Check(name=FOLDER, state=State.FAIL, says=says, remedy=remedy, exit=ExitCode.INVALID)
