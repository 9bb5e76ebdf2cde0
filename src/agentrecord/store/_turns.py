"""The rows of all turns that share a transaction: one statement for each table, however many turns there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from agentrecord.engine import Connection
from agentrecord.records.change import ChangeKind
from agentrecord.records.scope import Scope
from agentrecord.schema import llm_calls, messages
from agentrecord.store import search
from agentrecord.store._arrivals import announcing
from agentrecord.store._figures import Figures
from agentrecord.store._sql import insert_into

ADD_MESSAGE = announcing(insert_into(messages), ChangeKind.MESSAGE)
ADD_CALL = announcing(insert_into(llm_calls), ChangeKind.LLM_CALL)


class TurnRows:
    """What appended turns add beside their sessions' own counters, written at the end of the transaction."""

    def __init__(self, scope: Scope, now: datetime) -> None:
        """Start with nothing to write."""
        self._scope = scope
        self._messages: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []
        self._contents: list[tuple[UUID, str]] = []
        self._figures = Figures(scope.project, now)

    def add(
        self,
        session: UUID,
        new_messages: Sequence[dict[str, Any]],
        calls: Sequence[dict[str, Any]],
        *,
        agent: UUID | None,
        latest: datetime,
        indexed: bool,
        is_toolless: bool,
    ) -> None:
        """Take one turn of `session`, whose row has counted it already, and says whether no tool was used in it."""
        self._messages.extend(new_messages)
        self._calls.extend(calls)
        for call in calls:
            self._figures.call(call, touched=session, is_toolless=is_toolless)
        if new_messages:
            user = new_messages[0]["user_uuid"]
            self._figures.activity(latest, user, agent, message_count=len(new_messages))
        if indexed:
            self._contents.extend([(row["id"], row["content"]) for row in new_messages])

    def write(self, connection: Connection) -> None:
        """Write it all."""
        connection.many(ADD_MESSAGE, self._messages)
        connection.many(ADD_CALL, self._calls)
        search.remember(connection, self._scope, self._contents)
        self._figures.apply(connection)


def turn_rows(conn: Connection, scope: Scope) -> TurnRows:
    """Return what gathers the turns of this transaction."""
    return conn.at_end(("turns", scope.project), lambda: TurnRows(scope, conn.now))
