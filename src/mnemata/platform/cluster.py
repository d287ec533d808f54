"""The index of a platform in a search cluster: wired at once, opened when the cluster can be reached."""

from __future__ import annotations

from contextlib import AsyncExitStack

from pydantic import SecretStr

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import ConfigurationError
from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Space
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.generation import family_of
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions
from mnemata.platform.opening import Resume, epoch_of, known_or_begun_anew
from mnemata.platform.store import Store
from mnemata.settings import Settings


class ClusterOpening:
    """A cluster that is away must not keep the platform from starting: until it is there, the store answers."""

    def __init__(self, settings: Settings, *, space: Space, clock: Clock) -> None:
        self._kind = ClusterKind(settings.search.kind)
        self._options = cluster_options(settings, space)
        self._space = space
        self._clock = clock

    @property
    def name(self) -> str:
        return self._options.name

    async def on(self, store: Store, stack: AsyncExitStack) -> tuple[ClusterIndex, Resume]:
        index = ClusterIndex(self._kind, space=self._space, options=self._options, clock=self._clock)
        stack.push_async_callback(index.close)

        async def resume() -> tuple[Position, ...]:
            index.expect(await epoch_of(store))
            positions = await index.open()
            if await known_or_begun_anew(store, positions):
                return positions
            index.expect(await epoch_of(store))
            return await index.open()

        return index, resume


def cluster_options(settings: Settings, space: Space) -> ClusterOptions:
    """What the settings choose. Raises ConfigurationError where the file of synonyms cannot be read."""
    chosen = settings.search
    return ClusterOptions(
        name=family_of(chosen.index, space=space, metric=settings.index.metric),
        base=chosen.index,
        shards=chosen.shards,
        replicas=chosen.replicas,
        metric=settings.index.metric,
        hnsw_m=settings.index.hnsw_m,
        hnsw_ef_construction=settings.index.hnsw_ef_construction,
        candidates=chosen.candidates,
        own_tenants=tuple(map(TenantId, _listed(chosen.own_indices))),
        synonyms=_synonyms(settings),
        keep_old_s=chosen.keep_old_s,
        access=Access(
            urls=_listed(chosen.url or ""),
            user=chosen.user,
            password=_revealed(chosen.password),
            api_key=_revealed(chosen.api_key),
            ca_file=chosen.ca_file,
            verify=chosen.verify,
            connections=chosen.connections,
            search_timeout_s=chosen.search_timeout_s,
            write_timeout_s=chosen.write_timeout_s,
        ),
    )


def _synonyms(settings: Settings) -> tuple[str, ...]:
    path = settings.search.synonyms_file
    if path is None:
        return ()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            reason=f"The synonyms in {path} cannot be read: {error}",
            remedy="Name a text file in MNEMATA_SEARCH__SYNONYMS_FILE",
        ) from error
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
