"""The store alone, for the commands that must not start a whole platform on it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemata.settings import Settings


@contextmanager
def opened_store(settings: Settings) -> Generator[str]:
    """The URL of a PostgreSQL that runs while the block does: the one named, or the data folder's own. Blocking.

    Its schema is as it was found. Raises DataFolderLocked, ConfigurationError, StoreUnavailable.
    """
    if settings.database.url is not None:
        yield settings.database.url.get_secret_value()
        return
    from mnemata.observability.metrics import Metrics
    from mnemata.store.data_folder import DataFolder
    from mnemata.store.embedded import EmbeddedPostgres

    folder = DataFolder.acquire(settings.data_dir)
    try:
        server = EmbeddedPostgres.start(folder.path, metrics=Metrics())
        try:
            yield server.url
        finally:
            server.stop()
    finally:
        folder.release()
