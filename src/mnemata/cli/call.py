"""One run of a command: the options that every command takes, the settings they lead to, and the output."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli.exits import Interrupted, ReaderGone
from mnemata.cli.output import Output

if TYPE_CHECKING:
    from mnemata.settings import Settings

_CONTEXT = "typer_context"

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings from a TOML file.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="FOLDER", help="The data folder."),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="A running Mnemata to talk to."),
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", metavar="KEY", help="The API key to send."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]

_EVERYWHERE = (
    ("config", Config, None),
    ("data_dir", DataDir, None),
    ("url", Url, None),
    ("api_key", ApiKey, None),
    ("as_json", AsJson, False),
)


class Call:
    """What a command is given: settings (read on first use) and output. Options after the command win over those before."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.output = Output(as_json=bool(options.get("as_json")))

    def updated(self, options: dict[str, Any]) -> Call:
        """This call with the options that were given, replacing those that were not."""
        return Call(**(self._options | {name: value for name, value in options.items() if value}))

    @property
    def config(self) -> Path | None:
        return self._options.get("config")

    @property
    def overrides(self) -> dict[str, Any]:
        """The options as settings, to win over file and environment."""
        client = {name: self._options[name] for name in ("url", "api_key") if self._options.get(name)}
        tree: dict[str, Any] = {"client": client} if client else {}
        if self._options.get("data_dir"):
            tree["data_dir"] = self._options["data_dir"]
        return tree

    @cached_property
    def settings(self) -> Settings:
        """Raises ConfigurationError."""
        from mnemata.settings import load

        return load(config=self.config, **self.overrides)

    @cached_property
    def aloof(self) -> bool:
        """Whether a server was named, so that the data folder of this machine has no say."""
        return self.settings.client.url is not None


def begin(context: typer.Context, options: dict[str, Any]) -> Call:
    """The call of this run, held by the context and renewed by each level's options."""
    known = context.obj if isinstance(context.obj, Call) else Call()
    context.obj = known.updated(options)
    return context.obj


def command(function: Callable[..., Coroutine[Any, Any, None]] | Callable[..., None]) -> Callable[..., None]:
    """The function as typer sees it: its own options and those of every command; coroutines are run to their end."""

    def run(**given: Any) -> None:
        call = begin(given.pop(_CONTEXT), {name: given.pop(name) for name, _, _ in _EVERYWHERE})
        with _ends_told():
            outcome = function(call, **given)
            if inspect.iscoroutine(outcome):
                import asyncio

                asyncio.run(outcome)
            # Here, where it can still be told, rather than when Python ends.
            sys.stdout.flush()

    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    run.__signature__ = inspect.Signature([_context(), *own, *_everywhere()])  # pyright: ignore[reportFunctionMemberAccess]
    run.__annotations__ = {item.name: item.annotation for item in [_context(), *own, *_everywhere()]}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run


@contextmanager
def _ends_told() -> Generator[None]:
    """Ctrl-C and a reader that has gone as errors of ours: typer would end in silence, with codes of its own."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted from None
    except BrokenPipeError:
        raise ReaderGone from None


def _context() -> inspect.Parameter:
    return inspect.Parameter(_CONTEXT, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)


def _everywhere() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, annotation, default in _EVERYWHERE
    ]
