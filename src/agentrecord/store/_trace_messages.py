"""Messages that traces tell of: each request repeats the history, so that many spans witness one message.

The earliest witness says when a message was said and in which run; a message that no witness is left of goes. In
sessions that only traces tell of, messages are numbered by when they were said, whenever they came.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, select, update

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import UserId
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.transcript import ImportBatch, MessageFact
from agentrecord.schema import events, messages, sessions
from agentrecord.store import search
from agentrecord.store._figures import Figures
from agentrecord.store._load_trees import Trees
from agentrecord.store._lookup import rows_by
from agentrecord.store._rows import message_row
from agentrecord.store._turns import ADD_MESSAGE

_TOLD = ("created_at", "updated_at", "run_uuid", "parts", "model_used", "tools_used", "tool_name")
_MINE = (messages.c.project_id == bindparam("key_project"), messages.c.id == bindparam("key_id"))
_RETELL = Prepared(update(messages).where(*_MINE).values({name: bindparam(name) for name in _TOLD}))
_RENUMBER = Prepared(update(messages).where(*_MINE).values(sequence=bindparam("sequence")))
_REMOVE = Prepared(messages.delete().where(*_MINE))
_LAST_AT = Prepared(
    select(messages.c.created_at)
    .where(messages.c.project_id == bindparam("key_project"), messages.c.session_uuid == bindparam("session"))
    .order_by(messages.c.sequence.desc())
    .limit(1)
)
_QUESTIONS = Prepared(
    select(messages.c.content)
    .where(
        messages.c.project_id == bindparam("key_project"),
        messages.c.session_uuid == bindparam("session"),
        messages.c.role == MessageRole.USER,
        messages.c.deleted_at.is_(None),
        messages.c.content != "",
    )
    .order_by(messages.c.created_at, messages.c.id)
    .limit(20)
)
_RETITLE = Prepared(
    update(sessions)
    .where(sessions.c.project_id == bindparam("key_project"), sessions.c.id == bindparam("session"))
    .values(title=bindparam("title"))
)
_TITLE_CHARACTERS = 80
_SOURCE = "otlp"


def title_of(question: str) -> str:
    """Return what a session is called after its first question: the question's beginning, on one line."""
    line = " ".join(question.split())
    return line if len(line) <= _TITLE_CHARACTERS else f"{line[: _TITLE_CHARACTERS - 1]}…"


class Messages:
    """Stores the messages of one user's traces."""

    def __init__(
        self,
        conn: Connection,
        scope: Scope,
        user: UserId,
        trees: Trees,
        *,
        figures: Figures,
        others: Callable[[Iterable[UUID]], list[ImportBatch]],
    ) -> None:
        """Take the transaction, whose messages these are, and what tells what other traces say."""
        self._conn = conn
        self._scope = scope
        self._user = user
        self._trees = trees
        self._figures = figures
        self._others = others
        self._unordered: set[UUID] = set()
        self._holed: set[UUID] = set()

    def load(self, before: Sequence[ImportBatch], after: ImportBatch) -> None:
        """Store what is said now, and take away what only the traces as known `before` told of."""
        told = {identity.row_id: fact for batch in before for identity, fact in batch.messages}
        found: dict[UUID, MessageFact] = {}
        for identity, fact in after.messages:
            known = found.get(identity.row_id)
            if known is None or fact.created_at < known.created_at:
                found[identity.row_id] = fact
        self._take_away({row: fact for row, fact in told.items() if row not in found}, before)
        self._store({row: fact for row, fact in found.items() if told.get(row) != fact}, told)
        for session in sorted(self._unordered | self._holed):
            self._renumber(session)
        self._title({fact.session_id for fact in found.values() if fact.role is MessageRole.USER})

    # -- what is said ----------------------------------------------------------------------------------------------

    def _store(self, facts: dict[UUID, MessageFact], told: dict[UUID, MessageFact]) -> None:
        columns = ("id", "session_uuid", "created_at", "revision", "deleted_at", "content")
        stored = {
            row["id"]: row
            for row in rows_by(self._conn, self._scope.project, messages, "id", list(facts), columns=columns)
        }
        fresh = sorted(
            ((row, fact) for row, fact in facts.items() if row not in stored), key=lambda f: (f[1].created_at, f[0])
        )
        last = self._last({fact.session_id for _, fact in fresh})
        rows = []
        for row_id, fact in fresh:
            session = self._trees.sessions[fact.session_id]
            number, at = last[session.row_id]
            if at is not None and fact.created_at < at:
                self._unordered.add(session.row_id)
            last[session.row_id] = (number + 1, fact.created_at if at is None else max(at, fact.created_at))
            rows.append(self._row(row_id, fact, number + 1))
            self._figures.session(session.row_id, active_at=fact.created_at, message_count=1, last_sequence=1)
            self._figures.activity(fact.created_at, self._user, session.agent_uuid, message_count=1)
        self._conn.many(ADD_MESSAGE, rows)
        search.remember(self._conn, self._scope, [(row["id"], row["content"]) for row in rows])
        for row_id, fact in facts.items():
            if row_id in stored:
                self._retell(stored[row_id], fact, told.get(row_id))

    def _last(self, named: set[str]) -> dict[UUID, tuple[int, Any]]:
        """Return each session's last number, and when its last message was said."""
        ids = sorted(self._trees.sessions[name].row_id for name in named)
        columns = ("id", "last_sequence")
        rows = rows_by(self._conn, self._scope.project, sessions, "id", ids, columns=columns, lock=True)
        found: dict[UUID, tuple[int, Any]] = {}
        for row in rows:
            at = None
            if row["last_sequence"]:
                at = self._conn.value(_LAST_AT, {"key_project": self._scope.project, "session": row["id"]})
            found[row["id"]] = (row["last_sequence"], at)
        return found

    def _row(self, row_id: UUID, fact: MessageFact, sequence: int) -> dict[str, Any]:
        new = NewMessage(
            role=fact.role,
            content=fact.content,
            message_id=fact.message_id,
            parts=fact.parts,
            tool_call_id=fact.tool_call_id,
            tool_name=fact.tool_name,
            tools_used=fact.tools_used,
            model_used=fact.model_used,
            run_uuid=None if fact.run_id is None else self._trees.runs.get(fact.run_id),
            created_at=fact.created_at,
        )
        session = self._trees.sessions[fact.session_id].row_id
        return message_row(
            self._scope.project, session, self._user, new, message=row_id, sequence=sequence, now=self._conn.now
        )

    def _retell(self, stored: dict[str, Any], fact: MessageFact, before: MessageFact | None) -> None:
        """Take over when a message was said, and where, from a witness that knows better than the stored one."""
        was_own = before is not None and before.created_at == stored["created_at"]
        if stored["deleted_at"] is not None or (fact.created_at >= stored["created_at"] and not was_own):
            return
        row = self._row(stored["id"], fact, 0)
        key = {"key_project": self._scope.project, "key_id": stored["id"]}
        self._conn.run(_RETELL, {**key, **{name: row[name] for name in _TOLD}})
        if fact.created_at != stored["created_at"]:
            agent = self._trees.sessions[fact.session_id].agent_uuid
            self._figures.activity(stored["created_at"], self._user, agent, message_count=-1)
            self._figures.activity(fact.created_at, self._user, agent, message_count=1)
            self._unordered.add(stored["session_uuid"])

    # -- what nobody says any more ---------------------------------------------------------------------------------

    def _take_away(self, facts: dict[UUID, MessageFact], before: Sequence[ImportBatch]) -> None:
        columns = ("id", "session_uuid", "user_uuid", "created_at", "content", "revision", "deleted_at")
        rows = rows_by(self._conn, self._scope.project, messages, "id", list(facts), columns=columns, lock=True)
        # What a person edited, or deleted, is theirs now.
        rows = [row for row in rows if row["revision"] == 1 and row["deleted_at"] is None]
        if not rows:
            return
        kept = self._witnessed({row["session_uuid"] for row in rows}, before)
        gone = [row for row in rows if row["id"] not in kept]
        search.forget(self._conn, self._scope, {row["id"]: row["content"] for row in gone})
        self._conn.many(_REMOVE, [{"key_project": self._scope.project, "key_id": row["id"]} for row in gone])
        ids = {row["session_uuid"] for row in gone}
        agents = {
            row["id"]: row["agent_uuid"]
            for row in rows_by(self._conn, self._scope.project, sessions, "id", ids, columns=("id", "agent_uuid"))
        }
        for row in gone:
            session = row["session_uuid"]
            self._figures.session(session, message_count=-1, last_sequence=-1)
            self._figures.activity(row["created_at"], row["user_uuid"], agents[session], message_count=-1)
            self._holed.add(session)

    def _witnessed(self, found: set[UUID], before: Sequence[ImportBatch]) -> set[UUID]:
        """Return the messages of sessions that traces tell of which did not change now."""
        changed = {fact.trace_uuid for batch in before for _, fact in batch.events}
        traces: set[UUID] = set()
        for session in found:
            rows = self._conn.rows(
                select(events.c.trace_uuid)
                .distinct()
                .where(
                    events.c.project_id == self._scope.project,
                    events.c.session_uuid == session,
                    events.c.trace_uuid.is_not(None),
                )
            )
            traces.update(row[0] for row in rows)
        batches = self._others(sorted(traces - changed))
        return {identity.row_id for batch in batches for identity, _ in batch.messages}

    # -- what the session is called ----------------------------------------------------------------------------------

    def _title(self, named: set[str]) -> None:
        """Call sessions that only traces tell of by their first question, unless somebody named them."""
        asked = {self._trees.sessions[name].row_id for name in named} | self._holed
        columns = ("id", "title", "source", "deleted_at")
        for row in rows_by(self._conn, self._scope.project, sessions, "id", sorted(asked), columns=columns):
            is_unsure = row["title"] is None or row["id"] in self._unordered | self._holed
            if row["source"] != _SOURCE or row["deleted_at"] is not None or not is_unsure:
                continue
            key = {"key_project": self._scope.project, "session": row["id"]}
            first = [title_of(content) for (content,) in self._conn.rows(_QUESTIONS, key)]
            if first and (row["title"] is None or row["title"] in first[1:]):
                self._conn.run(_RETITLE, {**key, "title": first[0]})

    # -- in which order --------------------------------------------------------------------------------------------

    def _renumber(self, session: UUID) -> None:
        """Number a session's messages anew: by when they were said, if only traces tell of it."""
        project = self._scope.project
        source = select(sessions.c.source).where(sessions.c.project_id == project, sessions.c.id == session)
        is_own = self._conn.value(source) == _SOURCE
        if not is_own and session not in self._holed:
            return
        order = (messages.c.created_at, messages.c.id) if is_own else (messages.c.sequence,)
        rows = self._conn.rows(
            select(messages.c.id, messages.c.sequence)
            .where(messages.c.project_id == project, messages.c.session_uuid == session)
            .order_by(*order)
        )
        moved = [
            {"key_project": project, "key_id": row_id, "sequence": number}
            for number, (row_id, old) in enumerate(rows, start=1)
            if number != old
        ]
        # Two messages may not have one number even for a moment: first out of the way, then into place.
        self._conn.many(_RENUMBER, [{**row, "sequence": -row["sequence"]} for row in moved])
        self._conn.many(_RENUMBER, moved)
