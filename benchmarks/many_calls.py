"""A record of many calls, made inside SQLite: rows are copied from a few that the store wrote, figures summed anew.

How the rows got there is not what is measured; that every figure is the sum of its rows is checked by the record's
own recount.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from agentrecord import Store
from agentrecord.ids import ProjectId
from agentrecord.records.error import ErrorKind, NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.schema.tables import SUBAGENT_COUNTERS, USAGE_COUNTERS
from agentrecord.store._error_rows import group_of
from agentrecord.store._failures import UNTOLD
from benchmarks import many_uses

MODELS = (
    ("claude-opus-4-5", "Anthropic"), ("claude-sonnet-4-5", "Anthropic"), ("claude-haiku-4-5", "Anthropic"),
    ("gpt-4o", "OpenAI"), ("gpt-4o-mini", "OpenAI"), ("acme-local-70b", "local"),
)  # fmt: skip
USERS, AGENTS, VERSIONS, DAYS = 60, 5, 4, 90
CALLS_A_RUN, RUNS_A_SESSION = 10, 5
USERS_A_HELPED = 30
"""Of so many users, one has sub-agents, which make the calls of one run of each session."""

DAY_MICROS = 86_400_000_000
NIL = "zeroblob(16)"
_MEASURES = {
    "calls": "1",
    "failed_calls": "status = 'error'",
    "unpriced_calls": "cost_nanos IS NULL",
    "uncounted_calls": "input_tokens IS NULL OR output_tokens IS NULL",
    "latency_ms_sum": "coalesce(latency_ms, 0)",
    "latency_count": "latency_ms IS NOT NULL",
}
_UNCOUNTED = {"tool_call_count": "0", "tool_error_count": "0", "last_event_sequence": "0"}
"""What copies have none of."""

_SUMS = ", ".join(f"sum({_MEASURES.get(name, f'coalesce({name}, 0)')}) AS {name}" for name in USAGE_COUNTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A record that was filled, and the names of one of everything in it."""

    session: str
    run: str
    user: str
    agent: str


def fill(path: Path, calls: int, now: datetime) -> Filled:
    """Fill a new record with `calls` calls of the last 90 days in a tenth as many runs and a fiftieth as many sessions.

    One run of a hundred failed, and so did one call of a hundred.
    """
    with Store(str(path)) as store:
        _templates(store)
    bare = sqlite3.connect(path, isolation_level=None)
    bare.execute("PRAGMA synchronous=OFF")
    bare.execute("PRAGMA cache_size=-500000")
    bare.execute("BEGIN")
    _copy(bare, calls, now)
    many_uses.use(bare, {row[1]: f"t.{row[1]}" for row in bare.execute("PRAGMA table_info(ar_tool_calls)")})
    _fail(bare)
    _sum(bare)
    many_uses.count(bare)
    bare.execute("COMMIT")
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    session, run = (
        bare.execute(f"SELECT {name} FROM {table} WHERE {name} LIKE '{mark}%' LIMIT 1").fetchone()[0]
        for name, table, mark in (("session_id", "ar_sessions", "s"), ("run_id", "ar_runs", "r"))
    )
    bare.close()
    return Filled(session=session, run=run, user="user-00@example.org", agent="agent-0")


def _templates(store: Store) -> None:
    """Let the store write one session with its run and calls for each user: what all others are copied from."""
    for number in range(USERS):
        agent = f"agent-{number % AGENTS}"
        version = store.agents.create_version(agent, f"1.{number // AGENTS % VERSIONS}")
        user = f"user-{number:02}@example.org"
        session = store.sessions.create(NewSession(session_id=f"t{number}", agent_id=agent), user=user)
        run = store.runs.start(
            NewRun(
                run_id=f"t{number}",
                agent_id=agent,
                agent_version_uuid=version.id,
                session_uuid=session.id,
                objective="Answer the customer",
            ),
            user=user,
        )
        for model, host in MODELS:
            tokens = TokenCounts(input=900, output=120, cache_read=4_000)
            store.llm_calls.record(
                NewLLMCall(model=model, host=host, tokens=tokens, session_uuid=session.id, run_uuid=run.id,
                           latency_ms=900)
            )  # fmt: skip
        tool = store.tool_calls.record(NewToolCall(tool_name="search", session_uuid=session.id, run_uuid=run.id))
        store.tool_calls.finish(tool.id, result="found")
        store.errors.record(NewError(error_type="Timeout", error_message="upstream timed out", run_uuid=run.id))
        store.runs.finish(run.id, output="done")


def _columns(bare: sqlite3.Connection, table: str, changed: Mapping[str, str]) -> str:
    """Return what copies a row of `table`, named t, but for what is changed."""
    names = [row[1] for row in bare.execute(f"PRAGMA table_info({table})")]
    return ", ".join(changed.get(name, f"t.{name}") for name in names)


def _copy(bare: sqlite3.Connection, calls: int, now: datetime) -> None:
    """Copy the templates into as many rows as were asked for, spread evenly over the days."""
    sessions = max(1, calls // CALLS_A_RUN // RUNS_A_SESSION)
    first = int((now - timedelta(days=DAYS - 1)).replace(hour=1, tzinfo=UTC).timestamp()) * 1_000_000
    began = f"{first} + m.n * {(int(now.timestamp()) * 1_000_000 - first) // sessions}"
    bare.execute(
        "CREATE TEMP TABLE made AS WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
        f" SELECT n, randomblob(16) AS id, n % {USERS} AS template FROM n", (sessions - 1,),
    )  # fmt: skip
    bare.execute("CREATE INDEX temp.made_n ON made (n)")
    bare.execute(
        "CREATE TEMP TABLE begun AS WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
        f" SELECT n.n, randomblob(16) AS id, m.id AS session, m.template, {began} + (n.n % {RUNS_A_SESSION}) * 60000000"
        f" AS at FROM n JOIN made m ON m.n = n.n / {RUNS_A_SESSION}", (sessions * RUNS_A_SESSION - 1,),
    )  # fmt: skip
    copied = _columns(bare, "ar_sessions", {
        "id": "m.id", "serial": "NULL", "session_id": "'s' || m.n", **_UNCOUNTED, "error_count": "0",
        "created_at": began, "last_activity_at": began, "updated_at": began,
    })  # fmt: skip
    bare.execute(
        f"INSERT INTO ar_sessions SELECT {copied} FROM made m JOIN ar_sessions t ON t.session_id = 't' || m.template"
    )
    copied = _columns(bare, "ar_runs", {
        "id": "b.id", "serial": "NULL", "run_id": "'r' || b.n", **_UNCOUNTED, "session_uuid": "b.session",
        "created_at": "b.at", "updated_at": "b.at", "started_at": "b.at",
        "finished_at": "b.at + 4000000 + b.n % 97 * 1000000",
        "status": "CASE b.n % 100 WHEN 7 THEN 'error' ELSE t.status END",
    })  # fmt: skip
    bare.execute(f"INSERT INTO ar_runs SELECT {copied} FROM begun b JOIN ar_runs t ON t.run_id = 't' || b.template")
    _copy_calls(bare)


def _copy_calls(bare: sqlite3.Connection) -> None:
    """Copy calls into every run, each to another model than the one before."""
    bare.execute(
        "CREATE TEMP TABLE samples AS SELECT row_number() OVER (PARTITION BY c.run_uuid ORDER BY c.rowid) - 1 AS place,"
        " CAST(substr(r.run_id, 2) AS INTEGER) AS template, c.* FROM ar_llm_calls c JOIN ar_runs r ON r.id = c.run_uuid"
    )
    bare.execute("CREATE UNIQUE INDEX temp.by_place ON samples (template, place)")
    copied = _columns(bare, "ar_llm_calls", {
        "id": "randomblob(16)", "serial": "NULL", "session_uuid": "b.session", "run_uuid": "b.id",
        "timestamp": "b.at + k.k * 400000", "created_at": "b.at + k.k * 400000", "dedup_key": "NULL",
        "input_tokens": "400 + (b.n * 7 + k.k * 131) % 1500", "latency_ms": "300 + (b.n * 13 + k.k * 71) % 4000",
        "status": "CASE (b.n + k.k) % 100 WHEN 3 THEN 'error' ELSE t.status END",
        "is_subagent": f"t.template % {USERS_A_HELPED} = 3 AND b.n % {RUNS_A_SESSION} = 1",
        "cost_nanos": "CASE WHEN t.cost_nanos IS NULL THEN NULL ELSE t.cost_nanos / 2 + (b.n * 31) % 900000 END",
    })  # fmt: skip
    bare.execute(
        "WITH RECURSIVE k(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM k WHERE k < ?)"
        f" INSERT INTO ar_llm_calls SELECT {copied} FROM begun b, k"
        f" JOIN samples t ON t.template = b.template AND t.place = (b.n + k.k) % {len(MODELS)}",
        (CALLS_A_RUN - 1,),
    )


def _fail(bare: sqlite3.Connection) -> None:
    """Let each failed call be an error in its model's group, as the store does where it writes them."""
    project = UUID(bytes=bare.execute("SELECT project_id FROM ar_llm_calls LIMIT 1").fetchone()[0])
    for model in dict.fromkeys(model for model, _ in MODELS):
        told = {"kind": ErrorKind.LLM, "is_derived": True, "error_type": model, "error_message": UNTOLD}
        group = group_of(ProjectId(project), {**told, "tool_name": None, "created_at": None, "resolved_at": None})
        failed = "FROM ar_llm_calls c JOIN ar_models m ON m.id = c.model_uuid WHERE c.status = 'error' AND m.name = ?"
        bare.execute(
            "INSERT INTO ar_error_groups (project_id, id, fingerprint, kind, error_type, error_message, count,"
            " first_seen_at, last_seen_at) SELECT c.project_id, ?, ?, 'llm', m.name, ?, count(*), min(c.timestamp),"
            f" max(c.timestamp) {failed} GROUP BY c.project_id, m.name",
            (group["id"].bytes, group["fingerprint"], UNTOLD, model),
        )
        bare.execute(
            "INSERT INTO ar_errors (project_id, id, group_uuid, user_uuid, agent_uuid, session_uuid, run_uuid,"
            " llm_call_uuid, kind, is_derived, error_type, error_message, is_resolved, created_at)"
            " SELECT c.project_id, randomblob(16), ?, c.user_uuid, c.agent_uuid, c.session_uuid, c.run_uuid, c.id,"
            f" 'llm', 1, m.name, ?, 0, c.timestamp {failed}",
            (group["id"].bytes, UNTOLD, model),
        )
    bare.execute(
        f"INSERT INTO ar_error_days SELECT project_id, group_uuid, created_at / {DAY_MICROS}, user_uuid,"
        f" coalesce(agent_uuid, {NIL}), count(*) FROM ar_errors WHERE is_derived GROUP BY 1, 2, 3, 4, 5"
    )


def _sum(bare: sqlite3.Connection) -> None:
    """Sum every figure anew from the rows that it counts."""
    for table, hours in (("ar_usage_hours", 1), ("ar_usage_days", 24)):
        bare.execute(f"DELETE FROM {table}")
        bare.execute(
            f"INSERT INTO {table} SELECT project_id, timestamp / {hours * 3_600_000_000} AS bucket, user_uuid,"
            f" coalesce(agent_uuid, {NIL}), coalesce(agent_version_uuid, {NIL}), model_uuid, is_subagent, {_SUMS},"
            " min(timestamp), max(timestamp) FROM ar_llm_calls GROUP BY 1, 2, 3, 4, 5, 6, 7"
        )
    for table, key, names, only in (
        ("ar_sessions", "session_uuid", USAGE_COUNTERS, ""), ("ar_runs", "run_uuid", USAGE_COUNTERS, ""),
        ("ar_sessions", "session_uuid", SUBAGENT_COUNTERS, " AND is_subagent"),
    ):  # fmt: skip
        summed = f"SELECT {_SUMS} FROM ar_llm_calls WHERE {key} = t.id AND project_id = t.project_id{only}"
        bare.execute(
            f"UPDATE {table} AS t SET ({', '.join(names)}) = ({summed})"
            f" WHERE id IN (SELECT {key} FROM ar_llm_calls WHERE true{only})"
        )
    bare.execute("DELETE FROM ar_latency_days")
    bare.execute(
        f"INSERT INTO ar_latency_days SELECT project_id, timestamp / {DAY_MICROS}, coalesce(agent_uuid, {NIL}),"
        " model_uuid, CASE WHEN latency_ms > 0 THEN CAST(round(4 * log2(latency_ms)) AS INTEGER) ELSE 0 END, count(*)"
        " FROM ar_llm_calls WHERE latency_ms IS NOT NULL GROUP BY 1, 2, 3, 4, 5"
    )
    bare.execute(
        "UPDATE ar_sessions SET run_count = (SELECT count(*) FROM ar_runs r WHERE r.project_id = ar_sessions.project_id"
        " AND r.session_uuid = ar_sessions.id)"
    )
    bare.execute(
        f"INSERT INTO ar_activity_days (project_id, day, user_uuid, agent_uuid, session_count)"
        f" SELECT project_id, created_at / {DAY_MICROS}, user_uuid, coalesce(agent_uuid, {NIL}), count(*)"
        " FROM ar_sessions WHERE session_id LIKE 's%' GROUP BY 1, 2, 3, 4 ON CONFLICT DO UPDATE SET"
        " session_count = session_count + excluded.session_count"
    )
    bare.execute(
        f"INSERT INTO ar_activity_days (project_id, day, user_uuid, agent_uuid, run_count, completed_runs, failed_runs)"
        f" SELECT project_id, started_at / {DAY_MICROS}, user_uuid, coalesce(agent_uuid, {NIL}), count(*),"
        " sum(status = 'completed'), sum(status = 'error') FROM ar_runs WHERE run_id LIKE 'r%' GROUP BY 1, 2, 3, 4"
        " ON CONFLICT (project_id, day, user_uuid, agent_uuid) DO UPDATE SET"
        " run_count = run_count + excluded.run_count, completed_runs = completed_runs + excluded.completed_runs,"
        " failed_runs = failed_runs + excluded.failed_runs"
    )
