"""What administrators do over the API and the pages goes into the audit trail, and keys keep when they were used.

Both are written after the answer has gone out. Every change is written; reads, and the uses of a key, once for each
actor, object and minute. Whoever asks never waits for it; what cannot be written is logged and counted, so that a gap
in the trail shows.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from agentrecord.exceptions import AgentRecordError
from agentrecord.ids import ProjectId
from agentrecord.records.scope import Scope as RecordScope
from agentrecord.server.identity import Identity
from agentrecord.store import AsyncStore

logger = logging.getLogger("agentrecord.server")

MAX_SEEN = 50_000
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Trail:
    """Writes down what was asked: every change, and reads at most once a minute each."""

    def __init__(self, store: AsyncStore) -> None:
        """Take the record as the server sees it."""
        self._store = store
        self._seen: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self.lost = 0
        """How many entries could not be written since the server started."""

    async def note(
        self, who: Identity, method: str, route: str, parts: Mapping[str, object], status: int, *, is_api: bool
    ) -> None:
        """Keep that `who` asked for a route, with the ids in its path, and was answered `status`."""
        if who.key is not None:
            await self._key_used(who)
        if not who.role.may_administer:
            return
        action = "read" if method in READING else "change"
        named = "/".join(str(value) for value in parts.values())[:1000] or "-"
        # A read that was refused is told apart from one that was answered; of changes none stands for another.
        if action == "read" and not self.is_first(who.kind, who.id, method, route, named, str(status // 100)):
            return
        store = self._of(who.project)
        details = f'{{"method":"{method}","status":{status},"door":"{"api" if is_api else "page"}"}}'
        await self._keeping(
            lambda: store.audit.record(
                action, route[:255], _storable(named), actor_kind=who.kind, actor=who.name[:255],
                details=details, origin=who.address,
            ),
            f"{action} {route} by {who.name}",
        )  # fmt: skip

    async def _key_used(self, who: Identity) -> None:
        key = who.key
        if key is not None and self.is_first("key", who.id):
            store = self._of(who.project)
            await self._keeping(lambda: store.keys.note_use(key), f"the last use of key {who.name}")

    def is_first(self, *what: str) -> bool:
        """Say whether `what` comes for the first time in this minute."""
        minute = int(self._store.engine.maker.clock.now().timestamp() // 60)
        if self._seen.get(what) == minute:
            return False
        self._seen.pop(what, None)
        self._seen[what] = minute
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return True

    def _of(self, project: ProjectId) -> AsyncStore:
        return AsyncStore(engine=self._store.engine, scope=RecordScope(project=project))

    async def _keeping(self, write: Callable[[], Awaitable[object]], what: str) -> None:
        try:
            await write()
        except AgentRecordError as error:
            self.lost += 1
            logger.error("not written to the audit trail (%d so far): %s: %s", self.lost, what, error)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
