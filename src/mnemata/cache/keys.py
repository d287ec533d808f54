"""Every key, in one place: version, namespace, hash tag, class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mnemata.domain.ids import MemoryId, TenantId

VERSION = 1
"""Raised when the meaning of any key or value changes: releases with another one share nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Names of keys. `namespace` separates installations, histories and ways of answering that share a server.

    Everything of a tenant lies in the slot of its bucket, with that bucket's watermark: one script reads or changes
    both. One bucket is enough for one server; a cluster spreads several.
    """

    namespace: str
    buckets: int = 1

    def bucket(self, tenant: TenantId) -> int:
        digest = hashlib.blake2b(tenant.encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") % self.buckets

    def meta(self, bucket: int) -> str:
        """Epoch and watermarks of a bucket."""
        return f"{self._tagged(bucket)}:meta"

    def generation(self, tenant: TenantId) -> str:
        return f"{self._tenant(tenant)}:gen"

    def answer(self, tenant: TenantId, digest: str) -> str:
        return f"{self._tenant(tenant)}:a:{digest}"

    def lock(self, tenant: TenantId, digest: str) -> str:
        return f"{self._tenant(tenant)}:l:{digest}"

    def memory(self, tenant: TenantId, memory_id: MemoryId) -> str:
        return f"{self._tenant(tenant)}:m:{memory_id.hex}"

    def vector(self, tenant: TenantId, digest: str) -> str:
        """A query's vector in the space of this namespace."""
        return f"{self._tenant(tenant)}:v:{digest}"

    def asked(self, tenant: TenantId) -> str:
        """The most asked queries of a tenant."""
        return f"{self._tenant(tenant)}:top"

    def questions(self, tenant: TenantId) -> str:
        """What those queries were, to ask them again."""
        return f"{self._tenant(tenant)}:ask"

    def tenants(self, tenant: TenantId) -> str:
        """The tenants of this one's bucket that ask the most."""
        return self.tenants_of(self.bucket(tenant))

    def tenants_of(self, bucket: int) -> str:
        return f"{self._tagged(bucket)}:tenants"

    def rate(self, who: str) -> str:
        digest = hashlib.blake2b(who.encode(), digest_size=12).hexdigest()
        return f"mn:{VERSION}:{self.namespace}:r:{digest}"

    @property
    def prefix(self) -> str:
        """What every key of this namespace begins with."""
        return f"mn:{VERSION}:{self.namespace}:"

    def _tenant(self, tenant: TenantId) -> str:
        return f"{self._tagged(self.bucket(tenant))}:{tenant}"

    def _tagged(self, bucket: int) -> str:
        return f"mn:{VERSION}:{self.namespace}:{{{bucket:02d}}}"


def namespace_of(*parts: str) -> str:
    """A short name for everything that must be the same for two processes to share answers."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
