"""What the REST door needs to know; the composition root makes it from the settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Sizes in bytes, times in seconds. `port` 0 chooses a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 33_554_432
    max_json_depth: int = 32
    request_timeout_s: float = 30.0
    drain_s: float = 0.0
    shutdown_grace_s: float = 20.0
