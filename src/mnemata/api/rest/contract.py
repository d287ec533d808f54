"""Writes the OpenAPI document: `python -m mnemata.api.rest.contract > contracts/openapi.json`."""

from __future__ import annotations

import sys

import orjson

from mnemata.api.rest.app import bare_app


def contract() -> bytes:
    """The document as it is committed: indented, ending in a newline."""
    return orjson.dumps(bare_app().openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.stdout.buffer.write(contract())
