"""Where a command's answer goes: people read lines, programs read one JSON document on stdout and nothing else."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mnemata.cli.exits import ReaderGone
from mnemata.domain.errors import Kind, MnemataError

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 160


class Output:
    """Answers on stdout, notes and errors on stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def console(self) -> Console:
        return _console(stderr=False)

    @cached_property
    def aside(self) -> Console:
        return _console(stderr=True)

    def answer(self, value: Any, people: Callable[[Console], None]) -> None:
        """Write `value` for a program, or let `people` write it for a reader."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        else:
            people(self.console)

    def note(self, text: str) -> None:
        """Say something beside the answer: to people only."""
        if not self.as_json:
            self.aside.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say something that a reader of logs must see too."""
        self.aside.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

    def error(self, error: MnemataError) -> None:
        """What went wrong and the stable code: a sentence for people, an object for programs; on stderr."""
        self.problem(error.code, error.kind, str(error))

    def fault(self, error: Exception) -> None:
        """An error that nobody foresaw: where it happened, and that it is no fault of the reader's."""
        if not self.as_json:
            traceback.print_exception(error)
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        detail = f"This is a fault of Mnemata's ({cause}). Please report it with what stands here."
        self.problem("internal", Kind.INTERNAL, detail)

    def problem(self, code: str, kind: str, detail: str) -> None:
        if self.as_json:
            problem = {"code": code, "kind": str(kind), "detail": detail}
            sys.stderr.write(json.dumps({"error": problem}, ensure_ascii=False) + "\n")
        else:
            self.aside.print(f"error: {detail}", style="red", markup=False, soft_wrap=True)

    @property
    def shows_progress(self) -> bool:
        return not self.as_json and self.aside.is_terminal


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            # Rich itself would end the process here.
            raise ReaderGone

    console = Ours(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width of its own: rich would cut tables at 80 columns.
        console = Ours(stderr=stderr, highlight=False, emoji=False, width=_PIPE_WIDTH)
    return console
