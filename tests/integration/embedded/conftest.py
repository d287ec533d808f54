from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemata.observability.metrics import Metrics
from mnemata.store.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres.start(tmp_path_factory.mktemp("data"), metrics=Metrics())
    yield server
    server.stop()


@pytest.fixture
def deep_folder(tmp_path: Path) -> Path:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)
    assert len(str(folder)) > 200
    return folder
