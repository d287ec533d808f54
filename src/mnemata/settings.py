"""Every setting, with its unit; the only reader of the environment."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from mnemata.domain.errors import ConfigurationError
from mnemata.domain.vector import Metric

PREFIX = "MNEMATA_"
NESTED = "__"
CACHE_OFF = "off"
"""The `cache.url` of a platform without a cache."""


def default_data_dir() -> Path:
    """Where memories live when nothing is said: the user's data folder; for root, a system one.

    The embedded PostgreSQL refuses to run as root, so that root's server runs as another user, who must be able
    to reach the folder: root's home is no place for it.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/mnemata")
    return Path(platformdirs.user_data_dir("mnemata", appauthor=False))


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class HttpSettings(Section):
    host: str = Field(
        default="127.0.0.1", description="Address to listen on. Anything but loopback requires auth."
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="TCP port; 0 chooses a free one.")
    max_body_bytes: int = Field(default=33_554_432, ge=1_024, description="Largest request body, in bytes.")
    max_json_depth: int = Field(
        default=32, ge=4, le=200, description="Deepest nesting of a JSON body, in levels."
    )
    request_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest time for one request, in seconds."
    )
    rate_limit_per_minute: int = Field(
        default=0, ge=0, description="Requests that an API key may send in a minute; 0: as many as it likes."
    )
    drain_s: float = Field(
        default=0.0,
        ge=0,
        description="How long a process that was told to end still takes requests while `/readyz` says 503, so that a balancer leaves it first, in seconds.",
    )
    shutdown_grace_s: float = Field(
        default=20.0, ge=0, description="How long running requests may take at shutdown, in seconds."
    )


class DatabaseSettings(Section):
    url: SecretStr | None = Field(
        default=None, description="PostgreSQL 15 or later by URL; absent: the embedded server."
    )
    pool_min: int = Field(default=2, ge=1, description="Connections kept open.")
    pool_max: int = Field(default=12, ge=2, description="Connections at most.")
    acquire_timeout_s: float = Field(
        default=5.0, gt=0, description="How long a request waits for a connection, in seconds."
    )
    connect_timeout_s: float = Field(
        default=5.0, gt=0, description="How long connecting may take, in seconds."
    )
    statement_timeout_s: float = Field(
        default=15.0, gt=0, description="Longest statement of a request, in seconds."
    )
    lock_timeout_s: float = Field(
        default=5.0, gt=0, description="How long a statement waits for a lock, in seconds."
    )
    migrate: bool = Field(default=True, description="Bring the schema up to date at start.")
    application_name: str = Field(default="mnemata", description="Shown in pg_stat_activity.")
    pooler: Literal["auto", "none", "transaction"] = Field(
        default="auto",
        description="Whether PgBouncer or its like gives each transaction another connection; `auto`: find out.",
    )
    direct_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL past the pooler: notifications, migrations and backups need it; absent: `url`.",
    )


class CacheSettings(Section):
    url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey by URL (`redis://`, `rediss://`, `unix://`, `redis+cluster://`); absent: the embedded one; `off`: none.",
    )
    namespace: str = Field(default="mnemata", description="Keeps installations apart that share a server.")
    timeout_s: float = Field(
        default=0.05,
        gt=0,
        description="Longest wait for the cache's answer, in seconds; then it is passed by.",
    )
    answer_s: float = Field(
        default=300.0, gt=0, description="How long an answer is kept while nothing is written, in seconds."
    )
    memory_s: float = Field(
        default=300.0, gt=0, description="How long a memory is kept while it does not change, in seconds."
    )
    wait_s: float = Field(
        default=0.25,
        ge=0,
        description="How long a search waits for another process that computes the same answer, in seconds.",
    )
    warm_queries: int = Field(
        default=10,
        ge=0,
        le=50,
        description="Most asked queries of a tenant that are asked again after a change; 0: none.",
    )
    warm_per_s: float = Field(
        default=10.0, gt=0, description="Searches a second at most that a process makes for that."
    )
    max_value_bytes: int = Field(
        default=262_144, ge=1_024, description="Largest value that is kept, in bytes after compression."
    )
    embedded_bytes: int = Field(
        default=67_108_864, ge=4_194_304, description="Memory of the embedded cache, in bytes."
    )


class EmbeddingSettings(Section):
    model: Literal["all-MiniLM-L6-v2", "hashing", "none"] = Field(
        default="all-MiniLM-L6-v2",
        description="The embedding model; `hashing` is deterministic and for tests; `none`: words only.",
    )
    model_path: Path | None = Field(
        default=None,
        description="Where the model's ONNX file lies, in place of the installed one: the same file.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Documents are embedded by so many threads, each a call of its own; 0: as many as there are cores, at most 4.",
    )
    batch_size: int = Field(default=64, ge=1, le=1_024, description="Texts per model call at most.")
    queue_size: int = Field(default=10_000, ge=1, description="Texts that may wait for the model.")
    timeout_s: float = Field(
        default=30.0, gt=0, description="Longest wait for a query's embedding, in seconds."
    )


class IndexSettings(Section):
    metric: Metric = Field(default=Metric.COSINE, description="How vectors are compared.")
    algorithm: Literal["auto", "exact", "hnsw", "ivf"] = Field(
        default="auto", description="The vector index; `auto`: exact when small, HNSW above."
    )
    exact_below: int = Field(
        default=10_000,
        ge=0,
        description="Vectors of a tenant up to which all are compared: `auto` builds no graph of so few.",
    )
    hnsw_m: int = Field(
        default=24, ge=4, le=128, description="HNSW links per node of a graph that is built from now on."
    )
    hnsw_ef_construction: int = Field(default=160, ge=8, description="HNSW candidates while building.")
    hnsw_ef_search: int = Field(default=224, ge=8, description="HNSW candidates while searching, at least.")
    ivf_nprobe: int = Field(default=64, ge=1, description="IVF lists visited per search.")
    fold_changes: int = Field(
        default=2_048, ge=1, description="Fresh memories kept in memory before they are folded to disk."
    )
    fold_interval_s: float = Field(
        default=2.0, gt=0, description="Fresh memories are folded to disk at least this often, in seconds."
    )
    threads: int = Field(default=2, ge=1, le=64, description="Threads that search.")
    batch_size: int = Field(
        default=1_000, ge=1, le=10_000, description="Changes that the indexer takes at once."
    )
    poll_interval_s: float = Field(
        default=1.0,
        gt=0,
        description="How often the feed is asked when nothing wakes the indexer, in seconds.",
    )
    wait_timeout_s: float = Field(
        default=10.0, gt=0, description="How long a write waits to be findable, in seconds."
    )
    rebuild_per_s: float = Field(
        default=0.0,
        ge=0,
        description="Memories a second that a rebuild, or a worker with a new index, takes at most; 0: as many as it can.",
    )
    verify_wait_s: float = Field(
        default=30.0,
        gt=0,
        description="How long a verification waits for the index to take what was just written, in seconds.",
    )


class SearchSettings(Section):
    kind: Literal["local", "elasticsearch", "opensearch"] = Field(
        default="local",
        description="Where memories are searched: in this process, or in a cluster of Elasticsearch 8 or OpenSearch 2.",
    )
    url: str | None = Field(
        default=None, description="The cluster's nodes by URL, several with commas between them."
    )
    user: str | None = Field(default=None, description="The user of the cluster; needs `password`.")
    password: SecretStr | None = Field(default=None, description="That user's password.")
    api_key: SecretStr | None = Field(
        default=None, description="An API key of the cluster, encoded; it wins over user and password."
    )
    ca_file: Path | None = Field(
        default=None, description="The authority that signed the nodes' certificates; absent: the machine's."
    )
    verify: bool = Field(default=True, description="Whether the nodes' certificates are checked.")
    connections: int = Field(default=10, ge=1, le=1_000, description="Connections to each node, at most.")
    search_timeout_s: float = Field(
        default=5.0, gt=0, description="Longest search in the cluster, in seconds; then the store answers."
    )
    write_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest write to the cluster, in seconds."
    )
    index: str = Field(
        default="mnemata",
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="What the index's alias and its indices' names begin with; the model follows.",
    )
    shards: int = Field(
        default=4,
        ge=1,
        le=1_024,
        description="Shards of a new index; a tenant's memories are in one of them.",
    )
    replicas: int | None = Field(
        default=None,
        ge=0,
        le=10,
        description="Copies beside each shard of a new index; absent: one where there is a second node.",
    )
    candidates: int = Field(
        default=500,
        ge=10,
        le=10_000,
        description="Vectors that the graph gives at least; what a filter leaves fewer of is compared one by one.",
    )
    own_indices: str = Field(
        default="",
        description="Tenants that get an index of their own when one is created, with commas between them.",
    )
    synonyms_file: Path | None = Field(
        default=None,
        description="Synonyms in Solr's format for a new index, used at search where the cluster can.",
    )
    keep_old_s: float = Field(
        default=86_400.0,
        ge=0,
        description="How long an index that was replaced is kept, in seconds (one day).",
    )


class PersonalizationSettings(Section):
    timeout_s: float = Field(
        default=0.5,
        gt=0,
        description="How long a search waits for what the user is like, in seconds; then it is ranked without.",
    )
    profiles: int = Field(default=1_024, ge=1, description="Profiles of users kept in memory, at most.")
    keep_s: float = Field(
        default=30.0,
        ge=0,
        description="How long a profile is kept while nothing is written, in seconds.",
    )


class AuthSettings(Section):
    required: bool | None = Field(
        default=None, description="Whether a key is needed; absent: needed off loopback only."
    )


class RetentionSettings(Section):
    purge_after_s: float = Field(
        default=2_592_000.0,
        ge=0,
        description="Grace period from forgetting to purging, in seconds (30 days).",
    )
    sweep_interval_s: float = Field(
        default=60.0, gt=0, description="How often expired and purgeable memories are swept, in seconds."
    )
    idempotency_s: float = Field(
        default=86_400.0, gt=0, description="How long an Idempotency-Key is remembered, in seconds (one day)."
    )


class BackupSettings(Section):
    interval_s: float = Field(
        default=0.0, ge=0, description="Time between scheduled backups, in seconds; 0: none."
    )
    keep: int = Field(default=7, ge=1, description="Scheduled backups that are kept.")
    dir: Path | None = Field(
        default=None, description="Folder of scheduled backups; absent: `backups` in the data folder."
    )


class WorkerSettings(Section):
    in_server: bool = Field(
        default=False,
        description="Whether `serve` does a worker's work too; with a local index it always does.",
    )
    host: str = Field(default="127.0.0.1", description="Address of a worker's health page.")
    port: int = Field(
        default=8081, ge=0, le=65_535, description="TCP port of a worker's health page; 0 chooses a free one."
    )
    lease_s: float = Field(
        default=10.0,
        ge=1,
        le=300,
        description="After how long the work of a worker that ended without a word falls to the others, in seconds.",
    )


class LogSettings(Section):
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto`: console on a terminal, JSON elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )


class ClientSettings(Section):
    url: str | None = Field(
        default=None,
        description="A running Mnemata for the command line; absent: the one of the data folder.",
    )
    api_key: SecretStr | None = Field(default=None, description="The API key that the command line sends.")
    timeout_s: float = Field(
        default=120.0, gt=0, description="How long the command line waits for an answer, in seconds."
    )


_SCHEMES = {
    ("database", "url"): ("postgresql://", "postgres://"),
    ("database", "direct_url"): ("postgresql://", "postgres://"),
    ("cache", "url"): ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://"),
    ("client", "url"): ("http://", "https://"),
}
"""How each URL must begin; those of a search cluster are looked at where they are taken apart."""


def _expanded(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str | Path) else value


class Settings(Section):
    data_dir: Annotated[Path, BeforeValidator(_expanded)] = Field(
        default_factory=default_data_dir, description="Everything that the embedded platform keeps."
    )
    http: HttpSettings = Field(default_factory=HttpSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    embedding: EmbeddingSettings = Field(default_factory=EmbeddingSettings)
    index: IndexSettings = Field(default_factory=IndexSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    personalization: PersonalizationSettings = Field(default_factory=PersonalizationSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    backup: BackupSettings = Field(default_factory=BackupSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    client: ClientSettings = Field(default_factory=ClientSettings)

    @property
    def local(self) -> bool:
        """Whether the index is in this process: then all work is, too."""
        return self.search.kind == "local"

    @property
    def stateless(self) -> bool:
        """Whether everything that is kept is kept elsewhere, so that any number of processes may run."""
        return not self.local and self.database.url is not None and self.cache.url is not None

    @property
    def on_loopback(self) -> bool:
        """Whether everything that listens is reached from this machine only."""
        return {self.http.host, self.worker.host} <= {"127.0.0.1", "::1", "localhost"}

    @property
    def auth_required(self) -> bool:
        return not self.on_loopback if self.auth.required is None else self.auth.required


def load(
    *, config: Path | None = None, environment: Mapping[str, str] | None = None, **overrides: Any
) -> Settings:
    """Settings from a TOML file, then the environment, then `overrides` (nested dicts), the later winning.

    Raises ConfigurationError naming the setting, and the nearest known one where it is unknown.
    """
    tree: dict[str, Any] = {}
    if config is not None:
        _merge(tree, _read_toml(config))
    _merge(tree, _from_environment(os.environ if environment is None else environment))  # noqa: TID251 (the one place)
    _merge(tree, overrides)
    _refuse_unknown(tree)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            reason=f"The setting '{name}' is wrong: {first['msg']}",
            remedy="See `mnemata settings` for what it takes",
        ) from error
    _refuse_other_urls(settings)
    if settings.search.kind != "local" and not settings.search.url:
        raise ConfigurationError(
            reason=f"Searching in {settings.search.kind} needs to know where it is",
            remedy="Set MNEMATA_SEARCH__URL, e.g. http://127.0.0.1:9200",
        )
    if settings.auth.required is False and not settings.on_loopback:
        raise ConfigurationError(
            reason=f"Listening on {settings.http.host} without required API keys would let anybody in",
            remedy="Set MNEMATA_AUTH__REQUIRED=true, or listen on 127.0.0.1",
        )
    return settings


def _refuse_other_urls(settings: Settings) -> None:
    """Raise ConfigurationError for a URL of another kind than its setting takes; it may hold a password and is not shown."""
    for (section, name), schemes in _SCHEMES.items():
        given = getattr(getattr(settings, section), name)
        url = given.get_secret_value() if isinstance(given, SecretStr) else given
        off = section == "cache" and url == CACHE_OFF
        if url is not None and not off and not url.startswith(schemes):
            raise ConfigurationError(
                reason=f"The setting '{section}.{name}' is no URL that begins with {' or '.join(schemes)}",
                remedy=f"Look at {environment_name((section, name))}",
            )


def sources(
    *, config: Path | None = None, environment: Mapping[str, str] | None = None, **overrides: Any
) -> dict[tuple[str, ...], str]:
    """Where each setting that is not at its default comes from: 'file', 'environment' or 'option'; as `load` reads them."""
    trees: dict[str, Mapping[str, Any]] = {
        "file": {} if config is None else _read_toml(config),
        "environment": _from_environment(os.environ if environment is None else environment),  # noqa: TID251 (the one place)
        "option": overrides,
    }
    return {path: origin for origin, tree in trees.items() for path in names() if _given(tree, path)}


def _given(tree: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    here: Any = tree
    for part in path:
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def names(section: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every setting's path, e.g. ('http', 'port')."""
    for name, info in section.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from names(kind, (*prefix, name))
        else:
            yield (*prefix, name)


def environment_name(path: tuple[str, ...]) -> str:
    return PREFIX + NESTED.join(part.upper() for part in path)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            reason=f"The configuration file {path} cannot be read: {error}",
            remedy="Give a TOML file that exists",
        ) from error


# Names that tests and benchmarks read for themselves; the platform ignores them.
_OUTSIDE = frozenset({"MNEMATA_EVAL_DATA"})


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    # In order, so that a section which was given a value itself comes before what is in it.
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in _OUTSIDE and not name.startswith(f"{PREFIX}TEST_"):
            here = tree
            *parents, leaf = path = name.removeprefix(PREFIX).lower().split(NESTED)
            for depth, parent in enumerate(parents, start=1):
                here = here.setdefault(parent, {})
                if not isinstance(here, dict):
                    outer = environment_name(tuple(path[:depth]))
                    raise ConfigurationError(
                        reason=f"{outer} and {name} are both set, and no setting is within another",
                        remedy=f"Unset {outer}, or see `mnemata settings` for what there is",
                    )
            here[leaf] = value
    return tree


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _refuse_unknown(tree: Mapping[str, Any]) -> None:
    known = {".".join(path) for path in names()}
    sections = {path[0] for path in names() if len(path) > 1}
    for key, value in tree.items():
        if key in sections and not isinstance(value, Mapping):
            raise ConfigurationError(
                reason=f"'{key}' is a section, not a setting",
                remedy=f"Set e.g. '{key}.<name>' ({environment_name((key, '<name>'))})",
            )
        given = [f"{key}.{inner}" for inner in value] if key in sections else [key]
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                hint = (
                    f"Did you mean '{near[0]}' ({environment_name(tuple(near[0].split('.')))})?"
                    if near
                    else "See `mnemata settings`"
                )
                raise ConfigurationError(reason=f"There is no setting '{name}'", remedy=hint)
