"""The indices of one alias in the cluster: which is live, making another, switching, and sweeping away what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.index.cluster.blocks import WriteBlocks
from mnemata.index.cluster.connection import Connection, of_status, reason_of, unavailable
from mnemata.index.cluster.dialect import Dialect
from mnemata.index.cluster.generation import (
    Generation,
    Identity,
    family_in,
    live_aliases,
    name_of,
    number_of,
)
from mnemata.index.cluster.options import ClusterOptions
from mnemata.index.cluster.schema import index_body
from mnemata.index.cluster.texts import analysis_for
from mnemata.observability.logging import get_logger

log = get_logger("index")

_TRIES = 20
_WAIT_S = 0.25
_MOMENTS = ("created_at", "touched_at", "retired_at")


class Catalogue:
    def __init__(
        self, connection: Connection, dialect: Dialect, options: ClusterOptions, *, clock: Clock
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._options = options
        self._clock = clock
        self._blocks = WriteBlocks(connection, switch_s=options.switch_s)

    async def live(self, identity: Identity) -> Generation:
        """The live generation; a new, empty one where there is none, or one that was built for something else.

        Any number of processes may ask at once: one of them makes it.
        """
        for _ in range(_TRIES):
            current = await self.current(identity)
            if current is not None:
                return current
            made = await self._made(identity, await self._next_number())
            if made is None:
                await asyncio.sleep(_WAIT_S)
                continue
            if await self.current(identity) is None and await self._switched(made):
                return made
            # Another process was quicker.
            await self.drop(made)
        raise unavailable("another process makes an index and does not end")

    async def current(self, identity: Identity) -> Generation | None:
        """The live generation; None where there is none, or one that was built for something else.

        What others left half done is put right: a second live generation, and a block where no switch is at work.
        """
        live = await self._aliased()
        found = self._fitting(live, identity)
        if found is not None:
            await self._leave_only(found.number, live)
            await self._blocks.lift_left_behind(
                {name: described for name, described in live.items() if name in found.indices}
            )
        return found

    def written(self) -> None:
        """A write went through: what was seen of a block is over."""
        self._blocks.forget()

    async def new(self, identity: Identity) -> Generation:
        """An empty generation beside the live one."""
        for _ in range(_TRIES):
            made = await self._made(identity, await self._next_number())
            if made is not None:
                return made
        raise unavailable("other processes make indices all the time")

    async def switch(self, to: Generation) -> None:
        """Make a generation the live one, in one step. The one before takes no more writes, and is kept for a while.

        Raises IndexUnavailable where that fails, or where another process made another one live: what is live then can be
        written.
        """
        if not await self._switched(to):
            raise unavailable("another process made another index the live one at the same time")

    async def drop(self, generation: Generation) -> None:
        for name in generation.indices:
            await self._connection.send("DELETE", f"/{name}", accept=(HTTPStatus.NOT_FOUND,))

    async def sweep(self) -> None:
        """Delete the indices that no alias names and that nobody has needed for as long as they are to be kept."""
        kept_since = self._clock.now() - timedelta(seconds=self._options.keep_old_s)
        for name, described in (await self.every()).items():
            if not live_aliases(described) and _last_used(described) < kept_since:
                await self._connection.send("DELETE", f"/{name}", accept=(HTTPStatus.NOT_FOUND,))
                log.info("old_index_deleted", index=name)

    async def take_up(self, generation: Generation) -> Generation:
        """The generation as it is written from now on, after another had replaced it."""
        again = replace(generation, term=generation.term + 1)
        every = await self.every()
        for index in again.indices:
            old = [alias for alias in every[index]["aliases"] if alias not in live_aliases(every[index])]
            actions = [{"remove": {"index": index, "alias": alias}} for alias in old]
            actions.append({"add": {"index": index, "alias": again.written_by(index)}})
            await self.describe(index, {"term": again.term})
            await self._connection.send("POST", "/_aliases", {"actions": actions})
            # Not before: who takes it for live must not be able to write to it again.
            await self._blocks.lift([index])
        log.info("index_taken_up_again", index=again.name, term=again.term)
        return again

    async def describe(self, name: str, what: Mapping[str, Any]) -> None:
        """Add to what an index says of itself, and that it is in use."""
        reply = await self._connection.send("GET", f"/{name}/_mapping", accept=(HTTPStatus.NOT_FOUND,))
        if reply.status == HTTPStatus.NOT_FOUND:
            return
        (described,) = reply.body.values()
        meta = {**meta_of(described), "touched_at": self._clock.now().isoformat(), **what}
        await self._connection.send(
            "PUT", f"/{name}/_mapping", {"_meta": meta}, accept=(HTTPStatus.NOT_FOUND,)
        )

    async def _switched(self, to: Generation) -> bool:
        """As `switch`; whether it is the live one."""
        before = await self._aliased()
        old = {name: described for name, described in before.items() if name not in to.indices}
        try:
            await self._blocks.put(old)
            await self._connection.send("POST", "/_aliases", {"actions": _switching(old, to)})
        except MnemataError:
            # It may have happened all the same.
            now = await self._aliased()
            if not to.is_live(now):
                await self._blocks.lift(name for name in old if name in now)
                raise
        # Another process may have taken the block for one that was left behind.
        await self._blocks.put(old)
        for name in old:
            await self.describe(name, {"retired_at": self._clock.now().isoformat()})
        for name in to.indices:
            await self.describe(name, {"retired_at": None})
        live = await self._aliased()
        first = min((number_of(self._options.name, name) for name in live), default=0)
        await self._leave_only(first, live)
        if first != to.number:
            return False
        log.info("index_switched", to=to.name, instead_of=sorted(old))
        return True

    async def _leave_only(self, number: int, live: Mapping[str, Any]) -> None:
        """Of several live generations, which processes made that knew nothing of each other, leave one."""
        for name, described in live.items():
            if number_of(self._options.name, name) != number:
                log.warning("second_live_index_retired", index=name)
                # Not together: any of them may be gone.
                actions = _nameless(name, described)
                await self._connection.send(
                    "POST", "/_aliases", {"actions": actions}, accept=(HTTPStatus.NOT_FOUND,)
                )
                await self.describe(name, {"retired_at": self._clock.now().isoformat()})

    def _fitting(self, live: Mapping[str, Any], identity: Identity) -> Generation | None:
        """Of several the one with the lowest number, for every process."""
        alias = self._options.name
        for name in sorted(live, key=lambda name: number_of(alias, name)):
            if alias in live_aliases(live[name]):
                meta = meta_of(live[name])
                if meta.items() >= identity.meta().items():
                    return Generation.read(alias, name, meta)
                log.warning(
                    "index_does_not_fit", index=name, reason="built for another epoch, space or format"
                )
        return None

    async def _made(self, identity: Identity, number: int) -> Generation | None:
        """A generation of this number; None where another process makes it already."""
        options = self._options
        generation = Generation(
            alias=options.name,
            name=name_of(options.name, number),
            partitions=options.partitions,
            analysis=await self._analysis(),
            own=frozenset(options.own_tenants),
        )
        meta = identity.meta() | generation.meta() | {"created_at": self._clock.now().isoformat()}
        for name in generation.indices:
            body = index_body(
                self._dialect,
                options,
                identity.space,
                analysis=generation.analysis,
                meta=meta,
                alias=generation.written_by(name),
            )
            reply = await self._connection.send("PUT", f"/{name}", body, accept=(HTTPStatus.BAD_REQUEST,))
            if reply.status == HTTPStatus.BAD_REQUEST:
                if reason_of(reply.body) == "resource_already_exists_exception":
                    return None
                raise of_status(reply.status, reply.body)
        log.info(
            "index_created", index=generation.name, analysis=generation.analysis, own=len(generation.own)
        )
        return generation

    async def _analysis(self) -> str:
        reply = await self._connection.send(
            "GET", "/_nodes/plugins?filter_path=nodes.*.modules.name", accept=(HTTPStatus.FORBIDDEN,)
        )
        if reply.status == HTTPStatus.FORBIDDEN:
            log.warning("cluster_modules_not_shown", analysis="own")
            return analysis_for(())
        nodes = reply.body.get("nodes", {}).values()
        everywhere = [{module["name"] for module in node.get("modules", ())} for node in nodes]
        return analysis_for(set.intersection(*everywhere) if everywhere else ())

    async def _next_number(self) -> int:
        return max((number_of(self._options.name, name) for name in await self.every()), default=0) + 1

    async def _aliased(self) -> dict[str, Any]:
        return {
            name: described for name, described in (await self.every()).items() if live_aliases(described)
        }

    async def every(self) -> dict[str, Any]:
        """Each of our indices with its aliases and mappings."""
        alias = self._options.name
        reply = await self._connection.send("GET", f"/{alias}-*")
        return {name: described for name, described in reply.body.items() if number_of(alias, name)}

    async def relatives(self) -> dict[str, dict[str, Any]]:
        """The indices for other models and formats, each with its aliases and mappings, by their family's alias."""
        options = self._options
        if not options.base:
            return {}
        reply = await self._connection.send("GET", f"/{options.base}-*")
        families: dict[str, dict[str, Any]] = {}
        for name, described in reply.body.items():
            family = family_in(options.base, name)
            if family not in {None, options.name} and "partitions" in meta_of(described):
                families.setdefault(str(family), {})[name] = described
        return families

    async def forget(self, family: str) -> None:
        """Delete every index of a family that is not this one's."""
        for name in (await self.relatives()).get(family, {}):
            await self._connection.send("DELETE", f"/{name}", accept=(HTTPStatus.NOT_FOUND,))
            log.info("index_of_another_kind_deleted", index=name)


def meta_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """What an index says of itself."""
    return described["mappings"].get("_meta", {})


def _switching(old: Mapping[str, Any], to: Generation) -> list[dict[str, Any]]:
    """One step, and what is done with it: nobody writes to the old ones any more, whatever becomes of their blocks."""
    actions = [action for name, described in old.items() for action in _nameless(name, described)]
    return actions + [{"add": {"index": name, "alias": alias}} for name, alias in to.aliases().items()]


def _nameless(name: str, described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Takes from an index the aliases that it is searched and written by."""
    return [{"remove": {"index": name, "alias": alias}} for alias in described["aliases"]]


def _last_used(described: Mapping[str, Any]) -> datetime:
    meta = meta_of(described)
    return max(datetime.fromisoformat(meta[name]) for name in _MOMENTS if meta.get(name))
