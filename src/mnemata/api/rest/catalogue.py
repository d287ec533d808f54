"""Every operation of the API, in the order in which a reader meets them."""

from __future__ import annotations

from mnemata.api.rest.operation import Operation
from mnemata.api.rest.routes import access, admin, collections, health, imports, index, jobs, memories, search

OPERATIONS: tuple[Operation, ...] = (
    *memories.OPERATIONS,
    *collections.OPERATIONS,
    *imports.OPERATIONS,
    *search.OPERATIONS,
    *access.OPERATIONS,
    *admin.OPERATIONS,
    *index.OPERATIONS,
    *jobs.OPERATIONS,
    *health.OPERATIONS,
)

TAGS = (
    {
        "name": "memories",
        "description": "Store memories, read and change them, forget them, and bring them back.",
    },
    {"name": "search", "description": "Find memories by words and by meaning."},
    {"name": "access", "description": "API keys and tenants."},
    {"name": "platform", "description": "How the platform is, and what operators ask of it."},
    {"name": "health", "description": "For load balancers and monitoring."},
)
