"""The command `mnemata`: its commands, its options, and how a run ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import mnemata
from mnemata.cli import (
    backup,
    cache,
    doctor,
    forget,
    index,
    jobs,
    keys,
    rebuild,
    recall,
    remember,
    schema,
    serve,
    settings_page,
    status,
    sweep,
    verify,
    worker,
)
from mnemata.cli.call import ApiKey, AsJson, Call, Config, DataDir, Url, begin, command
from mnemata.cli.exits import ExitCode, Interrupted, ReaderGone, exit_code
from mnemata.cli.importing.command import import_files
from mnemata.cli.output import Output
from mnemata.cli.quoting import TakesText
from mnemata.domain.errors import Kind, MnemataError

# Plain help: rich's costs more time than the whole rest of a short command.
app = typer.Typer(
    name="mnemata",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_OF_A_TEXT = {"add", "search"}

for name, function in (
    ("serve", serve.serve),
    ("worker", worker.worker),
    ("add", remember.add),
    ("search", recall.search),
    ("list", recall.list_memories),
    ("show", recall.show),
    ("forget", forget.forget),
    ("import", import_files),
    ("status", status.status),
    ("doctor", doctor.doctor),
    ("migrate", schema.migrate),
    ("backup", backup.backup),
    ("restore", backup.restore),
    ("rebuild", rebuild.rebuild),
    ("verify", verify.verify),
    ("sweep", sweep.sweep),
    ("settings", settings_page.settings),
):
    app.command(name, cls=TakesText if name in _OF_A_TEXT else None)(command(function))

_keys = typer.Typer(
    name="keys", no_args_is_help=True, rich_markup_mode=None, help="API keys: create, list, revoke."
)
for name, function in (("create", keys.create), ("list", keys.list_keys), ("revoke", keys.revoke)):
    _keys.command(name)(command(function))
app.add_typer(_keys)

_jobs = typer.Typer(
    name="jobs",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Jobs of a fleet: list, show, cancel, retry.",
)
for name, function in (
    ("list", jobs.list_jobs),
    ("show", jobs.show),
    ("cancel", jobs.cancel),
    ("retry", jobs.retry),
):
    _jobs.command(name)(command(function))
app.add_typer(_jobs)

_index = typer.Typer(
    name="index",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The search index: status, create, verify, rebuild, switch, drop, set-aside.",
)
for name, function in (
    ("status", index.status),
    ("create", index.create),
    ("verify", verify.verify_index),
    ("rebuild", index.rebuild),
    ("switch", index.switch),
    ("drop", index.drop),
    ("set-aside", index.set_aside),
):
    _index.command(name)(command(function))
app.add_typer(_index)

_cache = typer.Typer(
    name="cache", no_args_is_help=True, rich_markup_mode=None, help="The cache: stats, clear, warm."
)
for name, function in (("stats", cache.stats), ("clear", cache.clear), ("warm", cache.warm)):
    _cache.command(name)(command(function))
app.add_typer(_cache)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"mnemata {mnemata.__version__}\n")
        raise typer.Exit


@app.callback()
def everywhere(
    context: typer.Context,
    *,
    config: Config = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
    version: Annotated[  # noqa: ARG001 (its callback answers)
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Store memories, find them again by words and by meaning, lose none.

    Commands talk to the server named by --url, else to the one that runs on the data folder, else they open the
    data folder themselves.
    """
    begin(
        context,
        {"config": config, "data_dir": data_dir, "url": url, "api_key": api_key, "as_json": as_json},
    )


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in given)
    try:
        # What is wrong with the options, typer tells people by itself.
        code = app(args=given, prog_name="mnemata", standalone_mode=not output.as_json)
    except MnemataError as error:
        output.error(error)
        sys.exit(exit_code(error.kind))
    except typer.TyperException as error:
        output.problem("usage", Kind.INVALID, error.format_message())
        sys.exit(ExitCode.INVALID)
    except Interrupted as interrupted:
        output.problem("interrupted", "interrupted", interrupted.detail)
        sys.exit(ExitCode.INTERRUPTED)
    except (ReaderGone, BrokenPipeError):
        _write_nowhere()
        sys.exit(ExitCode.READER_GONE)
    except Exception as error:  # noqa: BLE001 (a door: whoever called must learn of it, programs too)
        output.fault(error)
        sys.exit(ExitCode.INTERNAL)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _write_nowhere() -> None:
    """What is left to be written goes nowhere: Python would complain of the reader that has gone when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


__all__ = ["Call", "app", "run"]
