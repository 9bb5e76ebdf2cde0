"""Facets and completion: which values the rows of a list have, counted, or looked up by how they begin."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, FromClause, Select, func, select

from agentrecord.codec import values as checked
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.facet import Facet, Facets, FacetValue
from agentrecord.records.page import COUNT_LIMIT
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents, coding_sessions, models, sessions, tool_days, usage_days, users
from agentrecord.store._sql import within
from agentrecord.store._words import Words, beginning

TOP = 5
MAX_FACETS, MAX_VALUES = 50, 100


@dataclass(frozen=True, slots=True)
class Observed:
    """Where the values of a word can be looked up: a column, its table, and what it stands in."""

    column: ColumnElement[Any]
    table: Any
    source: FromClause


_BY_MODEL = usage_days.join(models, models.c.id == usage_days.c.model_uuid)
_CODING = coding_sessions.join(
    sessions,
    (sessions.c.project_id == coding_sessions.c.project_id) & (sessions.c.id == coding_sessions.c.session_uuid),
)
OBSERVED: Mapping[str, Observed] = {
    "user": Observed(users.c.external_id, users, users),
    "agent": Observed(agents.c.agent_id, agents, agents),
    "version": Observed(agent_versions.c.version_number, agent_versions, agent_versions),
    "model": Observed(models.c.name, usage_days, _BY_MODEL),
    "tool": Observed(tool_days.c.tool_name, tool_days, tool_days),
    "session": Observed(sessions.c.session_id, sessions, sessions),
    "source": Observed(sessions.c.source, sessions, sessions),
    "directory": Observed(coding_sessions.c.working_directory, sessions, _CODING),
    "branch": Observed(coding_sessions.c.git_branch, sessions, _CODING),
}


def observed(
    conn: Connection, scope: Scope, words: Words, word: str, prefix: str, limit: int, *,
    own: Mapping[str, Observed] | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Return values that rows have for a word, those that begin with `prefix`, in order.

    `own` says where a list looks up words that it alone has. Raises `InvalidFilter` for a word that is not known; a
    word of numbers or free texts has no values to offer.
    """
    known = words.known.get(word)
    if known is None:
        raise InvalidFilter("word", word, f"is none; there are {', '.join(words.known)}")
    checked.integer("limit", limit, minimum=1, maximum=MAX_VALUES)
    checked.text("prefix", prefix, max_chars=checked.MAX_NAME)
    if known.choices:
        return tuple(choice for choice in known.choices if choice.startswith(prefix.lower()))[:limit]
    place = (own or {}).get(word) or OBSERVED.get(word)
    if place is None:
        return ()
    asked = [*within(scope, place.table), place.column.is_not(None)]
    if place.table is users and scope.user is not None:
        asked.append(users.c.id == scope.user)
    if prefix:
        asked.append(beginning(place.column, prefix))
    rows = conn.rows(
        select(place.column).select_from(place.source).where(*asked).distinct().order_by(place.column).limit(limit)
    )
    return tuple(str(row[0]) for row in rows)


def counted(
    conn: Connection,
    found: Any,
    words: Sequence[str],
    others: Mapping[str, Mapping[str, int]],
    *,
    top: int,
    deep: int,
) -> Facets:
    """Return the facets of `found`, a sub-query of at most `COUNT_LIMIT` + 1 rows with a column for each of `words`.

    They are counted in one pass; `others` are facets that were counted elsewhere, over at most `deep` rows.
    """
    counts: dict[str, Counter[str]] = {word: Counter() for word in words}
    rows = 0
    columns = [found.c[word] for word in words]
    for *values, count in conn.rows(select(*columns, func.count()).select_from(found).group_by(*columns)):
        rows += count
        for word, value in zip(words, values, strict=True):
            if value is not None:
                counts[word][str(value)] += count
    return facets_of({**counts, **others}, rows=rows, top=top, limits=dict.fromkeys(others, deep))


def facets_of(
    counts: Mapping[str, Mapping[str, int]], *, rows: int, top: int, limits: Mapping[str, int] | None = None
) -> Facets:
    """Return the facets of at most `COUNT_LIMIT` + 1 rows, of each word the `top` values, those without any left out.

    `limits` says over how many rows a word was counted, where it is fewer.
    """
    checked.integer("top", top, minimum=1, maximum=MAX_FACETS)
    found = [
        _facet(word, values, top, rows, (limits or {}).get(word, COUNT_LIMIT))
        for word, values in counts.items()
        if values
    ]
    return Facets(facets=tuple(found), rows=min(rows, COUNT_LIMIT), is_exact=rows <= COUNT_LIMIT)


def tally(values: Iterable[object]) -> Mapping[str, int]:
    """Return how often each value is there, the unknown left out."""
    return Counter(str(value) for value in values if value is not None)


def _facet(word: str, counts: Mapping[str, int], top: int, rows: int, limit: int) -> Facet:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Facet(
        word=word,
        values=tuple(FacetValue(value=value, count=count) for value, count in ordered[:top]),
        others=max(0, len(ordered) - top),
        rows=min(rows, limit),
        is_exact=rows <= limit,
    )


def named(conn: Connection, found: Select[*tuple[Any, ...]], column: ColumnElement[Any]) -> dict[str, int]:
    """Return how many of the rows found have each value of a column that the query may read, and need not return."""
    told = found.with_only_columns(column.label("told")).subquery("told")
    return pairs(conn.rows(select(told.c.told, func.count()).group_by(told.c.told)))


def pairs(rows: Iterable[Sequence[Any]]) -> dict[str, int]:
    """Return rows of a value and its count as a dict, without the unknown."""
    return {str(row[0]): int(row[1]) for row in rows if row[0] is not None}
