"""`mnemata settings`: every setting with its value, where it comes from and its environment name; and the page of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from mnemata.cli import people
from mnemata.cli.call import Call

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from rich.console import Console

_UNITS = {"_s": "seconds", "_bytes": "bytes"}
_HEAD = """# Settings

Written by `mnemata settings --markdown` from `src/mnemata/settings.py`; do not edit.

A setting comes from, the later winning: its default, a TOML file (`mnemata --config FILE`, with the sections below as
tables), the environment, an option of the command line. An unknown name is refused with the nearest known one.
`mnemata settings` prints every setting with its value and where that comes from.
"""


def settings(
    call: Call,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page instead.")] = False,
) -> None:
    """Print every setting.

    Its value, where that comes from, and its name in the environment.
    """
    if markdown:
        typer.echo(page(), nl=False)
        return
    rows = list(_rows(call))
    call.output.answer({"settings": rows}, lambda console: _print(console, rows))


def page() -> str:
    """The reference of settings, as Markdown."""
    from mnemata.settings import Settings, environment_name, names

    lines = [_HEAD]
    section: tuple[str, ...] | None = None
    for path in names():
        if path[:-1] != section:
            section = path[:-1]
            title = f"`[{'.'.join(section)}]`" if section else "General"
            lines.append(
                f"\n## {title}\n\n| setting | environment | default | takes | meaning |\n|---|---|---|---|---|"
            )
        info = _field(Settings, path)
        cells = (
            f"`{path[-1]}`",
            f"`{environment_name(path)}`",
            _default(path, info),
            _takes(info),
            info.description or "",
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def unit(path: tuple[str, ...]) -> str:
    """The unit that a setting's name says: 'seconds', 'bytes', or nothing."""
    return next((name for suffix, name in _UNITS.items() if path[-1].endswith(suffix)), "")


def _rows(call: Call) -> Iterator[dict[str, Any]]:
    from mnemata.settings import environment_name, names, sources

    current = call.settings
    origins = sources(config=call.config, **call.overrides)
    for path in names():
        yield {
            "name": ".".join(path),
            "value": _plain(_value(current, path)),
            "unit": unit(path),
            "source": origins.get(path, "default"),
            "environment": environment_name(path),
        }


_TITLES = ("SETTING", "VALUE", "SOURCE", "ENVIRONMENT")


def _print(console: Console, rows: list[dict[str, Any]]) -> None:
    cells = [
        (
            row["name"],
            "" if row["value"] is None else f"{row['value']} {row['unit']}",
            row["source"],
            row["environment"],
        )
        for row in rows
    ]
    people.print_table(console, [people.Column(title=title) for title in _TITLES], cells)


def _value(section: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        section = getattr(section, part)
    return section


def _plain(value: Any) -> Any:
    """As JSON; secrets come out masked."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _field(section: Any, path: tuple[str, ...]) -> FieldInfo:
    for part in path[:-1]:
        section = section.model_fields[part].annotation
    return section.model_fields[path[-1]]


def _default(path: tuple[str, ...], info: FieldInfo) -> str:
    if path == ("data_dir",):
        # It differs from user to user: the page must not.
        return "`~/.local/share/mnemata`; root: `/var/lib/mnemata`"
    if info.default is None:
        return "none"
    text = str(info.default).lower() if isinstance(info.default, bool) else str(info.default)
    return f"`{text}`"


def _takes(info: FieldInfo) -> str:
    kind = info.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if hasattr(kind, "__members__"):
        return ", ".join(f"`{member.value}`" for member in kind)  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
    plain = [item for item in get_args(kind) or (kind,) if item is not type(None)]
    words = {
        "bool": "`true`, `false`",
        "int": "whole number",
        "float": "number",
        "str": "text",
        "SecretStr": "text, secret",
        "Path": "path",
    }
    return " or ".join(words.get(getattr(item, "__name__", ""), "text") for item in plain) + _bounds(info)


def _bounds(info: FieldInfo) -> str:
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    said = [
        f"{sign} {getattr(rule, name):,}"
        for rule in info.metadata
        for name, sign in signs.items()
        if hasattr(rule, name)
    ]
    return f", {', '.join(said)}" if said else ""
