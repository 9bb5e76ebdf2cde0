"""How SQLite finds what is asked for: by the narrow index, whatever the record holds.

No statistics are kept, so that a plan is the same over ten rows and ten million, and cannot become worse one day.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from agentrecord import Store
from agentrecord.engine import Connection
from agentrecord.ids import UserId
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.usage import UsageBy
from agentrecord.store import (
    activity,
    agent_figures,
    error_groups,
    errors,
    llm_calls,
    prices,
    runs,
    tool_calls,
    usage,
    user_figures,
)

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
DAY = AT.replace(hour=0)
WHOLE = re.compile(
    r"(?:SCAN|SEARCH) ar_(?:runs|llm_calls|tool_calls|sessions|usage_days|usage_hours)\b(?!.*\(project_id=\? AND)"
)
"""A step that reads everything that a project has of what there may be millions of."""

Asked = Callable[[Connection, Scope, dict[str, UUID]], object]


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[Store, dict[str, UUID]]]:
    with Store("memory:") as store:
        session = store.sessions.create(NewSession(session_id="s", agent_id="bot"), user="anna")
        run = store.runs.start(NewRun(run_id="r", agent_id="bot", session_uuid=session.id, started_at=AT), user="anna")
        store.llm_calls.record(
            NewLLMCall(model="m", run_uuid=run.id, session_uuid=session.id, cost_nanos=5, timestamp=AT)
        )
        yield store, {"session": session.id, "run": run.id}


def plans(store: tuple[Store, dict[str, UUID]], asked: Asked) -> list[list[str]]:
    """Return the steps of each statement that an operation runs."""
    record, ids = store

    def steps(conn: Connection, scope: Scope) -> list[list[str]]:
        said: list[str] = []
        conn.observer = said.append
        try:
            asked(conn, scope, ids)
        finally:
            conn.observer = None
        return [
            [row[3] for row in conn.text(f"EXPLAIN QUERY PLAN {sql}", [0] * sql.count("?"))]
            for sql in said
            if sql.lstrip().startswith(("SELECT", "WITH"))
        ]

    return record.run(steps)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda c, s, i: runs.list_(c, s, RunFilter(session_uuid=i["session"])), id="runs of a session"),
        pytest.param(lambda c, s, i: runs.list_(c, s, RunFilter(query="status:error", since=AT)), id="failed runs"),
        pytest.param(
            lambda c, s, i: tool_calls.list_(c, s, status=ToolCallStatus.ERROR, sort="-started_at", since=AT),
            id="failed uses of tools",
        ),
        pytest.param(
            lambda c, s, i: tool_calls.list_(c, s, status=ToolCallStatus.ERROR), id="all failed uses of tools"
        ),
        pytest.param(lambda c, s, i: runs.tree(c, s, i["run"]), id="a run's tree"),
        pytest.param(lambda c, s, i: llm_calls.list_(c, s, run=i["run"]), id="calls of a run"),
        pytest.param(lambda c, s, i: llm_calls.list_(c, s, session=i["session"]), id="calls of a session"),
        pytest.param(lambda c, s, i: activity.broken(c, s), id="runs without a sign of life"),
        pytest.param(lambda c, s, i: user_figures.details(c, s, "anna"), id="a user"),
        pytest.param(lambda c, s, i: agent_figures.details(c, s, "bot"), id="an agent"),
        pytest.param(lambda c, s, i: prices.uses(c, s, since=DAY), id="models of some days"),
        pytest.param(lambda c, s, i: prices.behind(c, s, since=DAY), id="prices behind some days"),
        pytest.param(lambda c, s, i: runs.get(c, s, i["run"], with_subtree=True), id="prices behind a run"),
        pytest.param(lambda c, s, i: usage.span(c, s, since=DAY), id="the first and last call of some days"),
        pytest.param(lambda c, s, i: usage.report(c, s, UsageBy.USER, since=DAY), id="users of some days"),
        pytest.param(lambda c, s, i: usage.report(c, s, UsageBy.AGENT, since=AT), id="agents of some hours"),
        pytest.param(lambda c, s, i: usage.sessions(c, s, since=AT), id="sessions of some hours"),
        pytest.param(lambda c, s, i: usage.series(c, s, UsageBy.USER, since=DAY, apart=["a"]), id="some users of days"),
        pytest.param(lambda c, s, i: activity.activity(c, s, since=DAY), id="what was done on some days"),
        pytest.param(lambda c, s, i: usage.names(c, s, UsageBy.MODEL), id="names of models"),
    ],
)
def test_a_narrow_question_reads_no_whole_project(store: tuple[Store, dict[str, UUID]], asked: Asked) -> None:
    found = plans(store, asked)
    assert found
    assert [step for steps in found for step in steps if WHOLE.search(step)] == []


def test_rows_of_a_page_are_read_by_their_ids(store: tuple[Store, dict[str, UUID]]) -> None:
    for wanted in (RunFilter(), RunFilter(agent_id="bot"), RunFilter(query="has:error", since=AT)):
        steps, *_ = plans(store, lambda c, s, i, wanted=wanted: runs.list_(c, s, wanted))  # type: ignore[misc]
        assert any("SEARCH ar_runs USING INDEX sqlite_autoindex_ar_runs_1 (project_id=? AND id=?)" in s for s in steps)


def test_runs_of_a_named_session_are_counted_by_it(store: tuple[Store, dict[str, UUID]]) -> None:
    *_, counted = plans(store, lambda c, s, i: runs.list_(c, s, RunFilter(query="session:s")))
    assert any("ix_ar_runs_session (project_id=? AND session_uuid=?)" in step for step in counted)


@pytest.mark.parametrize(
    ("by", "split"),
    [
        (UsageBy.MODEL, None), (UsageBy.USER, None), (UsageBy.AGENT, None), (UsageBy.DAY, None),
        (UsageBy.VERSION, None), (UsageBy.VERSION, UsageBy.MODEL),
    ],
)  # fmt: skip
def test_figures_of_all_time_are_added_up_without_sorting_the_days(
    store: tuple[Store, dict[str, UUID]], by: UsageBy, split: UsageBy | None
) -> None:
    steps, *names = plans(store, lambda c, s, i: usage.report(c, s, by, split=split, name_unpriced=False))
    assert len(names) == (by is UsageBy.VERSION)
    sorted_after = steps.index(next(step for step in steps if "ar_usage_days" in step)) + 1
    assert "TEMP B-TREE" not in steps[sorted_after], steps


def test_told_errors_and_those_of_one_user_are_found_by_an_index_however_many_were_derived(
    store: tuple[Store, dict[str, UUID]],
) -> None:
    expected: list[tuple[Asked, str]] = [
        (lambda c, s, i: errors.list_(c, s), "ix_ar_errors_told"),
        (lambda c, s, i: errors.list_(c, s, derived=True), "ix_ar_errors_created"),
        (lambda c, s, i: error_groups.groups(c, replace(s, user=UserId(i["run"]))), "ix_ar_errors_user"),
    ]
    for asked, index in expected:
        steps, *_ = plans(store, asked)
        assert any(f"INDEX {index} (project_id=?" in step for step in steps), steps
