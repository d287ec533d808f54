"""How much is stored and asked: in a whole run, and in one that only shows that everything runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """`compared`: turns in process; `served`: memories over HTTP; `full`: for memory.

    `still_s`: how long the server has to be at rest before it is measured. It saves and tidies up every ten seconds.
    """

    compared: int
    served: int
    full: int
    questions: int
    searches: int
    writes: int
    model_texts: int
    model_rounds: int
    starts: int
    still_s: float


WHOLE = Sizes(
    compared=50_000,
    served=100_000,
    full=300_000,
    questions=300,
    searches=900,
    writes=200,
    model_texts=4_096,
    model_rounds=8,
    starts=3,
    still_s=13.0,
)
QUICK = Sizes(
    compared=1_000,
    served=1_000,
    full=1_500,
    questions=20,
    searches=30,
    writes=10,
    model_texts=128,
    model_rounds=1,
    starts=1,
    still_s=1.0,
)
