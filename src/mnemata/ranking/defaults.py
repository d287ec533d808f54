"""The one configuration that every search uses. docs/relevance.md has the measurements behind each number."""

from __future__ import annotations

from mnemata.ranking.fusion import Convex
from mnemata.ranking.personal import Lift

FUSION = Convex(vector_weight=0.55)
"""On the plateau from 0.5 to 0.6: claims and conversations like less, abstracts and short notes more weight on meaning.
Reciprocal ranks lose a point of nDCG on claims and two on conversations with k=10, more with k=60."""

DEPTH = 100
"""Candidates of each leg. Fusion can only promote what it was given; 200 give a quarter of a point more on conversations and
nothing elsewhere, for twice the candidates."""

LIFT = Lift(own=0.10, meaning=0.05, tags=0.04)
"""The page on personalisation has the measurements behind `own` and `meaning`. All likeness together stays below `own`."""

PROFILE_SIZE = 100
"""The user's latest memories that a profile is made of; a quarter or four times as many move no measure by half a point."""

PROFILE_HALF_LIFE_S = 30 * 86_400.0
"""A memory stored a month before the user's newest one counts half of it."""
