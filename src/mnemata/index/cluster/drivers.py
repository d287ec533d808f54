"""The official clients behind one small interface. Each is loaded where its kind of cluster is chosen."""

from __future__ import annotations

import logging
import warnings
from typing import Any
from urllib.parse import urlsplit

import orjson

from mnemata.domain.errors import ConfigurationError
from mnemata.index.cluster.connection import JSON, Connection, Driver, Reply, Unreachable
from mnemata.index.cluster.options import Access, ClusterKind

_PORT = 9_200


def connected(kind: ClusterKind, access: Access) -> Connection:
    """A connection that opens with its first request."""
    # What goes wrong is told by who asked, once, and not with a trace of every attempt.
    for name in ("elastic_transport", "opensearch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Of bodies above a megabyte: a batch is smaller, one very long memory may not be, and the clients take nothing but bytes.
    warnings.filterwarnings("ignore", "Sending a large body directly", ResourceWarning)
    driver: Driver = (
        ElasticsearchDriver(access) if kind is ClusterKind.ELASTICSEARCH else OpenSearchDriver(access)
    )
    return Connection(
        driver, search_timeout_s=access.search_timeout_s, write_timeout_s=access.write_timeout_s
    )


class ElasticsearchDriver:
    """Of `elasticsearch` 8, which speaks to Elasticsearch 8 and refuses anything else."""

    def __init__(self, access: Access) -> None:
        from elasticsearch import ApiError, AsyncElasticsearch, TransportError
        from elasticsearch.serializer import CompatibilityModeJsonSerializer

        class Quick(CompatibilityModeJsonSerializer):
            def json_loads(self, data: bytes) -> Any:
                return orjson.loads(data)

        tls: dict[str, Any] = {}
        if _secured(access):
            tls = {"verify_certs": access.verify, "ssl_show_warn": False}
            if access.ca_file is not None:
                tls["ca_certs"] = str(access.ca_file)
        self._answered, self._failed = ApiError, TransportError
        self._client = AsyncElasticsearch(
            hosts(access),
            api_key=access.api_key,
            basic_auth=_login(access),
            connections_per_node=access.connections,
            # A busy cluster is not asked again at once: who waits, and how long, is decided where the work is known.
            retry_on_status=(),
            serializers={Quick.mimetype: Quick()},
            **tls,
        )

    async def request(
        self, method: str, target: str, *, body: bytes | None, content_type: str, timeout_s: float
    ) -> Reply:
        headers = {"accept": JSON} if body is None else {"accept": JSON, "content-type": content_type}
        client = self._client.options(request_timeout=timeout_s)
        try:
            reply = await client.perform_request(method, target, headers=headers, body=body)
        except self._answered as error:
            return Reply(status=error.meta.status, body=error.body)
        except self._failed as error:
            raise Unreachable(f"it cannot be reached ({type(error).__name__})") from error
        return Reply(status=reply.meta.status, body=reply.body)

    async def close(self) -> None:
        await self._client.close()


class OpenSearchDriver:
    """Of `opensearch-py` 2, for OpenSearch 2."""

    def __init__(self, access: Access) -> None:
        from opensearchpy import AsyncOpenSearch
        from opensearchpy.exceptions import ConnectionError as NotConnected
        from opensearchpy.exceptions import OpenSearchException, TransportError
        from opensearchpy.serializer import JSONSerializer

        class Quick(JSONSerializer):
            def loads(self, s: str) -> Any:
                return orjson.loads(s)

        tls: dict[str, Any] = {}
        if _secured(access):
            tls = {"use_ssl": True, "verify_certs": access.verify, "ssl_show_warn": False}
            if access.ca_file is not None:
                tls["ca_certs"] = str(access.ca_file)
        if access.api_key is not None:
            tls["headers"] = {"authorization": f"ApiKey {access.api_key}"}
        self._not_connected, self._answered, self._failed = NotConnected, TransportError, OpenSearchException
        self._client = AsyncOpenSearch(
            hosts(access),
            http_auth=_login(access),
            maxsize=access.connections,
            retry_on_status=(),
            serializer=Quick(),
            **tls,
        )

    async def request(
        self, method: str, target: str, *, body: bytes | None, content_type: str, timeout_s: float
    ) -> Reply:
        try:
            reply = await self._client.transport.perform_request(
                method, target, body=body, timeout=timeout_s, headers={"content-type": content_type}
            )
        except self._not_connected as error:
            raise Unreachable(f"it cannot be reached ({type(error).__name__})") from error
        except self._answered as error:
            return Reply(status=int(error.status_code), body=error.info)
        except self._failed as error:
            raise Unreachable(f"its answer cannot be read ({type(error).__name__})") from error
        return Reply(status=200, body=reply)

    async def close(self) -> None:
        await self._client.close()


def hosts(access: Access) -> list[str]:
    """The nodes' URLs, each with its port: 9200 where none is named. Raises ConfigurationError."""
    return [_whole(url) for url in access.urls]


def _whole(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigurationError(
            reason=f"'{url.rsplit('@', 1)[-1]}' is no URL of a search node",
            remedy="Set MNEMATA_SEARCH__URL to e.g. https://search:9200, the user and password in settings of their own",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or _PORT}{parts.path.rstrip('/')}"


def _login(access: Access) -> tuple[str, str] | None:
    if access.api_key is not None or access.user is None:
        return None
    return access.user, access.password or ""


def _secured(access: Access) -> bool:
    return any(url.startswith("https:") for url in access.urls)
