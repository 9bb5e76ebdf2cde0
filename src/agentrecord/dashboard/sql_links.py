"""From a list to the question in SQL that gives it: the same rows, range and order, for going on from there.

Of a filter, what names a row's own values is written as conditions; what else it says is told in a comment. Instants
are microseconds since 1970, days are counted since 1970, UTC, as the tables have them. Every statement runs on every
engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from agentrecord.dashboard.filters import Range
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.measures import WordKind
from agentrecord.records.query import Query, Term, Word, parse
from agentrecord.store.words import AGENT_WORDS, GROUP_WORDS, RUN_WORDS, SESSION_WORDS, USER_WORDS

ROWS = 50
_DAY_S = 86_400
_TOKENS = (
    "{0}.input_tokens + {0}.cache_read_tokens + {0}.cache_write_5m_tokens + {0}.cache_write_1h_tokens"
    "\n  + {0}.output_tokens + {0}.unclassified_tokens"
)
_TOLD = _TOKENS.replace("{0}.", "coalesce({0}.").replace("_tokens", "_tokens, 0)").format("c")
"""The tokens of a call, of which a class may be unknown."""

_SUMS = f"sum(d.calls) AS calls, sum({_TOKENS.format('d')}) AS tokens,\n  sum(d.cost_nanos) / 1e9 AS dollars"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """A list in SQL: `at` is the column of its instants or `day` that of its days, `order` where its page begins.

    `columns` are those that words of the filter mean, `sorts` those of its orders.
    """

    select: str
    at: str = ""
    day: str = ""
    where: tuple[str, ...] = ()
    group: str = ""
    order: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    sorts: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Word] = field(default_factory=dict)


def _owners(table: str, name: str, owner: str, *, word: str, words: Mapping[str, Word]) -> _Statement:
    return _Statement(
        select=f"SELECT o.{name}, o.name, {_SUMS}\nFROM ar_usage_days AS d\n"
        f"JOIN {table} AS o ON o.project_id = d.project_id AND o.id = d.{owner}",
        day="d.bucket", group=f"o.{name}, o.name", order="dollars DESC", columns={word: f"o.{name}"}, words=words,
    )  # fmt: skip


def _spending(columns: str, join: str = "", *, order: str = "dollars DESC") -> _Statement:
    named = columns.partition(" AS ")[0]
    return _Statement(
        select=f"SELECT {columns}, {_SUMS}\nFROM ar_usage_days AS d{join}", day="d.bucket", group=named, order=order
    )


def _calls(*columns: str, join: str = "") -> _Statement:
    named = ", ".join(columns)
    sessions = "\nLEFT JOIN ar_sessions AS s ON s.project_id = c.project_id AND s.id = c.session_uuid"
    return _Statement(
        select=f"SELECT {named}, count(*) AS calls, sum({_TOLD}) AS tokens,\n  sum(c.cost_nanos) / 1e9 AS dollars\n"
        f"FROM ar_llm_calls AS c{join or sessions}",
        at="c.timestamp", group=named, order="dollars DESC",
    )  # fmt: skip


_BY_USER = "\nJOIN ar_users AS u ON u.project_id = d.project_id AND u.id = d.user_uuid"
_BY_AGENT = "\nLEFT JOIN ar_agents AS a ON a.project_id = d.project_id AND a.id = d.agent_uuid"
STATEMENTS: Mapping[str, _Statement] = {
    "/sessions": _Statement(
        select="SELECT s.session_id, s.title, u.external_id AS user_name, a.agent_id, s.status, s.run_count AS runs,\n"
        f"  s.message_count AS messages, {_TOKENS.format('s')} AS tokens,\n"
        "  s.cost_nanos / 1e9 AS dollars, s.last_activity_at\n"
        "FROM ar_sessions AS s\nJOIN ar_users AS u ON u.project_id = s.project_id AND u.id = s.user_uuid\n"
        "LEFT JOIN ar_agents AS a ON a.project_id = s.project_id AND a.id = s.agent_uuid",
        at="s.last_activity_at",
        where=("s.deleted_at IS NULL", "s.parent_uuid IS NULL"),
        order="s.last_activity_at DESC",
        columns={"user": "u.external_id", "agent": "a.agent_id", "status": "s.status", "source": "s.source",
                 "session": "s.session_id"},
        sorts={"last_activity_at": "s.last_activity_at", "created_at": "s.created_at", "title": "s.title",
               "status": "s.status", "session_id": "s.session_id", "messages": "s.message_count",
               "runs": "s.run_count", "tree_cost": "s.cost_nanos", "tree_tokens": "tokens"},
        words=SESSION_WORDS.known,
    ),
    "/runs": _Statement(
        select="SELECT r.run_id, r.objective, r.status, u.external_id AS user_name, a.agent_id, r.calls,\n"
        f"  r.tool_call_count AS tools, {_TOKENS.format('r')} AS tokens,\n"
        "  r.cost_nanos / 1e9 AS dollars, r.started_at, r.error_message\n"
        "FROM ar_runs AS r\nJOIN ar_users AS u ON u.project_id = r.project_id AND u.id = r.user_uuid\n"
        "LEFT JOIN ar_agents AS a ON a.project_id = r.project_id AND a.id = r.agent_uuid",
        at="r.started_at",
        order="r.started_at DESC",
        columns={"user": "u.external_id", "agent": "a.agent_id", "status": "r.status"},
        sorts={"started_at": "r.started_at", "objective": "r.objective", "status": "r.status", "run_id": "r.run_id",
               "calls": "r.calls", "tools": "r.tool_call_count", "tokens": "tokens", "cost": "r.cost_nanos"},
        words=RUN_WORDS.known,
    ),
    "/agents": _owners("ar_agents", "agent_id", "agent_uuid", word="agent", words=AGENT_WORDS.known),
    "/users": _owners("ar_users", "external_id", "user_uuid", word="user", words=USER_WORDS.known),
    "/errors": _Statement(
        select="SELECT g.fingerprint, g.kind, g.error_type, g.error_message, g.tool_name, g.count, g.first_seen_at,\n"
        "  g.last_seen_at, g.resolved_at\nFROM ar_error_groups AS g",
        at="g.last_seen_at", order="g.last_seen_at DESC",
        columns={"group": "g.fingerprint", "kind": "g.kind", "type": "g.error_type", "tool": "g.tool_name"},
        words=GROUP_WORDS.known,
    ),
    "/imports": _Statement(
        select="SELECT l.source, l.path, l.line, l.reason, l.excerpt, l.created_at\nFROM ar_unreadable_lines AS l",
        at="l.created_at", order="l.created_at DESC",
    ),
    "/cost/model": _spending("m.name AS model", "\nJOIN ar_models AS m ON m.id = d.model_uuid"),
    "/cost/user": _spending("u.external_id AS user_name", _BY_USER),
    "/cost/agent": _spending("a.agent_id AS agent", _BY_AGENT),
    "/cost/host": _spending(
        "h.name AS host",
        "\nJOIN ar_models AS m ON m.id = d.model_uuid\nLEFT JOIN ar_hosts AS h ON h.id = m.host_uuid",
    ),
    "/cost/session": _calls("s.session_id", "s.title"),
    "/cost/directory": _calls(
        "k.working_directory",
        join="\nLEFT JOIN ar_coding_sessions AS k ON k.project_id = c.project_id AND k.session_uuid = c.session_uuid",
    ),
    "/cost/version": _spending(
        "a.agent_id, v.version_number",
        "\nLEFT JOIN ar_agent_versions AS v ON v.project_id = d.project_id AND v.id = d.agent_version_uuid"
        "\nLEFT JOIN ar_agents AS a ON a.project_id = d.project_id AND a.id = v.agent_uuid",
    ),
    "/cost/day": _spending("d.bucket AS days_since_1970", order="d.bucket"),
    "/prices": _Statement(
        select="SELECT p.model, p.host, p.rates, p.tiers, p.effective_from, p.source\nFROM ar_prices AS p",
        at="p.created_at", where=("p.retired_at IS NULL",), order="p.model, p.effective_from",
    ),
    "/messages": _Statement(
        select="SELECT m.sequence, m.role, m.content, m.model_used, m.created_at\nFROM ar_messages AS m\n"
        "JOIN ar_sessions AS s ON s.project_id = m.project_id AND s.id = m.session_uuid",
        at="m.created_at", where=("m.deleted_at IS NULL",), order="m.sequence",
        columns={"session": "s.session_id"}, words=SESSION_WORDS.known,
    ),
    "/calls": _Statement(
        select=f"SELECT c.timestamp, m.name AS model, c.status, {_TOLD} AS tokens,\n"
        "  c.cost_nanos / 1e9 AS dollars, c.latency_ms, c.error_message\n"
        "FROM ar_llm_calls AS c\nJOIN ar_models AS m ON m.id = c.model_uuid\n"
        "JOIN ar_runs AS r ON r.project_id = c.project_id AND r.id = c.run_uuid",
        at="c.timestamp", order="c.timestamp", columns={"run": "r.run_id"}, words=RUN_WORDS.known,
    ),
    "/occurrences": _Statement(
        select="SELECT e.created_at, e.kind, e.error_type, e.error_message, e.error_code, r.run_id, s.session_id\n"
        "FROM ar_errors AS e\n"
        "JOIN ar_error_groups AS g ON g.project_id = e.project_id AND g.id = e.group_uuid\n"
        "LEFT JOIN ar_runs AS r ON r.project_id = e.project_id AND r.id = e.run_uuid\n"
        "LEFT JOIN ar_sessions AS s ON s.project_id = e.project_id AND s.id = e.session_uuid",
        at="e.created_at", order="e.created_at DESC", columns={"group": "g.fingerprint"}, words=GROUP_WORDS.known,
    ),
    "/cost/tool": _Statement(
        select=f"SELECT d.tool_name, {_SUMS}\nFROM ar_tool_usage_days AS d", day="d.bucket",
        where=("d.cut = 'model'",), group="d.tool_name", order="dollars DESC",
    ),
}  # fmt: skip


def sql_link(path: str, stretch: Range | None = None, *, query: str = "", sort: str = "", by: str = "") -> str:
    """Return the address of the question in SQL that gives a list, empty for one that has none."""
    sql = sql_of(path, stretch, query=query, sort=sort, by=by)
    return "/sql?" + urlencode({"q": sql}) if sql else ""


def sql_of(path: str, stretch: Range | None = None, *, query: str = "", sort: str = "", by: str = "") -> str:
    """Return the statement that gives a list: its range, the plain part of its filter, its order, its first page."""
    found = STATEMENTS.get(f"{path}/{by}" if by else path)
    if found is None:
        return ""
    terms, left = _terms(found, query)
    where = [*found.where, *_within(found, stretch or Range(name="all")), *terms]
    lines = [*left, found.select]
    if where:
        lines.append("WHERE " + "\n  AND ".join(where))
    if found.group:
        lines.append(f"GROUP BY {found.group}")
    return "\n".join([*lines, f"ORDER BY {_order(found, sort)}", f"LIMIT {ROWS}"])


def _within(found: _Statement, stretch: Range) -> list[str]:
    since, until = stretch.since, stretch.until
    bounds = []
    if since is not None:
        bounds.append(f"{found.at} >= {_micros(since)}" if found.at else f"{found.day} >= {_first_day(since)}")
    if until is not None:
        bounds.append(f"{found.at} < {_micros(until)}" if found.at else f"{found.day} < {_day_after(until)}")
    return bounds


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _first_day(at: datetime) -> int:
    # A day that the range touches counts whole.
    return int(at.timestamp()) // _DAY_S


def _day_after(at: datetime) -> int:
    return -(-int(at.timestamp()) // _DAY_S)


def _order(found: _Statement, sort: str) -> str:
    column = found.sorts.get(sort.removeprefix("-"))
    return found.order if column is None else f"{column}{' DESC' if sort.startswith('-') else ''}"


def _terms(found: _Statement, query: str) -> tuple[list[str], list[str]]:
    """Return a filter's terms as conditions, and comments for those that are none."""
    if not query:
        return [], []
    try:
        terms = (parse(query, found.words) if found.words else Query()).terms
    except InvalidFilter:
        terms = ()
    plain = [term for term in terms if _is_plain(found, term)]
    left = [term for term in terms if term not in plain]
    told = [f"-- without {' '.join(str(term).split())}" for term in left]
    if not terms:
        told = [f"-- without {' '.join(query.split())}"]
    return [_condition(found, term) for term in plain], told


def _is_plain(found: _Statement, term: Term) -> bool:
    word = found.words.get(term.word or "")
    if word is None or term.word not in found.columns or word.kind.is_measured:
        return False
    return word.kind is WordKind.CHOICE or all(value.is_quoted or "*" not in value.text for value in term.values)


def _condition(found: _Statement, term: Term) -> str:
    column = found.columns[term.word or ""]
    listed = ", ".join("'" + value.text.replace("'", "''") + "'" for value in term.values)
    return f"({column} IS NULL OR {column} NOT IN ({listed}))" if term.is_negated else f"{column} IN ({listed})"
