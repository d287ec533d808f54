"""What can be done to the members of a fleet and to the ways between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from signal import SIGCONT, SIGSTOP

from deploy.servers.member import Member

from benchmarks.chaos.clocks import SteppedClock
from benchmarks.chaos.links import NO_TROUBLE, Links
from benchmarks.chaos.proxy import Trouble

TROUBLES: Mapping[str, Trouble] = {
    "slow": Trouble(delay_s=0.15, jitter_s=0.25),
    "narrow": Trouble(bytes_per_s=15_000),
    "cut off": Trouble(cut="both"),
    "without answers from": Trouble(cut="answers"),
    "truncated answers from": Trouble(truncate=600),
    "refused by": Trouble(refuse=True),
}
"""By name, as `slow postgres`."""

_STARTED_WITHIN_S = 180.0

CLOCK_STEPS_S = (-420.0, -45.0, 45.0, 420.0)
"""Minutes, forward and back; and less than a minute, which a lease or a time to live would notice too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`begin` does the harm, `end` takes it away and returns when the victim answers again."""

    begin: Callable[[], object]
    end: Callable[[], object]


def of_members(members: Iterable[Member]) -> dict[str, Fault]:
    """Each killed, stopped in order, and paused."""
    faults: dict[str, Fault] = {}
    for member in members:
        again = partial(start_again, member)
        faults[f"killed {member.name}"] = Fault(begin=member.kill, end=again)
        faults[f"stopped {member.name}"] = Fault(begin=member.stop, end=again)
        faults[f"paused {member.name}"] = Fault(
            begin=partial(member.signal, SIGSTOP), end=partial(member.signal, SIGCONT)
        )
    return faults


def start_again(member: Member, within_s: float = _STARTED_WITHIN_S) -> None:
    """Start it until it stays: one that finds no database ends, and whoever watches over processes starts it again."""
    until = time.monotonic() + within_s
    while True:
        try:
            return member.start()
        except RuntimeError:
            if time.monotonic() > until:
                raise
            member.stop()


def of_ways(links: Links, names: Iterable[str]) -> dict[str, Fault]:
    """Each way to a server spoilt in every manner."""
    return {
        f"{manner} {name}": Fault(
            begin=partial(links.trouble, name, trouble), end=partial(links.trouble, name, NO_TROUBLE)
        )
        for name in names
        for manner, trouble in TROUBLES.items()
    }


def of_clocks(clocks: Iterable[SteppedClock]) -> dict[str, Fault]:
    """Each process's clock set forward and back, and right again."""
    return {
        f"clock {step_s:+.0f}s of {clock.name}": Fault(
            begin=partial(clock.step, step_s), end=partial(clock.step, 0.0)
        )
        for clock in clocks
        for step_s in CLOCK_STEPS_S
    }
