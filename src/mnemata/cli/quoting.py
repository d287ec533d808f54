"""Commands whose last argument is a text: what more words are, the shell has made of one that was not quoted."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

_MORE_WORDS = "Got unexpected extra argument"


class TakesText(TyperCommand):
    """A command that says what to do where its text came as several words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if error.message.startswith(_MORE_WORDS):
                error.message = f"{error.message}. Put the text in quotation marks."
            raise
