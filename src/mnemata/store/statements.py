"""SQL statements by name, from the files beside this module.

A file of `sql/` holds statements, each headed by its name and a sentence that says what it does:

    -- name: insert
    -- Stores new memories, with their versions and changes.
    WITH ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

from psycopg import sql

_HEAD = re.compile(r"^-- name: (\w+)\n((?:-- .*\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`sentence` says what it does; `text` may have {places} for what the filter compiler builds."""

    name: str
    sentence: str
    text: sql.SQL


@cache
def statements(file: str) -> Mapping[str, Statement]:
    """The statements of `sql/<file>.sql`. Raises ValueError for text that stands under no name."""
    content = (files("mnemata.store") / "sql" / f"{file}.sql").read_text("utf-8")
    heads = list(_HEAD.finditer(content))
    if not heads or content[: heads[0].start()].strip():
        raise ValueError(f"sql/{file}.sql has text that stands under no name")
    ends = [head.start() for head in heads[1:]] + [len(content)]
    found = {
        head[1]: Statement(
            name=head[1], sentence=_sentence(head[2]), text=_text(content[head.end() : end].strip())
        )
        for head, end in zip(heads, ends, strict=True)
    }
    if len(found) != len(heads):
        raise ValueError(f"sql/{file}.sql uses a name twice")
    return found


def _sentence(comment: str) -> str:
    return " ".join(line.removeprefix("-- ") for line in comment.splitlines())


def _text(text: str) -> sql.SQL:
    # The files are part of the program: what stands in them is as literal as a literal.
    return sql.SQL(cast("LiteralString", text))
