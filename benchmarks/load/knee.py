"""Where more clients bring no more: the knee of a curve of throughput, and what is exhausted there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.load.processor import LOAD, OTHERS

GROWTH = 1.1
"""Twice the clients that bring less than a tenth more are beyond the knee."""

PATIENCE = 2
"""So many steps in a row beyond it, and no more are taken: one may have had bad luck."""

_BUSY = 0.9
"""Of a core, or of all of them: what is used so far can be called exhausted on a machine that does other things too."""


def knee(throughput: Sequence[float]) -> int:
    """The place of the first step behind which no later one brings a tenth more."""
    for place, here in enumerate(throughput):
        if all(later < GROWTH * here for later in throughput[place + 1 :]):
            return place
    return len(throughput) - 1


def is_over(throughput: Sequence[float]) -> bool:
    """Whether the last steps brought nothing more."""
    return len(throughput) - 1 - knee(throughput) >= PATIENCE


def exhausted(cores: Mapping[str, float], machine: int) -> str:
    """What more clients wait for at the knee, as a sentence."""
    used = sum(cores.values())
    ours = {name: value for name, value in cores.items() if name != OTHERS}
    busiest = max(ours, key=lambda name: ours[name])
    if used >= _BUSY * machine:
        shares = sorted(cores.items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {value:.2f}" for name, value in shares if value >= 0.05)
        return f"the machine's {machine} cores: {told}"
    if ours[busiest] >= _BUSY:
        return f"one core of {busiest}, whose work is done by one thread at a time"
    if busiest == LOAD:
        return "the load generator, which uses more than any part of the platform"
    return f"no core (of {machine}, {used:.2f} are used): requests wait for one another or for the disk"
