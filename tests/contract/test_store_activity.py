"""Activity: runs by how they ended, active users and sessions by period, and runs that broke their promise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.activity import TIMED_RUNS, ActivityRow
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.usage import UsageBy
from agentrecord.schema import usage_days
from agentrecord.store._sql import within
from faces import Facing, covers
from held_clock import HeldClock

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday


@pytest.fixture
def busy(store: Facing, clock: HeldClock) -> Facing:
    """Return a store with five runs of two users on two days, a call without a run, and two sessions."""
    clock.at = AT
    session = store.sessions.create(NewSession(session_id="s", created_at=AT), user="anna")
    store.sessions.create(NewSession(session_id="below", parent_uuid=session.id, created_at=AT), user="anna")
    for name, user, hours, end in (
        ("a", "anna", 0, "finish"), ("b", "anna", 1, "fail"), ("c", "ben", 1, "finish"),
        ("d", "ben", 24, "cancel"), ("e", "ben", 25, None),
    ):  # fmt: skip
        clock.at = AT + timedelta(hours=hours)
        run = store.runs.start(NewRun(run_id=name), user=user)
        clock.at += timedelta(seconds=10 * (hours + 1))
        if end == "fail":
            store.runs.fail(run.id, "x")
        elif end is not None:
            getattr(store.runs, end)(run.id)
    for cost, status, hours in ((5, CallStatus.ERROR, 2), (7, CallStatus.ERROR, 26), (11, CallStatus.SUCCESS, 2)):
        store.llm_calls.record(
            NewLLMCall(model="m", cost_nanos=cost, status=status, timestamp=AT + timedelta(hours=hours))
        )
    return store


def rows(found: Any) -> dict[str, tuple[int, int, int, int, int | None]]:
    """Return an activity's periods by name."""
    return {row.key: (row.runs, row.completed_runs, row.failed_runs, row.other_runs, row.users) for row in found.rows}


@covers("usage.activity")
def test_runs_count_where_they_began_by_how_they_ended(busy: Facing) -> None:
    days = busy.usage.activity()
    # Calls of nobody in particular make no active user.
    assert rows(days) == {"2026-03-02": (3, 2, 1, 0, 2), "2026-03-03": (2, 0, 0, 2, 1)}
    assert (days.runs, days.completed_runs, days.failed_runs, days.users) == (5, 2, 1, 2)
    assert (days.failed_share, days.sessions, days.failed_nanos) == (1 / 3, 1, 12)
    hours = busy.usage.activity(UsageBy.HOUR)
    assert rows(hours) == {
        "2026-03-02 09:00": (1, 1, 0, 0, 1), "2026-03-02 10:00": (2, 1, 1, 0, 2),
        "2026-03-03 09:00": (1, 0, 0, 1, 1), "2026-03-03 10:00": (1, 0, 0, 1, 1),
    }  # fmt: skip
    assert rows(busy.usage.activity(UsageBy.WEEK)) == {"2026-03-02": (5, 2, 1, 2, 2)}
    assert rows(busy.usage.activity(UsageBy.MONTH)) == {"2026-03": (5, 2, 1, 2, None)}
    assert busy.usage.activity(UsageBy.MONTH, only_work=True) == replace(
        busy.usage.activity(UsageBy.MONTH), users=0, run_p95_ms=None, timed_runs=0
    )


def test_a_range_counts_in_whole_hours_and_days_and_hours_agree(busy: Facing) -> None:
    day = AT.replace(hour=0)
    for by in (UsageBy.HOUR, UsageBy.DAY):
        found = busy.usage.activity(by, since=day, until=day + timedelta(days=1))
        assert (found.runs, found.users, found.failed_nanos, found.sessions) == (3, 2, 5, 1), by
        found = busy.usage.activity(by, since=AT + timedelta(minutes=70), until=AT + timedelta(hours=24))
        assert (found.runs, found.failed_runs, found.users, found.sessions) == (2, 1, 2, 0), by
    week = busy.usage.activity(UsageBy.WEEK, since=AT, until=AT + timedelta(hours=1, minutes=1))
    assert rows(week) == {"2026-03-02": (3, 2, 1, 0, 2)}


def test_who_only_called_was_active_as_long_as_a_call_of_theirs_is_left(busy: Facing) -> None:
    day, later = AT.replace(hour=0), AT + timedelta(days=4)
    for user, at in (("cleo", AT), ("cleo", later), ("ben", later)):
        busy.llm_calls.record(NewLLMCall(model="m", timestamp=at), user=user)
    assert {key: row[-1] for key, row in rows(busy.usage.activity()).items()} == {
        "2026-03-02": 3, "2026-03-03": 1, "2026-03-06": 2
    }  # fmt: skip
    assert busy.usage.activity().users == 3
    assert busy.usage.activity(since=day + timedelta(days=4), until=day + timedelta(days=5)).users == 2
    assert busy.scoped(user="cleo").usage.activity().users == 1
    cleo = busy.users.details("cleo").figures.user.id

    def left(conn: Connection, scope: Scope, calls: int) -> None:
        mine = (*within(scope, usage_days), usage_days.c.user_uuid == cleo)
        conn.run(update(usage_days).where(*mine).values(calls=calls))

    busy.run(left, 0)
    assert {key: row[-1] for key, row in rows(busy.usage.activity()).items()} == {
        "2026-03-02": 2, "2026-03-03": 1, "2026-03-06": 1
    }  # fmt: skip
    busy.run(left, 1)


def test_the_percentile_is_of_the_last_runs_that_ended_and_unknown_without_any(store: Facing, busy: Facing) -> None:
    found = busy.usage.activity()
    assert found.timed_runs == 4
    assert found.run_p95_ms == pytest.approx(20_000 + 0.85 * (250_000 - 20_000), abs=2)
    none = busy.usage.activity(since=AT + timedelta(days=9))
    assert (none.rows, none.run_p95_ms, none.failed_share, none.timed_runs) == ((), None, None, 0)
    assert TIMED_RUNS >= 1000
    assert ActivityRow(key="x").other_runs == 0


def test_sub_agents_can_be_left_out_of_activity(busy: Facing, clock: HeldClock) -> None:
    whole, parent = busy.usage.activity(), busy.runs.get("a")
    clock.at = AT + timedelta(hours=3)
    below = busy.runs.start(NewRun(run_id="below", parent_uuid=parent.id)).id
    clock.at += timedelta(days=2)
    busy.runs.fail(below, "x")
    busy.llm_calls.record(
        NewLLMCall(model="m", cost_nanos=100, status=CallStatus.ERROR, timestamp=AT, run_uuid=below, is_subagent=True)
    )
    with_it = busy.usage.activity()
    assert (with_it.runs, with_it.failed_runs, with_it.failed_nanos) == (6, 2, 112)
    for by in (UsageBy.HOUR, UsageBy.DAY):
        without = busy.usage.activity(by, include_subagents=False)
        assert (without.runs, without.failed_runs, without.failed_nanos) == (5, 1, 12), by
        assert (without.run_p95_ms, without.timed_runs) == (whole.run_p95_ms, 4), by


def test_activity_has_periods_of_time_only(store: Facing) -> None:
    for by in (UsageBy.MODEL, UsageBy.TOTAL):
        with pytest.raises(InvalidFilter, match="must be one of hour, day, week, month"):
            store.usage.activity(by)


@covers("runs.broken")
def test_runs_that_broke_their_promise_are_told_whether_or_not_they_were_ended_for_it(
    store: Facing, clock: HeldClock
) -> None:
    for name, alive_s in (("silent", 60), ("no promise", None), ("alive", 10_000)):
        clock.at = AT
        run = store.runs.start(NewRun(run_id=name))
        store.runs.heartbeat(run.id, alive_s=alive_s)
    assert store.runs.broken() == ()
    clock.at = AT + timedelta(seconds=61)
    assert [run.run_id for run in store.runs.broken(since=AT + timedelta(days=1))] == ["silent"]
    store.runs.close_abandoned()
    assert [run.run_id for run in store.runs.broken()] == ["silent"]
    assert store.runs.broken(since=AT + timedelta(days=1)) == () == store.runs.broken(until=AT - timedelta(days=1))
    assert store.scoped(user="somebody else").runs.broken() == ()
