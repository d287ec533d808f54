"""The model of a platform, behind its batcher; none where words are enough."""

from __future__ import annotations

from contextlib import AsyncExitStack

from mnemata.domain.errors import MnemataError
from mnemata.embedding.batcher import Batcher, usable_cores
from mnemata.embedding.protocol import Embedder
from mnemata.embedding.registry import build
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.model_health import ModelHealth
from mnemata.settings import Settings

log = get_logger("platform")

_MOST_CALLS = 4
"""Calls of the model at once where the settings leave it open: the database and the index want cores too."""


def chosen_embedder(settings: Settings) -> Embedder | None:
    chosen = settings.embedding
    return build(chosen.model, model_path=chosen.model_path)


async def open_batcher(
    settings: Settings, embedder: Embedder | None, stack: AsyncExitStack, metrics: Metrics
) -> Batcher | None:
    if embedder is None:
        return None
    chosen = settings.embedding
    batcher = Batcher(
        embedder,
        metrics=metrics,
        batch_size=chosen.batch_size,
        document_calls=chosen.threads or min(_MOST_CALLS, usable_cores()),
        queue_size=chosen.queue_size,
        timeout_s=chosen.timeout_s,
    )
    stack.push_async_callback(batcher.close)
    return batcher


async def warm(batcher: Batcher, health: ModelHealth) -> None:
    """Load the model before the first question comes, and know early whether it is whole."""
    try:
        await batcher.embed_query("warm up")
        health.worked()
    except MnemataError as error:
        health.failed(error)
        log.warning("model_unusable", code=error.code, remedy=str(error))
