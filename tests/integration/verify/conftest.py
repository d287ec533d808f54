"""A platform, and what a person with all rights can do to it behind its back."""

import asyncio

import psycopg
import pytest

from mnemata.domain.memory import MemoryDraft


@pytest.fixture
def behind(database_url):
    """Runs a statement as the owner of everything, past row-level security and foreign keys; how many rows it met."""

    def run(statement, *parameters):
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            return connection.execute(statement, parameters).rowcount

    return run


@pytest.fixture
def store(scope):
    """Stores texts, each in a session of its own unless one is named, and gives the memories."""

    async def store(platform, *texts, **fields):
        drafts = [MemoryDraft(content=text, **fields) for text in texts]
        return [outcome.memory for outcome in await platform.services.remember.many(scope, drafts)]

    return store


@pytest.fixture
def verified(scope):
    """Verifies a platform and gives the report."""

    async def verified(platform, **arguments):
        return await platform.services.operations.verify(scope, arguments)

    return verified


@pytest.fixture
def named():
    """What a report names: part and word, memory, field, and whether it was mended."""

    def named(report):
        return [
            (f"{fault['part']}.{fault['what']}", fault["memory_id"], fault["field"], fault["repaired"])
            for fault in report["named"]
        ]

    return named


@pytest.fixture
def until():
    async def until(condition):
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.02)

    return until
