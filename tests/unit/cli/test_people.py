import io

import pytest
from rich.console import Console

from mnemata.cli import people

TURN = {
    "id": "0197",
    "content": "I went to the group yesterday and it was so powerful. " * 12,
    "role": "Caroline",
    "user_id": "conv-26",
    "agent_id": None,
    "session_id": "conv-26/1",
    "sequence": 2,
    "occurred_at": "2023-05-08T13:56:00Z",
    "created_at": "2026-01-01T00:00:00Z",
}
BEFORE = {**TURN, "id": "0196", "sequence": 1, "role": "Melanie", "content": "What's up?"}
AFTER = {**TURN, "id": "0198", "sequence": 3, "role": "Melanie", "content": "Wow!"}


def printed(hit, *, width=80, terminal=True, whole=False):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    people.print_hit(console, 1, hit, whole=whole)
    return console.file.getvalue().splitlines()


def test_hit_fits_the_terminal_and_says_how_much_is_left_out():
    lines = printed({"memory": TURN, "score": 0.8731}, width=60)

    assert max(len(line) for line in lines) <= 60
    assert lines[0].split() == [
        "1",
        "0.873",
        "2023-05-08",
        "13:56",
        "Caroline",
        "·",
        "conv-26",
        "·",
        "conv-26/1",
    ]
    assert "more" in lines[-2]
    assert lines[-1].strip() == "0197"


def test_whole_hit_leaves_nothing_out():
    text = " ".join(line.strip() for line in printed({"memory": TURN, "score": 1.0}, whole=True)[1:-1])

    assert text == TURN["content"].strip()


def test_hit_on_a_pipe_is_never_cut():
    lines = printed({"memory": TURN, "score": 1.0}, terminal=False, width=160)

    assert lines[1].strip() == people.one_line(TURN["content"])


def test_neighbours_stand_before_and_after_their_turn():
    lines = printed({"memory": {**TURN, "content": "Me."}, "score": 1.0, "context": [AFTER, BEFORE]})

    assert [line.strip() for line in lines[1:4]] == ["Melanie: What's up?", "Me.", "Melanie: Wow!"]


def test_explanation_names_each_leg_with_rank_and_score():
    explanation = {"scores": {"lexical": 12.3, "vector": 0.5}, "ranks": {"lexical": 1}, "fused": 0.9}

    lines = printed({"memory": {**TURN, "content": "x"}, "score": 1.0, "explanation": explanation})

    assert lines[2].strip() == "lexical #1 (12.300) · vector 0.500 · fused 0.9000"


def test_text_that_looks_like_markup_is_shown_as_it_is():
    assert "[red]x[/red]" in printed({"memory": {**TURN, "content": "[red]x[/red]"}, "score": 1.0})[1]


@pytest.mark.parametrize(("count", "text"), [(0, "0 memories"), (1, "1 memory"), (2960, "2,960 memories")])
def test_amount_agrees_with_its_noun(count, text):
    assert people.amount(count, "memory") == text
    assert people.amount(3, "key") == "3 keys"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (23_100_000, "23.1 MB"), (5e15, "5e+03 TB")]
)
def test_size_has_a_unit_that_fits(count, text):
    assert people.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.84, "0.8 s"), (42, "42 s"), (200, "3 min 20 s")])
def test_duration_reads_as_people_say_it(seconds, text):
    assert people.duration(seconds) == text


def test_time_falls_back_to_when_it_was_learned():
    assert people.when({**TURN, "occurred_at": None}) == "2026-01-01 00:00"
