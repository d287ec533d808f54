"""Real conversations, imported and asked for as the first pages tell it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

DATA = os.environ.get("MNEMATA_EVAL_DATA", "")
TURNS = 2_960
QUESTION = "When did Caroline go to the LGBTQ support group?"
EVIDENCE = "conv-26:D1:3"


@pytest.mark.eval
@pytest.mark.slow
def test_conversations_are_imported_whole_and_asked_for_over_rest_and_from_the_command_line(command, serve):
    if not (Path(DATA) / "locomo-dev").is_dir():
        pytest.skip("MNEMATA_EVAL_DATA does not name a folder with locomo-dev")
    server = serve(command)

    imported = command.json("import", str(Path(DATA) / "locomo-dev"), "--wait")
    by_command = command.json("search", QUESTION, "--user", "conv-26")
    asked = {"query": QUESTION, "filter": {"user_id": "conv-26"}}
    by_rest = httpx.post(f"{server.url}/v1/search", json=asked, timeout=60).json()

    assert (imported["stored"], imported["refused"]) == (TURNS, 0)
    assert command.json("status")["memories"] == TURNS
    for answer in (by_command, by_rest):
        assert answer["degraded"] == []
        assert EVIDENCE in [hit["memory"]["external_id"] for hit in answer["hits"]]
