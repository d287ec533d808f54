"""The settings that the REST door needs, as the door takes them."""

from __future__ import annotations

from mnemata.api.rest.options import HttpOptions
from mnemata.settings import Settings


def http_options(settings: Settings) -> HttpOptions:
    http = settings.http
    return HttpOptions(
        host=http.host,
        port=http.port,
        max_body_bytes=http.max_body_bytes,
        max_json_depth=http.max_json_depth,
        request_timeout_s=http.request_timeout_s,
        drain_s=http.drain_s,
        shutdown_grace_s=http.shutdown_grace_s,
    )
