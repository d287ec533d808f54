from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "storage.md"


async def test_example_on_the_storage_page_runs_as_it_stands(url, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    program = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(program, {"url": url})  # noqa: S307 (the page's own example)
    assert "Ana moved to Lisbon" in capsys.readouterr().out
