"""ONNX files without the onnx package: constants read from one, and a graph written as one.

Only what this needs of the format (onnx.proto3, field numbers beside the names) and of protobuf's wire format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Constant: TypeAlias = NDArray[np.generic]

IR_VERSION = 9
OPERATORS = {"": 18, "com.microsoft": 1}
"""The operator sets that written graphs use, by domain."""

_DTYPES: dict[int, np.dtype[np.generic]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}
_CODES: dict[np.dtype[np.generic], int] = {dtype: code for code, dtype in _DTYPES.items()}
_VARINT, _BYTES, _FIXED32 = 0, 2, 5


class NotOnnx(Exception):
    """The bytes are not an ONNX model that can be read. Stays in this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator. An empty input name stands for an input that is left out."""

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    domain: str = ""
    integers: Mapping[str, int] = field(default_factory=dict[str, int])
    floats: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What goes into a graph or comes out of it. A named dimension is any size."""

    name: str
    dtype: np.dtype[np.generic]
    shape: Sequence[str | int]


def type_code(dtype: type[np.generic]) -> int:
    """ONNX's number of an element type, as the operator Cast takes it."""
    return _CODES[np.dtype(dtype)]


def read_constants(content: bytes) -> dict[str, Constant]:
    """The initializers of a model that keep their data as raw bytes, in the file's order; views, read-only.

    Raises NotOnnx.
    """
    try:
        graphs = [value for number, value in _fields(memoryview(content)) if number == 7]  # ModelProto.graph
        tensors = (value for number, value in _fields(_message(graphs[0])) if number == 5)  # .initializer
        return dict(named for tensor in tensors if (named := _read_tensor(_message(tensor))) is not None)
    except (IndexError, ValueError, KeyError) as error:
        raise NotOnnx("its bytes are no ONNX graph") from error


def write_model(
    nodes: Sequence[Node],
    *,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    constants: Mapping[str, Constant],
) -> bytes:
    """A model of one graph, as the bytes of an ONNX file."""
    graph = b"".join(
        [
            *(_field(1, _node(node)) for node in nodes),
            _field(2, b"graph"),
            *(_field(5, _tensor(name, value)) for name, value in constants.items()),
            *(_field(11, _value_info(tensor)) for tensor in inputs),
            *(_field(12, _value_info(tensor)) for tensor in outputs),
        ]
    )
    sets = (_field(8, _field(1, domain.encode()) + _number(2, v)) for domain, v in OPERATORS.items())
    return _number(1, IR_VERSION) + b"".join(sets) + _field(7, graph)


def _read_tensor(tensor: memoryview) -> tuple[str, Constant] | None:
    shape: list[int] = []
    name, kind, raw = "", 0, None
    for number, value in _fields(tensor):
        match number:
            case 1:  # dims: packed, or one by one
                shape += [value] if isinstance(value, int) else list(_varints(value))
            case 2:
                kind = _integer(value)
            case 8:
                name = str(_message(value), "utf-8")
            case 9:
                raw = _message(value)
            case _:
                pass
    if raw is None or kind not in _DTYPES:
        return None
    return name, np.frombuffer(raw, _DTYPES[kind]).reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
            case 2:
                size, at = _varint(message, at)
                if at + size > len(message):
                    raise ValueError("a field ends behind the message")
                yield key >> 3, message[at : at + size]
                at += size
            case 1:
                at += 8
            case 5:
                at += 4
            case _:
                raise ValueError("no wire type of protobuf 3")


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")  # noqa: TRY004 (of the file, not of a caller)
    return value


def _integer(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("a message stands where a number is expected")  # noqa: TRY004 (of the file, not of a caller)
    return value


def _node(node: Node) -> bytes:
    return b"".join(
        [
            *(_field(1, name.encode()) for name in node.inputs),
            *(_field(2, name.encode()) for name in node.outputs),
            _field(3, node.outputs[0].encode()),
            _field(4, node.operator.encode()),
            # AttributeProto: name 1, f 2, i 3, type 20 (FLOAT 1, INT 2)
            *(
                _field(5, _field(1, k.encode()) + _number(3, v) + _number(20, 2))
                for k, v in node.integers.items()
            ),
            *(
                _field(5, _field(1, k.encode()) + _float(2, v) + _number(20, 1))
                for k, v in node.floats.items()
            ),
            _field(7, node.domain.encode()),
        ]
    )


def _tensor(name: str, value: Constant) -> bytes:
    dims = b"".join(_number(1, size) for size in value.shape)
    return dims + _number(2, _CODES[value.dtype]) + _field(8, name.encode()) + _field(9, value.tobytes())


def _value_info(tensor: Tensor) -> bytes:
    # TensorShapeProto.Dimension: dim_value 1, dim_param 2
    dims = (_number(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in tensor.shape)
    shape = b"".join(_field(1, dim) for dim in dims)
    kind = _number(1, _CODES[tensor.dtype]) + _field(2, shape)
    return _field(1, tensor.name.encode()) + _field(2, _field(1, kind))


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _encoded(len(content)) + content


def _number(number: int, value: int) -> bytes:
    # A negative integer is written as its 64-bit two's complement.
    return _key(number, _VARINT) + _encoded(value & 0xFFFF_FFFF_FFFF_FFFF)


def _float(number: int, value: float) -> bytes:
    return _key(number, _FIXED32) + np.array(value, "<f4").tobytes()


def _key(number: int, wire: int) -> bytes:
    return _encoded(number << 3 | wire)


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
