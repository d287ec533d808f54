"""What ranking with regard to a user does to conversations: for whom it helps, whom it costs, and by how much.

    python -m benchmarks.relevance.personal --data FOLDER/locomo-dev [--vectors CACHE]

The legs are those of the sensitivity table, in memory; profile, affinity and blend are the platform's own.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.relevance import sets
from benchmarks.relevance.report import SEED
from benchmarks.relevance.sensitivity import MEASURES, NDCG, RECALL, embedded, matrix_of, unnamed
from mnemata.domain.ids import MemoryId
from mnemata.quality.bootstrap import paired_difference
from mnemata.ranking.defaults import LIFT, PROFILE_HALF_LIFE_S, PROFILE_SIZE
from mnemata.ranking.fusion import Fused
from mnemata.ranking.personal import Affinity, Lift, Profile, affinity, personalize, profile_of

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A memory as a profile sees it. All are stored within an hour, as an import does it."""

    user_id: str | None
    created_at: datetime
    vector: np.ndarray
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Situation:
    """`owners`: the user of each memory. `asking`: for whom each question is ranked; None: it is left out."""

    name: str
    ranked: list[list[Fused]]
    owners: list[str | None]
    asking: list[str | None]


class Conversations:
    def __init__(self, chosen: sets.RetrievalSet, cache: Path | None) -> None:
        self._set = chosen
        self._vectors, _ = embedded(chosen, cache)
        self._named = matrix_of(chosen, cache)
        self._unnamed = matrix_of(unnamed(chosen), cache, conversational=True)
        self._known: dict[tuple[str, int], list[dict[MemoryId, Affinity] | None]] = {}
        self._external = [memory["external_id"] for memory in chosen.memories]

    def situations(self) -> list[Situation]:
        narrow, wide = self._named.rankings(), self._named.rankings(everybody=True)
        talks = [memory["user_id"] for memory in self._set.memories]
        about = [question.filter["user_id"] for question in self._set.questions]
        speakers = [f"{memory['user_id']}/{memory['role']}" for memory in self._set.memories]
        meant = [self._speaker(question, other=False) for question in self._set.questions]
        others = [self._speaker(question, other=True) for question in self._set.questions]
        half = self._older_half(talks)
        nobodys = [
            talk if self._of_nobody(q, half) else None
            for q, talk in zip(self._set.questions, about, strict=True)
        ]
        nameless = self._unnamed.rankings(everybody=True)
        return [
            Situation(name="one's own memories alone", ranked=narrow, owners=talks, asking=about),
            Situation(name="everybody's memories", ranked=wide, owners=talks, asking=about),
            Situation(name="the same, naming no speaker", ranked=nameless, owners=talks, asking=about),
            Situation(name="two speakers, the one in question", ranked=narrow, owners=speakers, asking=meant),
            Situation(name="two speakers, the other one", ranked=narrow, owners=speakers, asking=others),
            Situation(name="the newer half is nobody's", ranked=wide, owners=half, asking=about),
            Situation(name="of that, answers that are nobody's", ranked=wide, owners=half, asking=nobodys),
        ]

    def judge(
        self, situation: Situation, lift: Lift | None, *, size: int = PROFILE_SIZE
    ) -> dict[str, list[float]]:
        """Each measure's values, a question each; without a lift as the legs have it."""
        near = self._near(situation, size)
        found = defaultdict[str, list[float]](list)
        for question, ranked, affinities in zip(self._set.questions, situation.ranked, near, strict=True):
            if affinities is None:
                continue
            chosen = ranked if lift is None else personalize(ranked, affinities, lift)
            external = [self._external[fused.memory_id.int] for fused in chosen[:10]]
            for name, measure in MEASURES.items():
                found[name].append(measure(external, self._set.judgements[question.id]))
        return found

    def _near(self, situation: Situation, size: int) -> list[dict[MemoryId, Affinity] | None]:
        """For each question how near each hit is to its user; None where the question is left out."""
        if (situation.name, size) not in self._known:
            told = [
                Told(user_id=owner, created_at=FIRST + timedelta(seconds=row), vector=self._vectors[row])
                for row, owner in enumerate(situation.owners)
            ]
            profiles = _profiles(told, size)
            self._known[situation.name, size] = [
                None if user is None else _affinities(profiles[user], ranked, told)
                for ranked, user in zip(situation.ranked, situation.asking, strict=True)
            ]
        return self._known[situation.name, size]

    def _speaker(self, question: sets.Question, *, other: bool) -> str | None:
        """The one speaker whom the question names, or the one whom it does not; None where it names none or both."""
        talk = question.filter["user_id"]
        both = sorted({memory["role"] for memory in self._set.memories if memory["user_id"] == talk})
        named = [name for name in both if re.search(rf"\b{re.escape(name)}\b", question.text)]
        if len(named) != 1:
            return None
        return next(f"{talk}/{name}" for name in both if (name in named) is not other)

    def _older_half(self, talks: Sequence[str]) -> list[str | None]:
        number = [int(memory["session_id"].rpartition("/")[2]) for memory in self._set.memories]
        last = {
            talk: max(n for n, of in zip(number, talks, strict=True) if of == talk) for talk in set(talks)
        }
        return [talk if n <= last[talk] // 2 else None for n, talk in zip(number, talks, strict=True)]

    def _of_nobody(self, question: sets.Question, owners: Sequence[str | None]) -> bool:
        owned = {
            external for external, owner in zip(self._external, owners, strict=True) if owner is not None
        }
        return not owned & self._set.judgements[question.id].keys()


def variants() -> Iterator[tuple[str, Lift, int]]:
    """Each with one number changed, by its name."""
    yield "the default", LIFT, PROFILE_SIZE
    for times in (0.25, 0.5, 1.5, 2.0):
        yield f"every lift times {times}", _times(LIFT, times), PROFILE_SIZE
    for meaning in (0.0, 0.025, 0.075):
        yield f"meaning {meaning}", replace(LIFT, meaning=meaning), PROFILE_SIZE
    for size in (25, 50, 200, 400):
        yield f"a profile of {size}", LIFT, size


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.relevance.personal", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of a set of conversations")
    parser.add_argument(
        "--vectors", type=Path, default=None, help="folder that keeps embeddings between runs"
    )
    options = parser.parse_args()
    talks = Conversations(sets.load(options.data), options.vectors)
    situations = talks.situations()
    _print_effect(talks, situations)
    _print_variants(talks, situations)


def _print_effect(talks: Conversations, situations: Sequence[Situation]) -> None:
    print("| searched | questions | recall@10 | personal | difference | nDCG@10 | personal | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for situation in situations:
        before, after = talks.judge(situation, None), talks.judge(situation, LIFT)
        cells = " | ".join(_change(before[name], after[name]) for name in (RECALL, NDCG))
        print(f"| {situation.name} | {len(before[RECALL])} | {cells} |", flush=True)


def _print_variants(talks: Conversations, situations: Sequence[Situation]) -> None:
    print(f"\n| changed, recall@10 | {' | '.join(situation.name for situation in situations)} |")
    print("|---" * (len(situations) + 1) + "|")
    for name, lift, size in variants():
        figures = [np.mean(talks.judge(situation, lift, size=size)[RECALL]) for situation in situations]
        print(f"| {name} | {' | '.join(f'{figure:.4f}' for figure in figures)} |", flush=True)


def _change(before: Sequence[float], after: Sequence[float]) -> str:
    change = paired_difference(after, before, np.random.default_rng(SEED))
    difference = f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    return f"{np.mean(before):.4f} | {np.mean(after):.4f} | {difference}"


def _times(lift: Lift, times: float) -> Lift:
    return Lift(own=lift.own * times, meaning=lift.meaning * times, tags=lift.tags * times)


def _profiles(told: Sequence[Told], size: int) -> dict[str, Profile]:
    of_user = defaultdict[str, list[Told]](list)
    for memory in told:
        if memory.user_id is not None:
            of_user[memory.user_id].append(memory)
    made = {
        user: profile_of(user, memories[-size:], half_life_s=PROFILE_HALF_LIFE_S)
        for user, memories in of_user.items()
    }
    return {user: profile for user, profile in made.items() if profile is not None}


def _affinities(profile: Profile, ranked: Sequence[Fused], told: Sequence[Told]) -> dict[MemoryId, Affinity]:
    return {fused.memory_id: affinity(profile, told[fused.memory_id.int]) for fused in ranked}


if __name__ == "__main__":
    main()
