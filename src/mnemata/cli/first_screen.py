"""What a person sees when the platform has started: where it is, what it runs on, what to try next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemata import __version__
from mnemata.cli import people

if TYPE_CHECKING:
    from rich.console import Console

    from mnemata.settings import Settings


def first_screen(console: Console, settings: Settings, url: str, facts: dict[str, Any]) -> None:
    console.print(f"\nMnemata {__version__} is ready at [bold]{url}[/bold]\n")
    for name, value in _rows(settings, facts):
        console.print(f"  {name:<12}{value}", markup=False, soft_wrap=True)
    console.print("\nTry, in another terminal:\n")
    for line in _next_commands(settings, url):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\nThe API is described at {url}/docs. Ctrl-C stops the server.\n", markup=False)


def _rows(settings: Settings, facts: dict[str, Any]) -> list[tuple[str, str]]:
    embedding, store = facts["embedding"], facts["store"]
    database = "embedded" if settings.database.url is None else "at its URL"
    return [
        ("data", f"{settings.data_dir} ({_memories(facts)})"),
        ("store", f"PostgreSQL {store['server_version']}, {database}"),
        ("model", _model(embedding)),
        ("index", f"{settings.search.kind}, {_indexed(facts['index'])}"),
        ("cache", _cache(settings, facts["parts"])),
        ("keys", _keys(settings)),
    ]


def _indexed(index: dict[str, Any]) -> str:
    if "unavailable" in index:
        return "not there yet: searches are answered from the store"
    return f"{index['documents']:,} documents"


def _memories(facts: dict[str, Any]) -> str:
    store = facts["store"]
    if store["tenants"] <= 1:
        return people.amount(facts["memories"], "memory")
    return f"about {people.amount(store['memories_estimate'], 'memory')} of {store['tenants']:,} tenants"


def _model(embedding: dict[str, Any]) -> str:
    if embedding["model"] == "none":
        return "none: memories are found by their words"
    return f"{embedding['model']}, {embedding['dimensions']} dimensions"


def _cache(settings: Settings, parts: dict[str, str]) -> str:
    if parts["cache"] == "off":
        return "none"
    return "Valkey, embedded" if settings.cache.url is None else "Redis or Valkey at its URL"


def _keys(settings: Settings) -> str:
    if settings.auth_required:
        return "required; `mnemata keys create NAME` makes one"
    return "not required (only this machine can connect)"


def _next_commands(settings: Settings, url: str) -> list[str]:
    key = ' -H "Authorization: Bearer mk_..."' if settings.auth_required else ""
    body = '{"content": "Ana prefers the window seat", "user_id": "ana"}'
    program = _program(settings)
    return [
        f'{program} add "Ana prefers the window seat" --user ana',
        f'{program} search "where does Ana like to sit?"',
        f"curl {url}/v1/memories{key} -H 'Content-Type: application/json' -d '{body}'",
    ]


def _program(settings: Settings) -> str:
    """How another terminal calls this command line on this data folder."""
    from mnemata.settings import default_data_dir

    here = Path(sys.argv[0])
    if here.name == "__main__.py":
        program = "python -m mnemata"
    else:
        found = shutil.which(here.name)
        on_path = found is not None and Path(found).resolve() == here.resolve()
        program = here.name if on_path else str(here)
    moved = settings.data_dir != default_data_dir()
    return f"{program} --data-dir {shlex.quote(str(settings.data_dir))}" if moved else program
