"""What every route of one app shares, and whether the app is still taking requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from mnemata.api.rest.options import HttpOptions
from mnemata.domain.clock import Clock
from mnemata.observability.metrics import Metrics
from mnemata.services.catalogue import Services


@dataclass(slots=True, kw_only=True)
class Lifecycle:
    """`draining`: no new request is begun; those that run may finish."""

    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    services: Services
    options: HttpOptions
    metrics: Metrics
    clock: Clock
    lifecycle: Lifecycle = field(default_factory=Lifecycle)


def door_of(request: Request) -> Door:
    """The Door of the app that this request came to."""
    return request.app.state.door
