"""Models by the names that settings use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mnemata.domain.errors import ConfigurationError
from mnemata.domain.vector import Space
from mnemata.embedding.protocol import Embedder


def build(model: str, *, model_path: Path | None) -> Embedder | None:
    """The named embedder, its model not loaded yet; None for 'none'. Raises ConfigurationError for another name."""
    match model:
        case "all-MiniLM-L6-v2":
            from mnemata.embedding.onnx import OnnxEmbedder

            return OnnxEmbedder(model_path=model_path)
        case "hashing":
            from mnemata.embedding.hashing import HashingEmbedder

            return HashingEmbedder()
        case "none":
            return None
        case _:
            raise ConfigurationError(
                reason=f"There is no embedding model '{model}'",
                remedy=f"Choose one of {', '.join([*known_spaces(), 'none'])}",
            )


def known_spaces() -> Mapping[str, Space]:
    """The space of each model that `build` knows, by the model's name. Loads no model."""
    from mnemata.embedding.hashing import SPACE
    from mnemata.embedding.onnx import MINILM

    return {"all-MiniLM-L6-v2": MINILM.space, "hashing": SPACE}
