from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "storage.md"
SCHEMA = ROOT / "src" / "mnemata" / "store" / "schema.sql"


async def test_example_on_the_storage_page_runs_as_it_stands(url, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    program = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(program, {"url": url})  # noqa: S307 (the page's own example)
    assert "Ana moved to Lisbon" in capsys.readouterr().out


def test_storage_page_names_every_table():
    tables = re.findall(r"^CREATE TABLE public\.(\w+)", SCHEMA.read_text("utf-8"), re.MULTILINE)
    section = PAGE.read_text("utf-8").partition("## Tables")[2].partition("\n## ")[0]
    named = "|".join(re.findall(r"`([a-z_]+\*?)`", section)).replace("*", r"\w+")

    assert tables
    assert [table for table in tables if not re.fullmatch(named, table)] == []
