"""The page on searching says what is there, and what it shows is understood."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import EVERYTHING, FIELD_TYPES
from mnemata.query.filters import MAX_DEPTH, MAX_NODES, MAX_PREFIX_BYTES, MAX_VALUES, OPERATORS, parse_filter
from mnemata.query.grammar import MAX_CONSTRAINTS, parse_query
from mnemata.query.operators import ALIASES, WHEN
from mnemata.query.plan import MAX_CONTEXT, MAX_LIMIT, MAX_QUERY_BYTES, MAX_WINDOW
from mnemata.ranking.defaults import DEPTH, FUSION

PAGE = (Path(__file__).parents[3] / "docs" / "search.md").read_text("utf-8")
TYPED = PAGE.partition("## What people type")[2].partition("## Filters")[0]
ROWS = [row.split("|")[1] for row in TYPED.splitlines() if row.startswith("| `")]
EXAMPLES = [example for row in ROWS for example in re.findall(r"`([^`]+)`", row) if not example.endswith(":")]


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example != "green tea"])
def test_typed_example_is_understood(example):
    parsed = parse_query(example)

    assert parsed.filter != EVERYTHING or parsed.words.text == ""
    assert parsed.unknown == ()


def test_page_has_examples():
    assert len(EXAMPLES) > 25


def test_every_key_and_field_and_operator_is_on_the_page():
    keys = [name for name in [*ALIASES, *WHEN, "has"] if f"`{name}:" not in TYPED]
    fields = [name for name in FIELD_TYPES if f"`{name}`" not in PAGE]
    operators = [name for name in OPERATORS if f'"{name}"' not in PAGE and f"`{name}`" not in PAGE]

    assert (keys, fields, operators) == ([], [], [])


def test_filter_on_the_page_is_read():
    block = re.search(r"```json\n(\{.*?\})\n```", PAGE, re.DOTALL)

    assert block is not None
    assert parse_filter(json.loads(block[1])) != EVERYTHING


def test_refusal_on_the_page_is_the_one_that_is_given():
    with pytest.raises(InvalidFilter) as refused:
        parse_filter({"or": [{"user_id": "ana"}, {"usr_id": "bob"}]})

    assert str(refused.value) in " ".join(PAGE.split())


def test_limits_on_the_page_are_those_in_force():
    for sentence in (
        f"up to {MAX_QUERY_BYTES // 1024} KiB",
        f"1 to {MAX_LIMIT}",
        f"the {MAX_WINDOW:,}th hit",
        f"each way, 0 to {MAX_CONTEXT}",
        f"At most {MAX_CONSTRAINTS} phrases",
        f"At most {MAX_NODES} conditions, {MAX_VALUES:,} values and {MAX_DEPTH} levels",
        f"up to {MAX_PREFIX_BYTES} bytes",
        f"Each gives its {DEPTH} best",
        f"`{1 - FUSION.vector_weight:.2f} x lexical + {FUSION.vector_weight} x vector`",
    ):
        assert sentence in PAGE
