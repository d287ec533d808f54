"""Who takes text apart: the cluster where it has the modules for it, otherwise this process.

Both give the same words: letters and digits in lower case without accents; in stemmed fields without English stop words,
by the Snowball stemmer. What no analyzer of either does (compatibility forms, accents and stems of other scripts than Latin,
scripts that write no spaces, emoji) is always done here, before a text is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from mnemata.index.local.analysis import normalised, plain_tokens, stemmed_tokens, uninflected
from mnemata.index.local.document import STEMMED_FIELDS

OWN = "own"
CLUSTER = "cluster"

_STEMMING_MODULES = frozenset({"analysis-common"})


class Texts(Protocol):
    """How the text of a field is sent."""

    def indexed(self, field: str, text: str) -> str:
        """A text to be indexed."""
        ...

    def asked(self, field: str, tokens: Sequence[str]) -> str:
        """Plain tokens of a query, to be matched in the field."""
        ...


class OwnTexts:
    """Sends tokens, parted by spaces, to fields that are split at spaces and nothing else."""

    def indexed(self, field: str, text: str) -> str:
        return " ".join(stemmed_tokens(text) if field in STEMMED_FIELDS else plain_tokens(text))

    def asked(self, field: str, tokens: Sequence[str]) -> str:
        if field not in STEMMED_FIELDS:
            return " ".join(tokens)
        return " ".join(stem for token in tokens for stem in stemmed_tokens(token))


class ClusterTexts:
    """Sends texts as they are, but for what the cluster's analyzers do not do."""

    def indexed(self, field: str, text: str) -> str:
        return uninflected(text) if field in STEMMED_FIELDS else normalised(text)

    def asked(self, field: str, tokens: Sequence[str]) -> str:
        words = " ".join(tokens)
        return uninflected(words) if field in STEMMED_FIELDS else words


def texts_of(analysis: str) -> Texts:
    return ClusterTexts() if analysis == CLUSTER else OwnTexts()


def analysis_for(modules: Iterable[str]) -> str:
    """Which analysis a cluster with these modules can be given."""
    return CLUSTER if set(modules) >= _STEMMING_MODULES else OWN
