"""The one configuration that every search uses. docs/relevance.md has the measurements behind each number."""

from __future__ import annotations

from mnemata.ranking.fusion import Convex

FUSION = Convex(vector_weight=0.55)
"""On the plateau from 0.5 to 0.6: claims and conversations like less, abstracts and short notes more weight on meaning.
Reciprocal ranks lose a point of nDCG on claims and two on conversations with k=10, more with k=60."""

DEPTH = 100
"""Candidates of each leg. Fusion can only promote what it was given; 200 give a quarter of a point more on conversations and
nothing elsewhere, for twice the candidates."""
