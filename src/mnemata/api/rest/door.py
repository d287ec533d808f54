"""What every route of one app shares, and whether the app is still taking requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from starlette.requests import Request

from mnemata.api.rest.options import HttpOptions
from mnemata.domain.clock import Clock
from mnemata.observability.metrics import Metrics
from mnemata.services.catalogue import Services


class Phase(Enum):
    """What a process does with requests."""

    SERVING = auto()
    LEAVING = auto()
    """Not ready any more, and yet every request is taken: balancers are to notice first."""
    DRAINING = auto()
    """No new request is begun; those that run may finish."""


@dataclass(slots=True, kw_only=True)
class Lifecycle:
    phase: Phase = Phase.SERVING


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
