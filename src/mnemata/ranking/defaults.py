"""The one configuration that every search uses. docs/relevance.md has the measurements behind each number."""

from __future__ import annotations

from mnemata.ranking.fusion import Convex

FUSION = Convex(vector_weight=0.55)
"""On the plateau from 0.5 to 0.6: claims and conversations like less, abstracts and short notes more weight on meaning.
Reciprocal ranks lose one to two points of nDCG on claims and three to six on conversations."""

DEPTH = 100
"""Candidates of each leg. Fusion can only promote what it was given; 200 gave nothing that 100 did not."""
