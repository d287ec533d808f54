"""One model in ONNX Runtime: tokens in, mean-pooled unit vectors out. Its errors become ours here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.errors import EmbedderUnavailable
from mnemata.embedding.minilm_graph import integer_model
from mnemata.embedding.onnx_file import Node, NotOnnx, Tensor, write_model
from mnemata.embedding.protocol import Vectors
from mnemata.embedding.windows import unit_rows
from mnemata.observability.logging import get_logger

log = get_logger("embedding")

RETRY_AFTER_S = 5.0


class UnusableModel(Exception):
    """ONNX Runtime cannot load the file. Stays in this room: a ModelDamaged with the file's path is made of it."""


class OnnxSession:
    """A loaded model. Calls may run at once on several threads."""

    def __init__(self, session: Any, *, integers: bool) -> None:
        self._session = session
        self.integers = integers
        """Whether it multiplies integers; else floats."""

    def mean_vectors(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """One row for each list of tokens: the mean of its token vectors, padding left out, at unit length.

        Raises EmbedderUnavailable.
        """
        ids, mask = _padded(batch)
        feed = {"input_ids": ids, "attention_mask": mask}
        if not self.integers:
            feed = {name: given.astype(np.int64) for name, given in feed.items()}
            feed["token_type_ids"] = np.zeros_like(feed["input_ids"])
        with _translated():
            hidden: NDArray[np.float32] = self._session.run(None, feed)[0]
        return unit_rows(np.matmul(mask[:, None, :].astype(np.float32), hidden)[:, 0, :])


def open_session(weights: bytes, *, threads: int, integers: bool | None = None) -> OnnxSession:
    """The model of an ONNX file, each call on `threads` threads. Raises UnusableModel.

    `integers`: multiply integers, or floats as the file's graph does; None: as this processor does right.
    """
    try:
        model = integer_model(weights)
    except NotOnnx as error:
        raise UnusableModel(str(error)) from error
    try:
        if integers is None:
            integers = multiplies_integers_right()
        return OnnxSession(_session(model if integers else weights, threads=threads), integers=integers)
    except _runtime_errors() as error:
        raise UnusableModel(f"onnxruntime cannot load it ({type(error).__name__})") from error


def _session(model: bytes, *, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What goes beyond the basics makes one operator of a sum and its norm, which is slower than the two.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    # A pattern is kept for every shape that was seen, and the shapes here are many.
    options.enable_mem_pattern = False
    # Waiting threads sleep: the cores are shared with the database and the index.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The weights stay out of the arena, which then grows to one batch of activations and no further.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def multiplies_integers_right() -> bool:
    """Whether sums of large products come out whole: x86 without VNNI adds pairs of them in 16 bits."""
    rows, matrix = np.full((16, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    model = write_model(
        [Node(operator="MatMulInteger", inputs=["rows", "matrix"], outputs=["product"])],
        inputs=[Tensor(name="rows", dtype=rows.dtype, shape=rows.shape)],
        outputs=[Tensor(name="product", dtype=np.dtype("<i4"), shape=(16, 16))],
        constants={"matrix": matrix},
    )
    [product] = _session(model, threads=1).run(None, {"rows": rows})
    return bool((product == 64 * 255 * 127).all())


def _padded(batch: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    ids = np.zeros((len(batch), max(map(len, batch))), np.int32)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def _runtime_errors() -> tuple[type[Exception], ...]:
    state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
    )


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except _runtime_errors() as error:
        log.warning("model_call_failed", error=type(error).__name__)
        raise EmbedderUnavailable(
            what="The embedding model", reason="its runtime refused the call", retry_after_s=RETRY_AFTER_S
        ) from error
