from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mnemata import settings as settings_module
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Query, Words
from mnemata.domain.scope import Scope
from mnemata.platform import Platform
from mnemata.settings import Settings


@pytest.fixture
def damaged_model(tmp_path: Path, settings: Settings, database_url: str) -> Settings:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"this was a model once")
    return settings_module.load(
        environment={},
        data_dir=settings.data_dir,
        database={"url": database_url},
        embedding={"model": "all-MiniLM-L6-v2", "model_path": model},
    )


@pytest.fixture
async def crippled(damaged_model: Settings) -> AsyncIterator[Platform]:
    platform = await Platform.open(damaged_model)
    yield platform
    await platform.close()


async def test_with_a_damaged_model_memories_are_stored_and_found_by_their_words(
    crippled: Platform, scope: Scope
) -> None:
    await crippled.services.remember.one(scope, MemoryDraft(content="the walrus and the carpenter"))
    answer = await crippled.services.recall.search(scope, Query(text="walrus", words=Words(text="walrus")))
    assert [hit.memory.content for hit in answer.hits] == ["the walrus and the carpenter"]
    assert answer.degraded == ("vector",)


async def test_a_damaged_model_is_named_with_its_remedy(crippled: Platform, scope: Scope) -> None:
    await crippled.services.recall.search(scope, Query(text="walrus", words=Words(text="walrus")))
    ready, parts = await crippled.services.status.ready()
    assert ready
    assert "model_damaged" in parts["embedding"]
    assert "install" in parts["embedding"]
