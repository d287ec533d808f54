"""The Embedder protocol: text in, unit vectors out. Engines: onnx, and hashing for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.vector import Space

Vectors: TypeAlias = NDArray[np.float32]
"""(n, d) float32, rows of unit length."""

Vector: TypeAlias = NDArray[np.float32]
"""(d,) float32, of unit length."""


class Embedder(Protocol):
    """Embeds texts. Blocking and thread-safe: callers on the event loop go through a Batcher."""

    @property
    def space(self) -> Space:
        """The space that the vectors are of. Known without loading the model."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in order: (n, d) float32 of unit length. No text is cut silently.

        Raises ModelDamaged or EmbedderUnavailable.
        """
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As embed_documents, with what the model wants before a question. Raises as embed_documents."""
        ...

    def close(self) -> None:
        """Free the model. Idempotent."""
        ...
