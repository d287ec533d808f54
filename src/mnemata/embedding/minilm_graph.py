"""MiniLM as a graph that computes with 8-bit integers, made from the file of its 8-bit weights.

The file's own graph turns its weights into floats and multiplies those. Here the weights are taken as they are, and
the activations become integers too. What a layer norm gives, whose few large channels would leave too few steps to the
others, is 16 bits: a coarse and a fine part, multiplied together as if they were further texts. The rest is 8 bits,
by a scale of each row, so that no text depends on its neighbours. The names of the file's tensors are its
exporter's; its matrices stand in the order of the layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnemata.embedding.onnx_file import (
    Constant,
    Node,
    NotOnnx,
    Tensor,
    read_constants,
    type_code,
    write_model,
)

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12

_MICROSOFT = "com.microsoft"
_MATRICES_A_LAYER = 6  # query, key, value, attention's output, and the two of the feed-forward part
_LEAST_GELU = -0.17

# 128 is zero. Both parts of a number are cut, not rounded: half a 256th of a step and half of a step of the fine
# part's own zero (128 of 256) put the middle of their errors at zero.
SHIFT = 128.5 + 0.5 / 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Weights (inputs, outputs) int8, and what a step of each output's column is worth: (outputs,) float32."""

    steps: NDArray[np.int8]
    scale: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normed:
    """What a layer norm gives, in steps: (steps - SHIFT) * worth is the value."""

    steps: str
    worth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Names of a tensor's rows as integers, and of what a step of each row is worth; `zero` is the integer of zero."""

    steps: str
    scale: str
    zero: int


def integer_model(content: bytes) -> bytes:
    """An ONNX model with the weights of the given one.

    In: input_ids and attention_mask, (texts, tokens) int32. Out: last_hidden_state, (texts, tokens, 384) float32.
    Raises NotOnnx where `content` is not the model that this is made for.
    """
    constants = read_constants(content)
    try:
        return _model(constants)
    except (KeyError, ValueError) as error:
        raise NotOnnx("it has other tensors than all-MiniLM-L6-v2") from error


def _model(constants: Mapping[str, Constant]) -> bytes:
    graph = _Graph()
    matrices = _matrices(constants)
    normed = _embedded(graph, constants)
    for layer in range(LAYERS):
        own = matrices[layer * _MATRICES_A_LAYER : (layer + 1) * _MATRICES_A_LAYER]
        normed = _layer(graph, normed, own, _Layer(constants, layer))
    last = _value(graph, normed)
    return write_model(
        [*graph.nodes, Node(operator="Identity", inputs=[last], outputs=["last_hidden_state"])],
        inputs=[_int_rows("input_ids"), _int_rows("attention_mask")],
        outputs=[
            Tensor(name="last_hidden_state", dtype=np.dtype("<f4"), shape=("texts", "tokens", WIDTH)),
        ],
        constants=graph.constants,
    )


def _int_rows(name: str) -> Tensor:
    return Tensor(name=name, dtype=np.dtype("<i4"), shape=("texts", "tokens"))


def _matrices(constants: Mapping[str, Constant]) -> list[Matrix]:
    names = [name for name in constants if name.startswith("val_") and name.endswith("_q")]
    if len(names) != LAYERS * _MATRICES_A_LAYER:
        raise ValueError("a matrix is missing")
    return [
        Matrix(
            steps=constants[name].astype(np.int8, casting="no", copy=False),
            scale=constants[name.removesuffix("_q") + "_scale"].astype(np.float32, casting="no").reshape(-1),
        )
        for name in names
    ]


class _Layer:
    """The vectors of one layer, by their names in it."""

    def __init__(self, constants: Mapping[str, Constant], number: int) -> None:
        self._constants = constants
        self._prefix = f"inner.encoder.layer.{number}."

    def __getitem__(self, name: str) -> Constant:
        return self._constants[self._prefix + name]


class _Graph:
    """Nodes and constants as they come; each node's output gets a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Constant] = {}

    def constant(self, value: Constant) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def scalar(self, value: float, dtype: type[np.generic] = np.float32) -> str:
        name = f"{np.dtype(dtype).name}:{value}"
        self.constants.setdefault(name, np.array(value, dtype))
        return name

    def add(self, operator: str, *inputs: str, **integers: int) -> str:
        return self._add(operator, inputs, outputs=1, integers=integers)[0]

    def split(self, given: str, *, parts: int, axis: int) -> list[str]:
        return self._add("Split", [given], outputs=parts, integers={"axis": axis, "num_outputs": parts})

    def microsoft(self, operator: str, *inputs: str, **integers: int) -> str:
        return self._add(operator, inputs, outputs=1, integers=integers, domain=_MICROSOFT)[0]

    def layer_norm(self, given: str, weight: Constant, bias: Constant) -> str:
        inputs = [given, self.constant(weight), self.constant(bias)]
        return self._add("LayerNormalization", inputs, outputs=1, floats={"epsilon": EPSILON})[0]

    def _add(
        self,
        operator: str,
        inputs: Sequence[str],
        *,
        outputs: int,
        integers: Mapping[str, int] | None = None,
        floats: Mapping[str, float] | None = None,
        domain: str = "",
    ) -> list[str]:
        names = [f"n{len(self.nodes)}.{place}" for place in range(outputs)]
        self.nodes.append(
            Node(
                operator=operator,
                inputs=inputs,
                outputs=names,
                domain=domain,
                integers=integers or {},
                floats=floats or {},
            )
        )
        return names


def _embedded(graph: _Graph, constants: Mapping[str, Constant]) -> Normed:
    """Words, places and the one type of text that there is, summed and normed."""
    table = "inner.embeddings.word_embeddings.weight"
    steps = graph.add("Gather", graph.constant(constants[table + "_q"]), "input_ids")
    scale = graph.add("Gather", graph.constant(constants[table + "_scale"]), "input_ids")
    words = graph.add("Mul", graph.add("Cast", steps, to=type_code(np.float32)), scale)
    first, axis = graph.constant(np.array([0])), graph.constant(np.array([0]))
    tokens = graph.add("Shape", "input_ids", start=1, end=2)
    places = graph.add("Slice", graph.constant(_places(constants)), first, tokens, axis)
    norm = "inner.embeddings.LayerNorm."
    return _normed(
        graph, graph.add("Add", words, places), constants[norm + "weight"], constants[norm + "bias"]
    )


def _places(constants: Mapping[str, Constant]) -> NDArray[np.float32]:
    table = "inner.embeddings.position_embeddings.weight"
    steps, scale = constants[table + "_q"].astype(np.float32), constants[table + "_scale"].astype(np.float32)
    return steps * scale + constants["inner.embeddings.token_type_embeddings.weight"].astype(np.float32)[0]


def _layer(graph: _Graph, given: Normed, matrices: Sequence[Matrix], vectors: _Layer) -> Normed:
    query, key, value, output, widen, narrow = matrices
    asked = _product_of_normed(graph, given, _beside([query, key, value]))
    bias = np.concatenate([vectors[f"attention.self.{part}.bias"] for part in ("query", "key", "value")])
    seen = graph.microsoft(
        "MultiHeadAttention",
        *graph.split(asked, parts=3, axis=2),
        graph.constant(bias),
        "attention_mask",
        num_heads=HEADS,
    )
    attended = _product(graph, _rows(graph, seen), output)
    middle = _normed_sum(graph, attended, given, vectors, "attention.output.")
    wide = _product_of_normed(graph, middle, widen)
    active = graph.microsoft("BiasGelu", wide, graph.constant(vectors["intermediate.dense.bias"]))
    narrowed = _product(graph, _gelu_rows(graph, active), narrow)
    return _normed_sum(graph, narrowed, middle, vectors, "output.")


def _beside(matrices: Sequence[Matrix]) -> Matrix:
    return Matrix(
        steps=np.concatenate([matrix.steps for matrix in matrices], axis=1),
        scale=np.concatenate([matrix.scale for matrix in matrices]),
    )


def _normed_sum(graph: _Graph, new: str, old: Normed, vectors: _Layer, part: str) -> Normed:
    bias = vectors[part + "dense.bias"].astype(np.float32) - np.float32(SHIFT * old.worth)
    biased = graph.add("Add", new, graph.constant(bias))
    total = graph.add("Add", biased, graph.add("Mul", old.steps, graph.scalar(old.worth)))
    return _normed(graph, total, vectors[part + "LayerNorm.weight"], vectors[part + "LayerNorm.bias"])


def _normed(graph: _Graph, given: str, weight: Constant, bias: Constant) -> Normed:
    """Steps that no text can make too few: one number of n, normed, is at most the root of n - 1."""
    weight, bias = weight.astype(np.float32), bias.astype(np.float32)
    worth = float((np.abs(weight) * np.sqrt(WIDTH - 1) + np.abs(bias)).max()) / 127
    steps = graph.layer_norm(given, weight / np.float32(worth), bias / np.float32(worth) + np.float32(SHIFT))
    return Normed(steps=steps, worth=worth)


def _value(graph: _Graph, normed: Normed) -> str:
    from_zero = graph.add("Sub", normed.steps, graph.scalar(SHIFT))
    return graph.add("Mul", from_zero, graph.scalar(normed.worth))


def _product_of_normed(graph: _Graph, normed: Normed, matrix: Matrix) -> str:
    """Rows times matrix, as floats; no bias. The fine part counts 256ths of a step."""
    coarse = _whole(graph, normed.steps)
    rest = graph.add("Sub", normed.steps, graph.add("Cast", coarse, to=type_code(np.float32)))
    fine = _whole(graph, graph.add("Mul", rest, graph.scalar(256)))
    both = graph.add("Concat", coarse, fine, axis=0)
    scaled = Matrix(steps=matrix.steps, scale=matrix.scale * np.float32(normed.worth))
    coarse, fine = graph.split(_integer_product(graph, both, scaled, zero=128), parts=2, axis=0)
    return graph.add("Add", coarse, graph.add("Mul", fine, graph.scalar(1 / 256)))


def _product(graph: _Graph, rows: Rows, matrix: Matrix) -> str:
    """Rows times matrix, as floats; no bias."""
    return graph.add("Mul", _integer_product(graph, rows.steps, matrix, zero=rows.zero), rows.scale)


def _integer_product(graph: _Graph, steps: str, matrix: Matrix, *, zero: int) -> str:
    weights, scale = graph.constant(matrix.steps), graph.constant(matrix.scale)
    return graph.microsoft(
        "MatMulIntegerToFloat", steps, weights, graph.scalar(1), scale, graph.scalar(zero, np.uint8)
    )


def _rows(graph: _Graph, given: str) -> Rows:
    """The largest number of a row is 127 steps from zero."""
    scale = graph.add("Mul", _largest(graph, given), graph.scalar(1 / 127))
    steps = graph.add("Add", graph.add("Div", given, scale), graph.scalar(128.5))
    return Rows(steps=_whole(graph, steps), scale=scale, zero=128)


def _gelu_rows(graph: _Graph, given: str) -> Rows:
    """16 steps are enough for what lies below zero, since a GELU gives nothing below -0.17."""
    top = graph.add("Mul", _largest(graph, given), graph.scalar(1 / 239))
    scale = graph.add("Max", top, graph.scalar(-_LEAST_GELU / 15.5))
    steps = graph.add("Add", graph.add("Div", given, scale), graph.scalar(16.5))
    return Rows(steps=_whole(graph, steps), scale=scale, zero=16)


def _largest(graph: _Graph, given: str) -> str:
    return graph.add("ReduceMax", graph.add("Abs", given), graph.constant(np.array([-1])), keepdims=1)


def _whole(graph: _Graph, given: str) -> str:
    """Cut to a whole number of 8 bits."""
    return graph.add("Cast", given, to=type_code(np.uint8))
