"""A fleet on one machine, from the package registries: `python -m deploy.fleet`, and `Fleet` for tests and measurements."""

from deploy.fleet.fleet import Fleet

__all__ = ["Fleet"]
