"""Contents by which every write is known again: each begins with a word that no other write has."""

from __future__ import annotations

import random

COMMON = "remembered"
"""A word of every content: searching it finds everything."""


def fresh_word(chance: random.Random, tenant: str) -> str:
    """A word that was never used, which says whose it is. Letters only: no analysis takes it apart or to its stem."""
    letters = "".join(chance.choices("bcdfghjkmpqvwxz", k=20))
    return f"{tenant}q{letters}q"


def content_of(word: str, client: str) -> str:
    return f"{word} is to be {COMMON} for {client}"


def word_of(content: str) -> str:
    return content.split(" ", 1)[0]


def is_of(tenant: str, content: str) -> bool:
    """Whether a client of the tenant wrote it."""
    return content.startswith(f"{tenant}q")
