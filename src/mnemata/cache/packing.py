"""Values as bytes: compressed above a size, with a checksum, so that what a server garbled is never read as an answer."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import zstandard

COMPRESS_ABOVE = 1_024
"""Bytes; below it, compressing costs more than it saves."""

_PLAIN, _ZSTD = b"p", b"z"
_LEVEL = 3
_HEADER = 5
_LARGEST_UNPACKED = 64 * 1024 * 1024


class Damaged(Exception):
    """These bytes are not what was packed."""


class Packer:
    """Packs plain values (None, numbers, text, bytes, lists, dicts) as MessagePack. For one thread."""

    def __init__(self, *, compress_above: int = COMPRESS_ABOVE) -> None:
        self._compress_above = compress_above
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def pack(self, value: Any) -> bytes:
        """The bytes of a value. Raises ValueError, TypeError or OverflowError where it cannot be packed."""
        data = self._encoder.encode(value)
        kind = _PLAIN
        if len(data) > self._compress_above:
            kind, data = _ZSTD, self._compressor.compress(data)
        return kind + zlib.crc32(data).to_bytes(4, "big") + data

    def unpack(self, packed: bytes) -> Any:
        """The value of its bytes. Raises Damaged."""
        kind, data = packed[:1], packed[_HEADER:]
        if zlib.crc32(data).to_bytes(4, "big") != packed[1:_HEADER]:
            raise Damaged
        try:
            if kind == _ZSTD:
                data = self._decompressor.decompress(data, max_output_size=_LARGEST_UNPACKED)
            elif kind != _PLAIN:
                raise Damaged
            return self._decoder.decode(data)
        except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damaged from error
