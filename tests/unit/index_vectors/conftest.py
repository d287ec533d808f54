from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from mnemata.domain.memory import Memory
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.vectors import VectorLeg, VectorOptions
from mnemata.index.protocol import PENDING, Embedded, Upsert

DIMENSIONS = 16
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def space() -> Space:
    return Space(name="test/1", dimensions=DIMENSIONS)


@pytest.fixture
def memory() -> Callable[..., Memory]:
    def build(number: int, **changes) -> Memory:
        values = {
            "id": UUID(int=(0x0190 << 112) | number * 0x9E3779B97F4A7C15 % (1 << 100)),
            "tenant": "t",
            "content": "c",
            "content_hash": b"",
            "kind": "semantic",
            "user_id": None,
            "agent_id": None,
            "session_id": None,
            "sequence": number,
            "role": None,
            "tags": (),
            "metadata": {},
            "importance": 0.5,
            "source": None,
            "external_id": None,
            "occurred_at": None,
            "created_at": NOON,
            "updated_at": NOON,
            "expires_at": None,
            "version": 1,
            "superseded_by": None,
            "deleted_at": None,
        }
        return Memory(**(values | changes))

    return build


@pytest.fixture
def rows() -> Callable[[int], np.ndarray]:
    """(n, 16) float32 of unit length, the same in every run."""

    def build(count: int, seed: int = 7) -> np.ndarray:
        vectors = np.random.default_rng(seed).standard_normal((count, DIMENSIONS), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return build


@pytest.fixture
def upsert(space: Space) -> Callable[..., Upsert]:
    def build(memory: Memory, vector: np.ndarray | None) -> Upsert:
        return Upsert(
            memory=memory, vector=PENDING if vector is None else Embedded(vector=vector, space=space)
        )

    return build


@pytest.fixture
def opened(tmp_path: Path, space: Space) -> Callable[..., VectorLeg]:
    """Opens the leg in this test's folder, again and again."""

    def build(metric: Metric = Metric.COSINE, **options) -> VectorLeg:
        return VectorLeg.open(
            tmp_path / "vectors", space=space, metric=metric, options=VectorOptions(**options)
        )

    return build
