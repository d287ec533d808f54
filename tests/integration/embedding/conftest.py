import pytest
import pytest_asyncio

from mnemata.embedding.batcher import Batcher
from mnemata.embedding.onnx import OnnxEmbedder
from mnemata.observability.metrics import Metrics


@pytest.fixture(scope="session")
def minilm():
    embedder = OnnxEmbedder(threads=1)
    yield embedder
    embedder.close()


@pytest.fixture
def metrics():
    return Metrics()


@pytest_asyncio.fixture
async def make_batcher(metrics):
    """Batchers over any embedder, closed at the end."""
    made = []

    def make(embedder, **options):
        made.append(Batcher(embedder, metrics=metrics, **options))
        return made[-1]

    yield make
    for batcher in made:
        await batcher.close()
