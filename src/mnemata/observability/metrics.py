"""The one inventory of metrics. Every metric is declared here, with its unit in its name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)


class Metrics:
    """All metrics of one platform, in a registry of its own, so that two platforms in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter(
            "mnemata_http_requests", "Requests answered.", ["method", "route", "status"], registry=r
        )
        self.request_seconds = Histogram(
            "mnemata_http_request_seconds",
            "Time to answer a request.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=r,
        )
        self.requests_in_flight = Gauge(
            "mnemata_http_requests_in_flight", "Requests being answered.", registry=r
        )
        self.stage_seconds = Histogram(
            "mnemata_search_stage_seconds",
            "Time of a search by stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=r,
        )
        self.searches = Counter("mnemata_searches", "Searches answered.", ["mode"], registry=r)
        self.degraded = Counter(
            "mnemata_search_degraded", "Searches answered without a leg.", ["leg"], registry=r
        )
        self.writes = Counter("mnemata_memory_writes", "Memories written.", ["operation"], registry=r)
        self.embedded_texts = Counter("mnemata_embedding_texts", "Texts embedded.", ["kind"], registry=r)
        self.embedding_failures = Counter(
            "mnemata_embedding_failures", "Model calls that failed.", registry=r
        )
        self.embedding_batch = Histogram(
            "mnemata_embedding_batch_texts", "Texts per model call.", buckets=_SIZES, registry=r
        )
        self.embedding_seconds = Histogram(
            "mnemata_embedding_seconds", "Time of a model call.", buckets=_SECONDS, registry=r
        )
        self.embedding_queue = Gauge(
            "mnemata_embedding_queue_texts", "Texts waiting for the model.", registry=r
        )
        self.query_cache = Counter(
            "mnemata_query_vector_cache", "Look-ups of query vectors.", ["result"], registry=r
        )
        self.index_changes = Counter("mnemata_index_changes", "Changes applied to the index.", registry=r)
        self.index_ahead = Counter(
            "mnemata_index_changes_ahead", "Changes applied ahead of their place in the feed.", registry=r
        )
        self.index_poison = Counter(
            "mnemata_index_poison_changes", "Changes set aside because they cannot be applied.", registry=r
        )
        self.index_lag_changes = Gauge(
            "mnemata_index_lag_changes", "Changes that the index has not applied yet.", registry=r
        )
        self.index_lag_seconds = Gauge(
            "mnemata_index_lag_seconds", "Age of the oldest change not applied yet.", registry=r
        )
        self.index_documents = Gauge("mnemata_index_documents", "Memories in the index.", registry=r)
        self.index_bytes = Gauge("mnemata_index_bytes", "Bytes of the index on disk.", registry=r)
        self.index_rebuilds = Counter(
            "mnemata_index_rebuilds", "Rebuilds of the index.", ["cause"], registry=r
        )
        self.leases_held = Gauge("mnemata_leases_held", "Leases that this process has.", registry=r)
        self.feed_stalls = Counter(
            "mnemata_feed_stalls", "Times that the change feed stood still.", registry=r
        )
        self.pool_connections = Gauge(
            "mnemata_pool_connections", "Database connections.", ["state"], registry=r
        )
        self.pool_waiting = Gauge("mnemata_pool_waiting", "Requests that wait for a connection.", registry=r)
        self.pool_timeouts = Counter(
            "mnemata_pool_timeouts", "Requests that got no connection in time.", registry=r
        )
        self.database_restarts = Counter(
            "mnemata_database_restarts", "Times the embedded PostgreSQL was restarted.", registry=r
        )
        self.storage_full = Gauge(
            "mnemata_storage_full", "1 while writes are refused because the disk is full.", registry=r
        )
        self.swept = Counter(
            "mnemata_swept", "Memories expired or purged by the sweeper.", ["what"], registry=r
        )
        self.backups = Counter("mnemata_backups", "Scheduled backups.", ["result"], registry=r)
        self.cache_requests = Counter(
            "mnemata_cache_requests", "Look-ups in the cache.", ["kind", "result"], registry=r
        )
        self.cache_errors = Counter(
            "mnemata_cache_errors", "Calls to the cache that gave no answer.", ["reason"], registry=r
        )
        self.cache_bytes = Counter(
            "mnemata_cache_bytes",
            "Bytes of values read from and written to the cache.",
            ["kind", "way"],
            registry=r,
        )
        self.cache_saved_seconds = Counter(
            "mnemata_cache_saved_seconds",
            "Time that answers from the cache did not take.",
            ["kind"],
            registry=r,
        )
        self.cache_refused = Counter(
            "mnemata_cache_refused", "Values that were not kept.", ["kind", "reason"], registry=r
        )
        self.cache_epochs = Counter(
            "mnemata_cache_epochs", "Times that everything cached was given up.", ["cause"], registry=r
        )
        self.cache_warmed = Counter(
            "mnemata_cache_warmed", "Searches made ahead of their callers.", registry=r
        )
        self.cache_up = Gauge("mnemata_cache_up", "1 while the cache answers.", registry=r)
        self.cache_server_bytes = Gauge(
            "mnemata_cache_server_bytes", "Memory that the cache server uses, in bytes.", registry=r
        )
        self.cache_server_evictions = Gauge(
            "mnemata_cache_server_evictions",
            "Keys that the cache server has evicted since its start.",
            registry=r,
        )
        self.cache_restarts = Counter(
            "mnemata_cache_restarts", "Times the embedded Valkey was restarted.", registry=r
        )
        self.rate_limited = Counter(
            "mnemata_rate_limited", "Requests refused because their key asked too often.", registry=r
        )
