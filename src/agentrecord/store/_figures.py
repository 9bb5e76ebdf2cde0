"""Exact counters: every figure changes in the transaction of the row it counts, by `SET n = n + ?`.

`Figures` gathers what a transaction adds (or, for a call that is replaced, takes away) and writes it in one go. What
failed, or failed before, it lets the errors follow that are derived from it.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import add
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, update

from agentrecord.engine import Connection, Prepared
from agentrecord.engine.moments import DAY_MICROS, HOUR_MICROS, to_micros
from agentrecord.ids import NIL, ProjectId
from agentrecord.records.error import ErrorKind
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import (
    activity_days,
    error_days,
    latency_days,
    runs,
    sessions,
    tool_days,
    usage_days,
    usage_hours,
)
from agentrecord.schema.tables import SUBAGENT_COUNTERS, USAGE_COUNTERS
from agentrecord.schema.usage import ACTIVITY_COUNTERS, ACTIVITY_KEY, ERROR_KEY, LATENCY_KEY, TOOL_KEY, USAGE_KEY
from agentrecord.store._call_counts import Spent, call_counts, gather
from agentrecord.store._failures import follow
from agentrecord.store._lookup import rows_by
from agentrecord.store._sql import insert_or_add, later_of
from agentrecord.store._tool_shares import ToolShares

_EPOCH = date(1970, 1, 1)
_UsageKey = tuple[int, UUID, UUID, UUID, UUID, bool]
"""An hour or day, a user, an agent, its version, a model, and whether a sub-agent called."""

SESSION_COUNTERS = (
    "message_count",
    "last_sequence",
    "last_event_sequence",
    "run_count",
    "tool_call_count",
    "tool_error_count",
    "error_count",
    "child_count",
    *USAGE_COUNTERS,
)
RUN_COUNTERS = ("last_event_sequence", "tool_call_count", "tool_error_count", "child_count", *USAGE_COUNTERS)

_TOUCH = (
    update(sessions)
    .where(sessions.c.project_id == bindparam("key_project"), sessions.c.id == bindparam("key_id"))
    .values(
        {
            **{name: sessions.c[name] + bindparam(name) for name in SESSION_COUNTERS},
            "last_activity_at": later_of(sessions.c.last_activity_at, "active_at"),
            "updated_at": later_of(sessions.c.updated_at, "changed_at"),
        }
    )
)
TOUCH_SESSION = Prepared(_TOUCH)
TOUCH_SESSION_RETURNING = Prepared(
    _TOUCH.where(sessions.c.deleted_at.is_(None)).returning(
        sessions.c.last_sequence,
        sessions.c.last_event_sequence,
        sessions.c.user_uuid,
        sessions.c.agent_uuid,
        sessions.c.tool_call_count,
    )
)
ADD_SUBAGENTS = Prepared(
    update(sessions)
    .where(sessions.c.project_id == bindparam("key_project"), sessions.c.id == bindparam("key_id"))
    .values({name: sessions.c[name] + bindparam(name) for name in SUBAGENT_COUNTERS})
)
TOUCH_RUN = Prepared(
    update(runs)
    .where(runs.c.project_id == bindparam("key_project"), runs.c.id == bindparam("key_id"))
    .values(
        {
            **{name: runs.c[name] + bindparam(name) for name in RUN_COUNTERS},
            "updated_at": later_of(runs.c.updated_at, "changed_at"),
        }
    )
)
ADD_HOURS = insert_or_add(usage_hours, USAGE_KEY, add=USAGE_COUNTERS, span=True)
ADD_DAYS = insert_or_add(usage_days, USAGE_KEY, add=USAGE_COUNTERS, span=True)
ADD_ACTIVITY = insert_or_add(
    activity_days, ACTIVITY_KEY, add=(*ACTIVITY_COUNTERS, "satisfaction_sum", "satisfaction_count")
)
ADD_TOOLS = insert_or_add(tool_days, TOOL_KEY, add=("calls", "errors", "duration_ms_sum", "duration_count"))
ADD_LATENCY = insert_or_add(latency_days, LATENCY_KEY, add=("calls",))
ADD_ERRORS = insert_or_add(error_days, ERROR_KEY, add=("count",))

_ZERO_SESSION: dict[str, int] = dict.fromkeys(SESSION_COUNTERS, 0)
_ZERO_RUN: dict[str, int] = dict.fromkeys(RUN_COUNTERS, 0)
_ZERO_USAGE: dict[str, int] = dict.fromkeys(USAGE_COUNTERS, 0)
_ZERO_ACTIVITY: dict[str, float] = dict.fromkeys((*ACTIVITY_COUNTERS, "satisfaction_sum", "satisfaction_count"), 0)


def day_of(moment: datetime) -> int:
    """Return the UTC day of an instant, as days since 1970."""
    return to_micros(moment) // DAY_MICROS


def date_of(day: int) -> date:
    """Return the date of a day that is counted since 1970."""
    return _EPOCH + timedelta(days=day)


def latency_bucket(latency_ms: int) -> int:
    """Return the histogram's bucket for a latency: bucket `b` stands for 2^(b/4) ms."""
    return round(4 * math.log2(latency_ms)) if latency_ms > 0 else 0


def _add(counters: dict[str, int], counts: Sequence[int]) -> None:
    for name, value in zip(USAGE_COUNTERS, counts, strict=True):
        if value:
            counters[name] += value


class Figures:
    """What one transaction adds to the counters of one project."""

    def __init__(self, project: ProjectId, now: datetime) -> None:
        """Start with nothing to add."""
        self._project = project
        self._now = now
        self._sessions: dict[UUID, dict[str, int]] = {}
        self._active: dict[UUID, datetime] = {}
        self._subagents: dict[UUID, Sequence[int]] = {}
        self._runs: dict[UUID, dict[str, int]] = {}
        self._usage: dict[_UsageKey, Spent] = {}
        self._activity: dict[tuple[int, UUID, UUID], dict[str, float]] = {}
        self._tools: dict[tuple[int, UUID, UUID, str], list[int]] = {}
        self._latency: defaultdict[tuple[int, UUID, UUID, int], int] = defaultdict(int)
        self._errors: defaultdict[tuple[UUID, int, UUID, UUID], int] = defaultdict(int)
        self._shares = ToolShares(project)
        self._locked: set[UUID] = set()
        self._failed: defaultdict[ErrorKind, set[UUID]] = defaultdict(set)

    def session(self, session: UUID | None, *, active_at: datetime | None = None, **added: int) -> None:
        """Add to a session's own counters."""
        if session is None:
            return
        counters = self._sessions.get(session)
        if counters is None:
            counters = self._sessions[session] = _ZERO_SESSION.copy()
        for name, value in added.items():
            counters[name] += value
        if active_at is not None and (session not in self._active or self._active[session] < active_at):
            self._active[session] = active_at

    def run(self, run: UUID | None, **added: int) -> None:
        """Add to a run's own counters."""
        if run is None:
            return
        counters = self._runs.get(run)
        if counters is None:
            counters = self._runs[run] = _ZERO_RUN.copy()
        for name, value in added.items():
            counters[name] += value

    def activity(self, at: datetime, user: UUID, agent: UUID | None, **added: float) -> None:
        """Add to a user's and agent's day."""
        key = (day_of(at), user, agent or NIL)
        counters = self._activity.get(key)
        if counters is None:
            counters = self._activity[key] = _ZERO_ACTIVITY.copy()
        for name, value in added.items():
            counters[name] += value

    def call(
        self, row: Mapping[str, Any], sign: int = 1, *, touched: UUID | None = None, is_toolless: bool = False
    ) -> None:
        """Add a call's row to every sum that counts it, or with `sign` -1 take it away.

        The session `touched` has counted it already, but not apart as a sub-agent's; in one that `is_toolless` no tool
        was used yet.
        """
        counts = call_counts(row)
        if not is_toolless or row["run_uuid"] is not None:
            self._shares.called(row, counts, sign)
        if sign < 0:
            counts = tuple([-value for value in counts])
        at: datetime = row["timestamp"]
        if row["session_uuid"] is not None and row["session_uuid"] != touched:
            self.session_call(row["session_uuid"], counts, at)
        if row["is_subagent"] and row["session_uuid"] is not None:
            before = self._subagents.get(row["session_uuid"])
            self._subagents[row["session_uuid"]] = counts if before is None else list(map(add, before, counts))
        if row["run_uuid"] is not None:
            self.run(row["run_uuid"])
            _add(self._runs[row["run_uuid"]], counts)
        self._spend(row, counts)
        if counts[1]:
            self.failed(ErrorKind.LLM, row["id"])
        if row["latency_ms"] is not None:
            key = day_of(at), row["agent_uuid"] or NIL, row["model_uuid"], latency_bucket(row["latency_ms"])
            self._latency[key] += sign

    def _spend(self, row: Mapping[str, Any], counts: Sequence[int]) -> None:
        """Add a call's counts to its hour, and so to its day."""
        at: datetime = row["timestamp"]
        key = (
            to_micros(at) // HOUR_MICROS,
            row["user_uuid"],
            row["agent_uuid"] or NIL,
            row["agent_version_uuid"] or NIL,
            row["model_uuid"],
            row["is_subagent"],
        )
        gather(self._usage, key, counts, at, at)

    def session_call(self, session: UUID, counts: Sequence[int], at: datetime) -> None:
        """Add a call's counts to its session alone."""
        self.session(session, active_at=at)
        _add(self._sessions[session], counts)

    def tool(self, row: Mapping[str, Any], *, calls: int, errors: int, duration_ms: int | None, sign: int = 1) -> None:
        """Add a tool call's start or end to its session, run and day, or with `sign` -1 take it away."""
        at: datetime = row["started_at"] or row["created_at"]
        calls, errors = sign * calls, sign * errors
        if calls:
            self._shares.used(row, calls)
        if errors:
            self.failed(ErrorKind.TOOL, row["id"])
        self.session(row["session_uuid"], tool_call_count=calls, tool_error_count=errors)
        self.run(row["run_uuid"], tool_call_count=calls, tool_error_count=errors)
        self.activity(at, row["user_uuid"], row["agent_uuid"], tool_calls=calls, tool_errors=errors)
        key = (day_of(at), row["user_uuid"], row["agent_uuid"] or NIL, row["tool_name"])
        sums = self._tools.setdefault(key, [0, 0, 0, 0])
        for position, value in enumerate((calls, errors, sign * (duration_ms or 0), sign * (duration_ms is not None))):
            sums[position] += value

    def untool(self, row: Mapping[str, Any]) -> None:
        """Take a tool call's row away again."""
        errors = int(row["status"] == ToolCallStatus.ERROR)
        self.tool(row, calls=-1, errors=-errors, duration_ms=None)
        if row["duration_ms"] is not None:
            at: datetime = row["started_at"] or row["created_at"]
            sums = self._tools[day_of(at), row["user_uuid"], row["agent_uuid"] or NIL, row["tool_name"]]
            sums[2] -= row["duration_ms"]
            sums[3] -= 1

    def failed(self, kind: ErrorKind, row: UUID | None) -> None:
        """Note a use of a tool or a call that fails, or did before: what is derived from it may have changed."""
        if row is not None:
            self._failed[kind].add(row)

    def error(self, row: Mapping[str, Any], sign: int = 1) -> None:
        """Add a told error's row to its session, its day and its group's day, or with `sign` -1 take it away."""
        self.session(row["session_uuid"], error_count=sign)
        self.activity(row["created_at"], row["user_uuid"], row["agent_uuid"], error_count=sign)
        self.failed(ErrorKind.TOOL, row["tool_call_uuid"])
        self.failed(ErrorKind.LLM, row["llm_call_uuid"])
        self._met(row, sign)

    def _met(self, row: Mapping[str, Any], sign: int) -> None:
        key = (row["group_uuid"], day_of(row["created_at"]), row["user_uuid"], row["agent_uuid"] or NIL)
        self._errors[key] += sign

    def moved(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Count a call for another run, or for none, and its version: not in the sums of runs and sessions.

        What is derived from its failure goes with it.
        """
        counts = call_counts(now)
        if counts[1]:
            self.failed(ErrorKind.LLM, now["id"])
        if before["agent_version_uuid"] != now["agent_version_uuid"]:
            self._spend(before, tuple([-value for value in counts]))
            self._spend(now, counts)
        for row, sign in ((before, -1), (now, 1)):
            self._lock_place(row)
            self._shares.called(row, counts, sign)

    def moved_use(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Know that a use of a tool is in another run now, as `moved` does of a call."""
        if now["status"] == ToolCallStatus.ERROR:
            self.failed(ErrorKind.TOOL, now["id"])
        for row, sign in ((before, -1), (now, 1)):
            self._lock_place(row)
            self._shares.used(row, sign)

    def _lock_place(self, row: Mapping[str, Any]) -> None:
        # Whatever comes or goes where a row was and where it is now waits until this is done.
        if row["run_uuid"] is not None:
            self.run(row["run_uuid"])
        else:
            self.session(row["session_uuid"])

    def settle_tools(self, connection: Connection) -> None:
        """Look up what the calls that changed so far asked for: of very many, not all are held until the end."""
        if not connection.is_sqlite:
            # Nobody adds to what they asked for until this is done. Sessions come before runs, as for all who write.
            for table, touched in ((sessions, self._sessions), (runs, self._runs)):
                fresh = sorted(touched.keys() - self._locked)
                rows_by(connection, self._project, table, "id", fresh, columns=("id",), lock=True)
                self._locked.update(fresh)
        self._shares.settle(connection)

    def session_params(self, session: UUID) -> dict[str, object]:
        """Return what `TOUCH_SESSION` is bound with for one session, and forget it here."""
        added = self._sessions.pop(session, None) or _ZERO_SESSION
        active_at = self._active.pop(session, None)
        long_ago = self._now.replace(year=1970, month=1, day=2)
        return {
            **added,
            "key_project": self._project,
            "key_id": session,
            "active_at": active_at or long_ago,
            # What is delivered twice adds nothing, and so is no change.
            "changed_at": self._now if active_at or any(added.values()) else long_ago,
        }

    def apply(self, connection: Connection) -> None:
        """Write all that was gathered; rows in one order, so that two writers cannot deadlock."""
        if self._sessions:
            connection.many(TOUCH_SESSION, [self.session_params(key) for key in sorted(self._sessions)])
        if self._runs:
            connection.many(
                TOUCH_RUN,
                [
                    {**added, "key_project": self._project, "key_id": key, "changed_at": self._now}
                    for key, added in sorted(self._runs.items())
                ],
            )
        if self._subagents:
            connection.many(
                ADD_SUBAGENTS,
                [
                    {**dict(zip(SUBAGENT_COUNTERS, counts, strict=True)), "key_project": self._project, "key_id": key}
                    for key, counts in sorted(self._subagents.items())
                ],
            )
        # All else that comes or goes where this did waits by now: what was before and after it stays so.
        self._shares.apply(connection)
        self._apply_usage(connection)
        if self._failed:
            self._apply_failures(connection)
        self._apply_days(connection)

    def _apply_failures(self, connection: Connection) -> None:
        for kind, ids in sorted(self._failed.items()):
            for row, sign in follow(connection, self._project, kind, ids):
                self._met(row, sign)

    def _apply_usage(self, connection: Connection) -> None:
        project = self._project
        days: dict[_UsageKey, Spent] = {}
        hours = sorted(self._usage.items()) if len(self._usage) > 1 else list(self._usage.items())
        for (hour, user, agent, version, model, is_subagent), spent in hours:
            gather(days, (hour // 24, user, agent, version, model, is_subagent), spent.counts, spent.first, spent.last)
        for statement, found in ((ADD_HOURS, hours), (ADD_DAYS, list(days.items()))):
            rows = [(project, *key, *spent.counts, spent.first, spent.last) for key, spent in found]
            connection.many_rows(statement, rows)

    def _apply_days(self, connection: Connection) -> None:
        project = self._project
        connection.many_rows(
            ADD_ACTIVITY, [(project, *key, *added.values()) for key, added in sorted(self._activity.items())]
        )
        connection.many_rows(ADD_TOOLS, [(project, *key, *sums) for key, sums in sorted(self._tools.items())])
        connection.many_rows(
            ADD_LATENCY, [(project, *key, calls) for key, calls in sorted(self._latency.items()) if calls]
        )
        connection.many_rows(
            ADD_ERRORS, [(project, *key, count) for key, count in sorted(self._errors.items()) if count]
        )
