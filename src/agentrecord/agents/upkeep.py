"""Looking after turns: leases renewed, stops passed on between processes, turns and runs of dead processes closed."""

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID

from agentrecord.agents.live import LiveTurn
from agentrecord.agents.processes import is_dead
from agentrecord.exceptions import InvalidTransition
from agentrecord.ids import ProjectId
from agentrecord.records.scope import Scope
from agentrecord.store import AsyncStore

logger = logging.getLogger("agentrecord.agents")

SWEEP_S = 30.0
SWEEPS_BETWEEN_ALL = 20


class Upkeep:
    """What one process does for its live turns, and for those that others left."""

    def __init__(self, store: AsyncStore, live: Mapping[UUID, LiveTurn], *, owner: str, lease_s: float) -> None:
        """Take the whole record, the live turns of this process, and under which name it holds them."""
        self._store = store
        self._live = live
        self._owner = owner
        self._lease_s = lease_s
        self._sweeps = 0

    async def run(self) -> None:
        """Keep the leases of live turns, stop those that another process was asked to stop, close dead ones."""
        loop = asyncio.get_running_loop()
        renew_s = self._lease_s / 3
        next_renewal = next_sweep = loop.time()
        next_sweep += SWEEP_S
        while True:
            await asyncio.sleep(min(1.0, renew_s))
            try:
                await self._stop_those_asked_for()
                if loop.time() >= next_renewal:
                    next_renewal = loop.time() + renew_s
                    await self._renew()
                if loop.time() >= next_sweep:
                    next_sweep = loop.time() + SWEEP_S
                    await self.sweep()
            except Exception:
                # Whatever it was: without this task leases run out, and turns that live are taken for dead.
                logger.exception("turns cannot be looked after now")

    async def _stop_those_asked_for(self) -> None:
        for project in {live.store.scope.project for live in self._live.values()}:
            for row in await self._whole(project).turns.running():
                live = self._live.get(row.id)
                if live is not None and row.cancel_requested_at is not None:
                    live.stop("the client asked for it")

    async def _renew(self) -> None:
        # All at once, so that they share a commit: one after the other, many of them would take longer than a lease.
        await asyncio.gather(*(self._renew_one(live) for live in list(self._live.values())))

    async def _renew_one(self, live: LiveTurn) -> None:
        try:
            await live.store.turns.renew(live.id, lease_owner=self._owner, lease_s=self._lease_s)
        except InvalidTransition:
            if live.end is None:
                live.stop("another process took this one for dead")

    async def sweep(self) -> None:
        """Close, in every project, the turns and runs of processes that are dead.

        A turn's are those that are known to be, or let their lease run out; a run's broke their promise of a sign of
        life.
        """
        looks_everywhere = self._sweeps % SWEEPS_BETWEEN_ALL == 0
        self._sweeps += 1
        cursor = None
        while True:
            page = await self._store.projects.list(limit=200, cursor=cursor)
            for project in page:
                store = self._whole(project.id)
                await self._close_runs(store)
                owners = {row.lease_owner for row in await store.turns.running()}
                if not owners and not looks_everywhere:
                    # Looking costs a read, closing a write: where nothing runs, only now and then.
                    continue
                dead = [owner for owner in owners if is_dead(owner, own=self._owner)]
                for closed in await store.turns.close_abandoned(owners=dead):
                    logger.warning("turn %s was left by a process that died; it is closed as an error", closed.id)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _close_runs(self, store: AsyncStore) -> None:
        if await store.runs.count_abandoned():
            for run in await store.runs.close_abandoned():
                logger.warning("run %s was left by a process that died; it is closed as an error", run.run_id)

    def _whole(self, project: ProjectId) -> AsyncStore:
        return AsyncStore(engine=self._store.engine, scope=Scope(project=project))
