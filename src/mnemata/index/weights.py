"""How much each text field counts in the lexical leg: data, tuned on the evaluation sets, no logic."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CONTENT = "content"
CONTENT_ENGLISH = "content_en"
SPEAKER = "speaker"
TAGS = "tags_text"
NEIGHBOURS = "neighbours"

FIELD_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        # The stemmed words carry the score; what the others weigh is told against it.
        CONTENT_ENGLISH: 1.0,
        # The form as written breaks ties between words of one stem; more of it loses recall in conversations.
        CONTENT: 0.2,
        # Who speaks counts like a word of the content: the name is rarely said in one's own turn.
        SPEAKER: 1.0,
        # A tag is a label that many memories share: half a word.
        TAGS: 0.5,
        # The turn together with its neighbours, as one passage: an answer's words are often spread over turns.
        NEIGHBOURS: 1.0,
    }
)
"""The weight of a field's BM25 score in the sum over fields. docs/relevance.md has the measurements."""

NEIGHBOUR_VECTOR_WEIGHT = 0.2
"""How much of each neighbouring turn's vector is mixed into a turn's own before it is indexed, within a session:
`unit(own + 0.2 * (previous + next))`. A short turn embeds badly alone; more than 0.3 blurs which turn it was."""

K1 = 1.2
"""How fast repetitions of a word stop to count. Tantivy has this value built in."""

B = 0.75
"""How much a long field is discounted. Tantivy has this value built in."""

MAX_TERMS = 256
"""Distinct words of one query that are scored: the rarest ones. More would cost time and change nothing."""

MAX_QUERY_WORDS = 16_384
"""Words of one query that are looked at before the rarest are chosen."""

MAX_PREFIX_TERMS = 32
"""Words under one prefix that are scored: the most frequent ones. All of them match."""
