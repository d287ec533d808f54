"""ONNX files as bytes: what is written can be read, by ONNX Runtime too, and damage is refused."""

import numpy as np
import onnxruntime
import pytest

from mnemata.embedding.onnx_file import Node, NotOnnx, Tensor, read_constants, type_code, write_model

CONSTANTS = {
    "steps": np.arange(-64, 64, dtype=np.int8).reshape(2, 64),
    "weights": np.linspace(-1, 1, 300, dtype=np.float32).reshape(3, 100),
    "axis": np.array([-1]),
    "zero": np.array(128, np.uint8),
}


def model(nodes=(), constants=CONSTANTS):
    return write_model(
        list(nodes),
        inputs=[Tensor(name="x", dtype=np.dtype("<f4"), shape=("rows", 4))],
        outputs=[Tensor(name="y", dtype=np.dtype("<f4"), shape=("rows", 4))],
        constants=constants,
    )


def test_constants_are_read_as_they_were_written_in_their_order():
    found = read_constants(model())
    assert list(found) == list(CONSTANTS)
    for name, value in CONSTANTS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_onnx_runtime_takes_what_is_written():
    nodes = [
        Node(operator="Add", inputs=["x", "bias"], outputs=["sum"]),
        Node(
            operator="LayerNormalization",
            inputs=["sum", "scale"],
            outputs=["normed"],
            integers={"axis": -1},
            floats={"epsilon": 0.5},
        ),
        Node(operator="Cast", inputs=["normed"], outputs=["y"], integers={"to": type_code(np.float32)}),
    ]
    content = model(nodes, {"bias": np.arange(4, dtype=np.float32), "scale": np.full(4, 2, np.float32)})
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = np.array([[1, 0, 0, 0], [3, 1, 4, 1]], np.float32)
    [found] = session.run(None, {"x": given})
    centred = given + np.arange(4) - (given + np.arange(4)).mean(axis=1, keepdims=True)
    expected = 2 * centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "content", [b"", b"no model at all", b"\x08\x09", b"\x3a\x7f", b"\x0f" * 40, b"\xff" * 40]
)
def test_other_bytes_are_refused(content):
    with pytest.raises(NotOnnx):
        read_constants(content)


def test_a_model_cut_anywhere_is_refused_or_lacks_constants():
    whole = model()
    for end in range(len(whole)):
        try:
            found = read_constants(whole[:end])
        except NotOnnx:
            continue
        assert set(found) < set(CONSTANTS)
