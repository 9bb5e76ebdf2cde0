"""Sessions of the OpenAI Agents SDK, kept in this record: for agents that run outside the conversation endpoint.

```python
session = AgentRecordSession("chat-1", "record.db")
result = await Runner.run(agent, "Hello", session=session)
```
"""

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings

from agentrecord.agents.openai_agents import RecordSession
from agentrecord.store import AsyncStore, Store

__all__ = ["AgentRecordSession"]


class AgentRecordSession(RecordSession):
    """A session for `Runner.run(…, session=…)` that every other door of the record reads too.

    It gives back what it was given: the same items, in the same order, with the same keys.
    """

    def __init__(
        self,
        session_id: str,
        store: Store | AsyncStore | str = "memory:",
        *,
        session_settings: SessionSettings | dict[str, object] | None = None,
    ) -> None:
        """Stand for the session `session_id` in a record: a store that is open, or the address of one to open.

        The session belongs to the store's user; take `store.scoped(user=…)` for a certain one.
        """
        self._opened: AsyncStore | None = None
        self._is_closed = False
        if isinstance(store, str):
            self._opened = store = AsyncStore(store)
        elif isinstance(store, Store):
            store = AsyncStore(engine=store.engine, scope=store.scope)
        super().__init__(session_id, store, session_settings=session_settings)

    def close(self) -> None:
        """End the use of this session, and close the record if this session opened it."""
        self._is_closed = True
        if self._opened is not None:
            self._opened.close()

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the latest `limit` items, oldest first; all of them without a limit, or with a negative one."""
        self._check_open()
        return await super().get_items(limit)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items: all of them together, or none; raises `InvalidValue` for one that no engine could store."""
        self._check_open()
        await super().add_items(items)

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the latest item and return it; None if there is none."""
        self._check_open()
        return await super().pop_item()

    async def clear_session(self) -> None:
        """Remove every item; what the conversation cost stays."""
        self._check_open()
        await super().clear_session()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("AgentRecordSession is closed")
