"""What can be chosen about a search cluster, with units."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Metric


class ClusterKind(StrEnum):
    ELASTICSEARCH = "elasticsearch"
    OPENSEARCH = "opensearch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the cluster is reached. An `api_key` wins over `user` and `password`; times in seconds.

    `ca_file`: the authority that signed the servers' certificates; absent: those of the machine.
    """

    urls: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    api_key: str | None = None
    ca_file: Path | None = None
    verify: bool = True
    connections: int = 10
    search_timeout_s: float = 5.0
    write_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What an index is created with, and how it is searched and written.

    `name`: the alias, and the beginning of every index's name; `base`: what the names of indices for other models and formats
    begin with, too; absent: there are none. `replicas`: copies beside each shard; None: one where there
    is a second node. `candidates`: vectors that the graph gives at least before the best are taken; what a filter leaves
    fewer of is compared one by one. `own_tenants` have indices of their own, so that they share no statistics.
    `synonyms`: rules in Solr's format, used at search where the cluster can. `keep_old_s`: how long an index that was
    replaced stays, in seconds. `switch_s`: how long making another index the live one can take, in seconds.
    """

    name: str = "mnemata"
    base: str = ""
    partitions: int = 16
    shards: int = 4
    replicas: int | None = None
    metric: Metric = Metric.COSINE
    hnsw_m: int = 24
    hnsw_ef_construction: int = 160
    candidates: int = 500
    own_tenants: tuple[TenantId, ...] = ()
    synonyms: tuple[str, ...] = ()
    batch_bytes: int = 1_000_000
    batch_documents: int = 1_000
    patience_s: float = 30.0
    keep_old_s: float = 86_400.0
    switch_s: float = 60.0
    access: Access = field(default_factory=lambda: Access(urls=("http://127.0.0.1:9200",)))
