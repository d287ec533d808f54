"""How far long work is: a bar with rate and remaining time on a terminal, silence elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mnemata.cli import people
from mnemata.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


BYTES = "bytes"
"""The noun of bars that count bytes: they are shown as kilobytes and larger."""

_TELLING_S = 0.5
_NO_RATE = "-/s"
"""Until there is something to tell by, as the remaining time begins with -:--:--."""


class Bar(Protocol):
    """Told how far the work is: two implementations, one that shows it and one that does not."""

    def at(self, done: float, total: float | None, *, counted: int) -> None:
        """`done` of `total` (any unit) is behind us; `counted` items (of the noun the bar was opened with)."""
        ...


class _Silent:
    def at(self, done: float, total: float | None, *, counted: int) -> None:
        del done, total, counted


class _Shown:
    def __init__(self, progress: Progress, task: TaskID, noun: str) -> None:
        self._progress = progress
        self._noun = noun
        self._task = task
        self._began = progress.get_time()

    def at(self, done: float, total: float | None, *, counted: int) -> None:
        elapsed = self._progress.get_time() - self._began
        rate = f"{self._amount(counted / elapsed)}/s" if counted and elapsed > _TELLING_S else _NO_RATE
        told = self._amount(counted) + ("" if self._noun == BYTES else f" {self._noun}") if counted else ""
        self._progress.update(self._task, completed=done, total=total, counted=told, rate=rate)

    def _amount(self, count: float) -> str:
        return people.size(round(count)) if self._noun == BYTES else f"{count:,.0f}"


@contextmanager
def bar(
    output: Output, title: str, noun: str, *, clock: Callable[[], float] = time.monotonic
) -> Generator[Bar]:
    """A bar on stderr while the block runs, gone after it."""
    if not output.shows_progress:
        yield _Silent()
        return
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output.aside, transient=True, get_time=clock) as progress:
        yield _Shown(progress, progress.add_task(title, total=None, counted="", rate=_NO_RATE), noun)
