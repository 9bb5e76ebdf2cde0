"""Full-text search over messages: FTS5 in SQLite, a tsvector in PostgreSQL, the same words for both.

A query is words, all of which must occur; "words in quotes" must occur side by side; a `*` after a word finds what
begins with it. Matching ignores case, and how a letter with a mark is written: as one character or as two. The index
holds the first 200,000 characters of a message.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import from_micros, to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.message import MessageRole, SearchHit
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.store._page import checked_limit, checked_offset
from agentrecord.store._text_words import Term, excerpt, words

MAX_INDEXED_CHARS = 200_000
_OPEN, _CLOSE = "\ue000", "\ue001"
_TERM = re.compile(r'"([^"]*)"|(\S+)')


def remember(conn: Connection, scope: Scope, contents: Sequence[tuple[UUID, str]]) -> None:
    """Index new messages, given by row id and content, in the transaction that stores them."""
    wanted = [(message, content[:MAX_INDEXED_CHARS]) for message, content in contents if content.strip()]
    if not wanted:
        return
    if not conn.is_sqlite:
        conn.many_tuples(
            "INSERT INTO agentrecord.ar_search (project_id, message_uuid, words)"
            " VALUES (%s, %s, to_tsvector('simple', %s)) ON CONFLICT DO NOTHING",
            [(scope.project, message, _plain(content)) for message, content in wanted],
        )
        return
    first = conn.text("SELECT coalesce(max(id), 0) + 1 FROM ar_search")[0][0]
    project = bytearray(scope.project.bytes)
    conn.many_tuples(
        "INSERT INTO ar_search (id, project_id, message_uuid) VALUES (?, ?, ?)",
        [(first + place, project, bytearray(message.bytes)) for place, (message, _) in enumerate(wanted)],
    )
    conn.many_tuples(
        "INSERT INTO ar_search_index (rowid, content) VALUES (?, ?)",
        [(first + place, _indexed(content)) for place, (_, content) in enumerate(wanted)],
    )


def _plain(content: str) -> str:
    """Return the words of a text, so that PostgreSQL's parser finds no paths, hosts or tags that FTS5 does not."""
    return " ".join(words(content))


def _indexed(content: str) -> str:
    """Return what FTS5 finds the same words in as we do: in ASCII the text itself."""
    return content if content.isascii() else _plain(content)


def forget(conn: Connection, scope: Scope, contents: Mapping[UUID, str]) -> None:
    """Take messages out of the index; `contents` must be what was indexed, since FTS5 removes by the old words."""
    if not conn.is_sqlite:
        conn.many_tuples(
            "DELETE FROM agentrecord.ar_search WHERE project_id = %s AND message_uuid = %s",
            [(scope.project, message) for message in contents],
        )
        return
    for message, content in contents.items():
        keys = (scope.project, message)
        found = conn.text("SELECT id FROM ar_search WHERE project_id = ? AND message_uuid = ?", keys)
        if found:
            number = found[0][0]
            conn.text(
                "INSERT INTO ar_search_index (ar_search_index, rowid, content) VALUES ('delete', ?, ?)",
                (number, _indexed(content[:MAX_INDEXED_CHARS])),
            )
            conn.text("DELETE FROM ar_search WHERE id = ?", (number,))


def replace(conn: Connection, scope: Scope, message: UUID, old: str, new: str) -> None:
    """Index a message's new content instead of its old."""
    forget(conn, scope, {message: old})
    remember(conn, scope, [(message, new)])


def terms(query: str) -> list[Term]:
    """Return a query as terms: the words that must stand side by side, and whether the last one is a beginning.

    Raises `InvalidFilter` if there is nothing to look for.
    """
    values.text("query", query, max_chars=1000)
    found: list[Term] = []
    for quoted, plain in _TERM.findall(query):
        said = words(quoted or plain)
        if said:
            found.append((said, not quoted and plain.endswith("*")))
    if not found:
        raise InvalidFilter("q", query, "has no word to look for")
    return found


def _fts5(query: str) -> str:
    return " AND ".join('"' + " ".join(words) + '"' + (" *" if prefix else "") for words, prefix in terms(query))


def _tsquery(query: str) -> str:
    return " & ".join(" <-> ".join([*words[:-1], words[-1] + (":*" if p else "")]) for words, p in terms(query))


_SHOWN = """s.id, s.session_id, coalesce(s.title, t.initial_task), m.id, m.sequence, m.role, m.created_at"""
_IS_ASCII = "length(CAST(m.content AS BLOB)) = length(m.content)"
"""Only then does FTS5 find the words in a text at the places that the index, which has the text's `_plain`, tells.

PostgreSQL never does: its parser takes a path for one word, where the index has those in it.
"""
_SQLITE = f"""
SELECT {_SHOWN}, CASE WHEN {_IS_ASCII} THEN snippet(ar_search_index, 0, '{_OPEN}', '{_CLOSE}', '…', 24) END, rank,
	CASE WHEN NOT {_IS_ASCII} THEN substr(m.content, 1, {MAX_INDEXED_CHARS}) END
FROM ar_search_index
JOIN ar_search AS x ON x.id = ar_search_index.rowid
JOIN ar_messages AS m ON m.project_id = x.project_id AND m.id = x.message_uuid
JOIN ar_sessions AS s ON s.project_id = m.project_id AND s.id = m.session_uuid
LEFT JOIN ar_coding_sessions AS t ON t.project_id = s.project_id AND t.session_uuid = s.id
WHERE ar_search_index MATCH ? AND x.project_id = ? AND s.deleted_at IS NULL AND m.deleted_at IS NULL{{more}}
ORDER BY rank, m.id LIMIT ? OFFSET ?"""
_POSTGRESQL = f"""
SELECT {_SHOWN}, NULL, -ts_rank(x.words, q.query) AS rank, left(m.content, {MAX_INDEXED_CHARS})
FROM to_tsquery('simple', %s) AS q(query), agentrecord.ar_search_in_project AS x
JOIN agentrecord.ar_messages AS m ON m.project_id = x.project_id AND m.id = x.message_uuid
JOIN agentrecord.ar_sessions AS s ON s.project_id = m.project_id AND s.id = m.session_uuid
LEFT JOIN agentrecord.ar_coding_sessions AS t ON t.project_id = s.project_id AND t.session_uuid = s.id
WHERE x.words @@ q.query AND x.project_id = %s AND s.deleted_at IS NULL AND m.deleted_at IS NULL{{more}}
ORDER BY rank, m.id LIMIT %s OFFSET %s"""


def messages(
    conn: Connection,
    scope: Scope,
    query: str,
    *,
    role: MessageRole | None = None,
    session: UUID | None = None,
    since: datetime | None = None,
    limit: int = 20,
    offset: int = 0,
) -> Page[SearchHit]:
    """Return the messages that hold the words of `query`, the best match first, with excerpts."""
    checked_limit(limit)
    checked_offset(offset)
    mark = "?" if conn.is_sqlite else "%s"
    conditions = {
        f" AND m.user_uuid = {mark}": scope.user,
        f" AND m.role = {mark}": role,
        f" AND m.session_uuid = {mark}": session,
        f" AND m.created_at >= {mark}": None if since is None else to_micros(values.moment("since", since)),
    }
    chosen = {text: value for text, value in conditions.items() if value is not None}
    sql = (_SQLITE if conn.is_sqlite else _POSTGRESQL).format(more="".join(chosen))
    match = _fts5(query) if conn.is_sqlite else _tsquery(query)
    rows = conn.text(sql, (match, scope.project, *chosen.values(), limit + 1, offset))
    wanted = terms(query)
    hits = [_hit(row, wanted) for row in rows[:limit]]
    more = str(offset + limit) if len(rows) > limit else None
    return Page(hits, limit, more, None)


def _hit(row: Sequence[Any], wanted: Sequence[Term]) -> SearchHit:
    session, session_id, title, message, sequence, role, created_at, marked, rank, unmarked = row
    return SearchHit(
        message_uuid=message if isinstance(message, UUID) else UUID(bytes=message),
        session_uuid=session if isinstance(session, UUID) else UUID(bytes=session),
        session_id=session_id,
        session_title=title,
        sequence=sequence,
        role=MessageRole(role),
        created_at=from_micros(created_at),
        excerpt=tuple(re.split(f"[{_OPEN}{_CLOSE}]", marked)) if unmarked is None else excerpt(unmarked, wanted),
        score=-float(rank),
    )
