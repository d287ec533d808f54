"""BM25 as tantivy computes it, so that a fresh memory's score stands beside a folded one's.

Robertson & Zaragoza 2009, eq. 3.15, with Lucene's idf, which is never negative; field lengths are kept in one byte.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from mnemata.index.weights import K1, B


def _length_of(byte: int) -> int:
    """What a length byte stands for: exact up to 40, then four significant bits (Lucene's SmallFloat)."""
    if byte < _EXACT:
        return byte
    mantissa, shift = (byte - _EXACT) & 7, ((byte - _EXACT) >> 3) - 1
    return _EXACT + (mantissa if shift < 0 else (mantissa | 8) << shift)


_EXACT = 24
_LENGTHS = [_length_of(byte) for byte in range(256)]


def idf(documents: int, containing: int) -> float:
    """How much a term that `containing` of `documents` documents have tells."""
    return math.log(1.0 + (documents - containing + 0.5) / (containing + 0.5))


def kept_length(tokens: int) -> int:
    """The field length that is left of `tokens` once it was written in one byte."""
    return _LENGTHS[bisect_right(_LENGTHS, tokens) - 1]


def length_norm(tokens: int, average: float) -> float:
    """What is added to a term's frequency below the fraction line."""
    return K1 * (1.0 - B + B * kept_length(tokens) / average)


def score(*, weight: float, frequency: int, norm: float) -> float:
    """One term's part; `weight` is boost x idf."""
    return weight * (1.0 + K1) * frequency / (frequency + norm)
