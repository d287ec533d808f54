from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mnemata.services.profiles import Known, ProfileCache

NOBODY = Known(profile=None)


@dataclass
class World:
    """The two things that end a profile's life, moved by hand."""

    position: int = 0
    seconds: float = 0.0
    cache: ProfileCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = ProfileCache(
            capacity=2, keep_s=30.0, freshness=lambda: self.position, monotonic=lambda: self.seconds
        )

    def keep(self, *keys: str) -> None:
        for key in keys:
            self.cache.keep(key, NOBODY, fresh=self.cache.freshness())


@pytest.fixture
def world() -> World:
    return World()


def test_what_was_kept_is_known_and_nothing_else(world):
    world.keep("ana")

    assert world.cache.get("ana") is NOBODY
    assert world.cache.get("bo") is None


def test_a_write_ends_every_profile(world):
    world.keep("ana")
    world.position += 1

    assert world.cache.get("ana") is None
    assert len(world.cache) == 0


def test_a_write_while_the_store_was_read_is_not_missed(world):
    fresh = world.cache.freshness()
    world.position += 1
    world.cache.keep("ana", NOBODY, fresh=fresh)

    assert world.cache.get("ana") is None


def test_a_profile_is_kept_for_its_time_and_no_longer(world):
    world.keep("ana")
    world.seconds = 29.9
    assert world.cache.get("ana") is NOBODY

    world.seconds = 30.0
    assert world.cache.get("ana") is None


def test_the_one_not_asked_for_the_longest_goes_first(world):
    world.keep("ana", "bo")
    world.cache.get("ana")
    world.keep("cy")

    assert len(world.cache) == 2
    assert world.cache.get("bo") is None
    assert world.cache.get("ana") is NOBODY
