"""What the drills write, and what they demand of the record afterwards."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from agentrecord.engine import Connection
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.tokens import TokenCounts
from agentrecord.schema import arrivals, llm_calls, messages, metadata, sessions
from agentrecord.store import Store
from agentrecord.store._faces import work_in
from agentrecord.store.messages import Turn as Stored

QUESTION = "Why does the nightly import stop after the second file, and what would mend it for good? " * 5
ANSWER = "The second file ends in the middle of a line; the reader now waits for the rest of it. " * 5

CALL = NewLLMCall(
    model="claude-opus-4-5",
    host="Anthropic",
    tokens=TokenCounts(input=1000, cache_read=200, output=50),
    latency_ms=1200,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn with its ids made beforehand, so that it can be sent again."""

    question: UUID
    answer: UUID
    call: UUID

    @classmethod
    def fresh(cls) -> "Turn":
        """Return a turn with new ids."""
        return cls(question=new_id(), answer=new_id(), call=new_id())

    @classmethod
    def read(cls, line: str) -> "Turn":
        """Return the turn that a line of an acknowledgement file names."""
        question, answer, call = map(UUID, line.split())
        return cls(question=question, answer=answer, call=call)

    def line(self) -> bytes:
        """Return the turn as a line of an acknowledgement file."""
        return f"{self.question} {self.answer} {self.call}\n".encode()

    def messages(self) -> list[NewMessage]:
        """Return its two messages."""
        return [
            NewMessage(id=self.question, role=MessageRole.USER, content=QUESTION),
            NewMessage(id=self.answer, role=MessageRole.ASSISTANT, content=ANSWER),
        ]

    def calls(self) -> list[NewLLMCall]:
        """Return the call that made the answer."""
        return [replace(CALL, id=self.call)]

    def stored_as(self, stored: Stored) -> "Turn":
        """Return the turn with the id that its call was given, where it was sent as `CALL`, without one."""
        return replace(self, call=stored.calls[0].id)


def acknowledged(path: Path) -> list[Turn]:
    """Return the turns that a process noted as acknowledged; a line cut off by its death does not count."""
    if not path.exists():
        return []
    return [Turn.read(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def faults_of(store: Store, acked: Collection[Turn]) -> list[str]:
    """Return what is wrong with a record of turns: lost, halved, with gaps, or with figures that are not true."""

    def look(conn: Connection, scope: Scope) -> list[str]:
        return [*_lost(conn, acked), *_halved(conn), *_gaps(conn)]

    found = store.engine.read(work_in(store.scope, look))
    found.extend(map(str, store.usage.recount()))
    if isinstance(store.engine, SqliteEngine):
        checked = store.engine.maintain("PRAGMA integrity_check")
        found.extend(said for (said,) in checked if said != "ok")
        found.extend(str(row) for row in store.engine.maintain("PRAGMA foreign_key_check"))
    return found


def _lost(conn: Connection, acked: Collection[Turn]) -> list[str]:
    stored = {row[0] for row in conn.rows(select(messages.c.id))}
    made = {row[0]: row[1] for row in conn.rows(select(llm_calls.c.id, llm_calls.c.message_uuid))}
    return [
        f"acknowledged and lost: {turn}"
        for turn in acked
        if turn.question not in stored or turn.answer not in stored or made.get(turn.call) != turn.answer
    ]


def _halved(conn: Connection) -> list[str]:
    """Name answers that do not have one call each, and messages that cannot be searched for."""
    answers = [row[0] for row in conn.rows(select(messages.c.id).where(messages.c.role == MessageRole.ASSISTANT))]
    made = sorted(row[0] for row in conn.rows(select(llm_calls.c.message_uuid)))
    found = [] if made == sorted(answers) else [f"{len(answers)} answers, {len(made)} calls that made them"]
    total = conn.value(select(func.count()).select_from(messages))
    schema = "" if conn.is_sqlite else "agentrecord."
    indexed = conn.text(f"SELECT count(*) FROM {schema}ar_search")[0][0]
    return found if indexed == total else [*found, f"{total} messages, {indexed} of them indexed"]


def _gaps(conn: Connection) -> list[str]:
    found: defaultdict[UUID, list[int]] = defaultdict(list)
    for session, sequence in conn.rows(select(messages.c.session_uuid, messages.c.sequence)):
        found[session].append(sequence)
    wrong = []
    for session, last, counted in conn.rows(select(sessions.c.id, sessions.c.last_sequence, sessions.c.message_count)):
        if sorted(found[session]) != list(range(1, last + 1)) or counted != last or last % 2:
            wrong.append(f"session {session}: last {last}, counted {counted}, sequences {sorted(found[session])[-5:]}")
    return wrong


UNLIKE = frozenset({"created_at", "updated_at", "imported_at", "applied_at"})
"""Times of storing: two deliveries of one fact differ in them."""


def dump(store: Store, *, without: Iterable[str] = UNLIKE) -> dict[str, list[str]]:
    """Return every table's rows as sorted lines, the ids of users and agents replaced by their names.

    The order in which facts arrived is left out: it is each delivery's own.
    """
    left_out = frozenset(without)

    def read(conn: Connection, scope: Scope) -> dict[str, list[str]]:
        names = _names(conn)
        found = {
            table.name: sorted(_line(row, names, left_out) for row in conn.maps(select(table)))
            for table in metadata.sorted_tables
            if table is not arrivals
        }
        schema = "" if conn.is_sqlite else "agentrecord."
        indexed = conn.text(f"SELECT message_uuid FROM {schema}ar_search")
        return {**found, "ar_search": sorted(str(row[0]) for row in indexed)}

    return store.engine.read(work_in(store.scope, read))


def _names(conn: Connection) -> dict[object, str]:
    tables = metadata.tables
    known = {"ar_users": "external_id", "ar_agents": "agent_id", "ar_sessions": "session_id", "ar_runs": "run_id"}
    return {
        row[0]: f"{table}:{row[1]}"
        for table, name in known.items()
        for row in conn.rows(select(tables[table].c.id, tables[table].c[name]))
    }


def _line(row: dict[str, Any], names: dict[object, str], left_out: frozenset[str]) -> str:
    shown = {name: names.get(value, value) for name, value in row.items() if name not in left_out}
    return "|".join(f"{name}={value!r}" for name, value in shown.items())


def differences(left: dict[str, list[str]], right: dict[str, list[str]]) -> list[str]:
    """Return where two dumps differ, the first few places."""
    found = []
    for table in sorted({*left, *right}):
        mine, theirs = sorted({*left[table]} - {*right[table]}), sorted({*right[table]} - {*left[table]})
        if len(mine) != len(theirs):
            found.append(f"{table}: {len(left[table])} rows and {len(right[table])}")
        for one, other in zip(mine, theirs, strict=False):
            fields = zip(one.split("|"), other.split("|"), strict=False)
            changed = [f"{old} / {new}" for old, new in fields if old != new]
            found.append(f"{table} {'|'.join(one.split('|')[:2])}: {'; '.join(changed)}")
    return [line[:800] for line in found[:12]]


def fingerprints(folder: Path) -> dict[str, str]:
    """Return the hash of every file below `folder`."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def turns_in(store: Store) -> int:
    """Return how many turns are stored."""

    def count(conn: Connection, scope: Scope) -> int:
        return int(conn.value(select(func.count()).select_from(llm_calls)))

    return store.engine.read(work_in(store.scope, count))
