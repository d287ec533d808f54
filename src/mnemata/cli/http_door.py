"""The REST door with its libraries, for who loads them beside other work."""

from mnemata.api.rest.app import create_app
from mnemata.api.rest.server import serve

__all__ = ["create_app", "serve"]
