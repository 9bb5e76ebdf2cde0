"""Usage by everything people ask for, days, performance, blocks: each figure is the sum of the calls behind it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.exceptions import Forbidden, InvalidFilter, InvalidValue
from agentrecord.ids import NIL
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.store.usage import FEW_NAMES, SORTED_BY
from faces import Facing, covers

AT = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)  # a Monday


@pytest.fixture
def used(store: Facing) -> Facing:
    """Return a store with six calls; the cost of call n is 10**n."""
    top = store.sessions.create(
        NewSession(session_id="top", agent_id="bot", coding=CodingDetails(tool_name="t", working_directory="/w")),
        user="anna",
    ).id
    low = store.sessions.create(NewSession(session_id="low", parent_uuid=top), user="anna").id
    plain = store.sessions.create(NewSession(session_id="plain"), user="ben").id
    rows: tuple[tuple[Any, str, str | None, int, bool], ...] = (
        (top, "m1", "h1", 0, False), (top, "m1", "h1", 1, False), (low, "m2", "h1", 2, True),
        (plain, "m1", "h2", 30, False), (plain, "m2", None, 31, False), (None, "m3", None, 200, False),
    )  # fmt: skip
    for power, (session, model, host, hours, sub) in enumerate(rows):
        store.llm_calls.record(
            NewLLMCall(
                model=model, host=host, session_uuid=session, timestamp=AT + timedelta(hours=hours), is_subagent=sub,
                tokens=TokenCounts(input=1, output=1), cost_nanos=10**power, latency_ms=100 * (power + 1),
                status=CallStatus.ERROR if power == 5 else CallStatus.SUCCESS,
            )
        )  # fmt: skip
    return store


def costs(store: Facing, by: UsageBy, **more: Any) -> dict[str, int]:
    """Return a report as costs by key, having checked that the rows add up."""
    report = store.usage.report(by, **more)
    found = {row.key: row.totals.cost_nanos for row in report.rows}
    assert sum(found.values()) == report.total.cost_nanos
    assert sum(row.totals.calls for row in report.rows) == report.total.calls
    return found


@covers("usage.report")
def test_a_report_has_one_row_for_each_of_what_it_is_by(used: Facing) -> None:
    assert costs(used, UsageBy.HOUR) == {
        "2026-03-02 22:00": 1, "2026-03-02 23:00": 10, "2026-03-03 00:00": 100, "2026-03-04 04:00": 1000,
        "2026-03-04 05:00": 10**4, "2026-03-11 06:00": 10**5,
    }  # fmt: skip
    assert costs(used, UsageBy.DAY) == {"2026-03-02": 11, "2026-03-03": 100, "2026-03-04": 11000, "2026-03-11": 10**5}
    assert costs(used, UsageBy.WEEK) == {"2026-03-02": 11111, "2026-03-09": 10**5}
    assert costs(used, UsageBy.MONTH) == {"2026-03": 111111}
    assert costs(used, UsageBy.MODEL) == {"m1": 1011, "m2": 10100, "m3": 10**5}
    assert costs(used, UsageBy.HOST) == {"h1": 111, "h2": 1000, "unknown": 110000}
    assert costs(used, UsageBy.USER) == {"anna": 111, "ben": 11000, "unassigned": 10**5}
    assert costs(used, UsageBy.PROJECT) == {"default": 111111}
    assert costs(used, UsageBy.TOTAL) == {"all": 111111}
    assert costs(used, UsageBy.VERSION) == {"no version": 111111}
    assert costs(used, UsageBy.TOOL) == {"no tool": 111111}
    assert costs(used, UsageBy.SESSION) == {"top": 111, "plain": 11000, "no session": 10**5}
    by_directory = costs(used, UsageBy.DIRECTORY)
    assert by_directory.pop("/w") == 111
    assert sum(by_directory.values()) == 111000


def test_an_agents_usage_is_that_of_its_sessions(used: Facing) -> None:
    found = costs(used, UsageBy.AGENT)
    assert found["bot"] in (11, 111)
    assert sum(found.values()) == 111111


def test_sub_agents_can_be_left_out_of_every_report(used: Facing) -> None:
    for by in UsageBy:
        assert used.usage.report(by, include_subagents=False).total.cost_nanos == 111011, by


def test_a_sub_agents_call_is_left_out_whichever_session_it_was_made_in(used: Facing) -> None:
    top = used.sessions.get("top").id
    used.llm_calls.record(NewLLMCall(model="m1", session_uuid=top, is_subagent=True, cost_nanos=7, timestamp=AT))
    for by in UsageBy:
        assert used.usage.report(by, include_subagents=False).total.cost_nanos == 111011, by
    assert costs(used, UsageBy.SESSION, include_subagents=False) == {"top": 11, "plain": 11000, "no session": 10**5}
    found = used.usage.sessions(include_subagents=False)
    assert [row.totals.cost_nanos for row in found.rows] == [10**5, 11000, 11]


def test_every_report_of_one_range_has_the_same_total(used: Facing) -> None:
    for since, until, cost in (
        (AT.replace(minute=0) + timedelta(hours=1), AT + timedelta(hours=30), 1110),
        (AT.replace(hour=0, minute=0), AT.replace(hour=0, minute=0) + timedelta(days=2), 111),
        (None, AT, 1), (AT + timedelta(days=3), None, 10**5),
    ):  # fmt: skip
        totals = {by: used.usage.report(by, since=since, until=until).total.cost_nanos for by in UsageBy}
        assert set(totals.values()) == {cost}, totals


@covers("usage.total")
def test_a_total_is_that_of_every_report_of_the_range(used: Facing) -> None:
    for edges in ({}, {"since": AT + timedelta(hours=2)}, {"until": AT, "include_subagents": False}):
        assert used.usage.total(**edges) == used.usage.report(UsageBy.MODEL, **edges).total
    ben = used.scoped(user="ben").usage
    assert (ben.total().calls, ben.total(since=AT + timedelta(days=9))) == (2, UsageTotals())


def test_a_record_began_with_its_first_call_of_whoever_asks(used: Facing) -> None:
    first, bens = (min(row.first_at for row in one.usage.report(UsageBy.MODEL).rows)
                   for one in (used, used.scoped(user="ben")))  # fmt: skip
    assert (used.usage.span()[0], used.scoped(user="ben").usage.span()[0]) == (first, bens)
    assert first < bens
    assert used.scoped(project="other").usage.span() is None


@covers("usage.span")
def test_a_span_is_from_the_first_call_of_a_range_to_its_last(used: Facing) -> None:
    hours = {name: AT + timedelta(hours=n) for n, name in ((0, "first"), (2, "sub"), (30, "ben"), (200, "last"))}
    assert used.usage.span() == (hours["first"], hours["last"])
    assert used.usage.span(since=hours["sub"], until=hours["ben"]) == (hours["sub"], hours["ben"])
    assert used.usage.span(since=hours["sub"], include_subagents=False) == (hours["ben"], hours["last"])
    assert used.scoped(user="ben").usage.span() == (hours["ben"], hours["ben"] + timedelta(hours=1))
    assert used.usage.span(since=AT + timedelta(days=90)) is None


@covers("usage.sessions")
@pytest.mark.parametrize("sort", ["cost", "calls", "input", "-cost", "-output"])
def test_the_first_sessions_are_those_of_the_report_in_the_order_that_was_asked_for(used: Facing, sort: str) -> None:
    for edges in ({}, {"since": AT + timedelta(hours=1)}, {"until": AT + timedelta(hours=40)},
                  {"since": AT, "include_subagents": False}, {"since": AT + timedelta(days=30)},
                  {"include_subagents": False}):  # fmt: skip
        rows = used.usage.report(UsageBy.SESSION, **edges).rows
        for limit in (1, 2, 50):
            found = used.usage.sessions(sort=sort, limit=limit, **edges)
            assert (found.count, len(found.rows)) == (len(rows), min(limit, len(rows)))
            assert set(found.rows) <= set(rows)
            told = [getattr(row.totals, SORTED_BY[sort.removeprefix("-")]) for row in found.rows]
            every = sorted((getattr(row.totals, SORTED_BY[sort.removeprefix("-")]) for row in rows),
                           reverse=sort.startswith("-"))  # fmt: skip
            assert told == every[:limit]
    with pytest.raises(InvalidFilter, match="must be one of calls, input, cache_read, output, cost"):
        used.usage.sessions(sort="-title")


@covers("usage.names")
def test_names_come_in_the_order_in_which_they_were_stored_whatever_time_they_tell_of(used: Facing) -> None:
    assert used.usage.names(UsageBy.MODEL) == ("m1", "m2", "m3")
    assert used.usage.names(UsageBy.HOST) == ("h1", "h2", "unknown")
    assert used.usage.names(UsageBy.USER) == ("anna", "ben", "unassigned")
    assert used.usage.names(UsageBy.AGENT) == ("bot",)
    assert used.usage.names(UsageBy.PROJECT) == ("default",)
    used.llm_calls.record(NewLLMCall(model="a", host="older", timestamp=AT - timedelta(days=900)))
    assert used.usage.names(UsageBy.MODEL) == ("m1", "m2", "m3", "a")
    ben = used.scoped(user="ben").usage
    assert (ben.names(UsageBy.MODEL), ben.names(UsageBy.USER)) == (("m1", "m2"), ("ben",))
    assert used.scoped(project="other").usage.names(UsageBy.MODEL) == ()
    with pytest.raises(InvalidFilter, match="must be one of model"):
        used.usage.names(UsageBy.SESSION)


def test_what_is_not_told_apart_in_a_series_is_one_row_of_each_period(used: Facing) -> None:
    found = used.usage.series(UsageBy.MODEL, by=UsageBy.WEEK, apart=["m1"])
    assert [(row.key, row.split, row.totals.cost_nanos) for row in sorted(found, key=lambda row: row.totals.calls)] == [
        ("2026-03-09", None, 10**5), ("2026-03-02", None, 10100), ("2026-03-02", "m1", 1011),
    ]  # fmt: skip


@pytest.mark.parametrize("many", [0, 2 * FEW_NAMES])
def test_few_names_and_many_are_told_apart_alike(used: Facing, many: int) -> None:
    for split, named in ((UsageBy.MODEL, "m2"), (UsageBy.AGENT, "unknown"), (UsageBy.AGENT, "bot"),
                         (UsageBy.HOST, "unknown"), (UsageBy.USER, "ben")):  # fmt: skip
        expected: dict[tuple[str, str | None], UsageTotals] = {}
        for row in used.usage.series(split, by=UsageBy.WEEK):
            place = row.key, row.split if row.split == named else None
            expected[place] = expected.get(place, UsageTotals()) + row.totals
        apart = [named, *[f"nobody {place}" for place in range(many)]]
        found = used.usage.series(split, by=UsageBy.WEEK, apart=apart)
        assert {(row.key, row.split): row.totals for row in found} == expected, (split, named)


@pytest.fixture
def tooled(store: Facing) -> Facing:
    """Return a store with calls of two versions' runs, of a run without one and of none, and uses of tools."""
    versions = {number: store.agents.create_version("bot", number).id for number in ("1.0", "2 beta")}
    placed: list[dict[str, Any]] = []
    for name, version in (("a", "1.0"), ("b", "2 beta"), ("c", None)):
        new = NewRun(run_id=name, agent_id="bot", agent_version_uuid=None if version is None else versions[version])
        placed.append({"run_uuid": store.runs.start(new, user="anna").id})
    placed.append({"session_uuid": store.sessions.create(NewSession(session_id="s"), user="ben").id})
    placed.append({})
    asked: tuple[tuple[int, int, tuple[str, ...]], ...] = (
        (0, 10, ("Read", "Read", "Bash")), (0, 100, ()), (1, 1000, ("Bash", "Read", "Write")), (2, 10**4, ("Read",)),
        (3, 10**5, ("Bash",)), (4, 10**6, ()),
    )  # fmt: skip
    for minutes, (place, cost, names) in enumerate(asked):
        at = AT + timedelta(minutes=20 * minutes)
        tokens = TokenCounts(input=cost, output=1)
        store.llm_calls.record(NewLLMCall(model="m", cost_nanos=cost, tokens=tokens, timestamp=at, **placed[place]))
        for later, name in enumerate(names):
            new_use = NewToolCall(tool_name=name, started_at=at + timedelta(minutes=later), **placed[place])
            store.tool_calls.record(new_use)
    return store


def test_a_call_is_of_the_version_of_its_runs_agent(tooled: Facing) -> None:
    first, second = "agent:bot version:1.0", 'agent:bot version:"2 beta"'
    assert costs(tooled, UsageBy.VERSION) == {first: 110, second: 1000, "no version": 1110000}
    assert [run.run_id for run in tooled.runs.list(RunFilter(query=second))] == ["b"]
    labels = {row.label for row in tooled.usage.report(UsageBy.VERSION).rows}
    assert labels == {"bot 1.0", "bot 2 beta", "no version"}
    hour = {"since": AT.replace(minute=0), "until": AT.replace(minute=0) + timedelta(hours=1)}
    assert costs(tooled, UsageBy.VERSION, **hour) == {first: 110}
    assert costs(tooled.scoped(user="ben"), UsageBy.VERSION) == {"no version": 10**5}


def test_what_a_call_cost_is_divided_among_the_tools_that_it_asked_for_to_the_nano_dollar(tooled: Facing) -> None:
    report = tooled.usage.report(UsageBy.TOOL)
    assert {row.key: (row.totals.cost_nanos, row.totals.calls) for row in report.rows} == {
        "Bash": (5 + 334 + 10**5, 3), "Read": (5 + 333 + 10**4, 3), "Write": (333, 1), "no tool": (100 + 10**6, 2),
    }  # fmt: skip
    assert report.total == tooled.usage.report(UsageBy.TOTAL).total
    for name in ("cost_nanos", "input_tokens", "output_tokens", "total_tokens"):
        assert sum(getattr(row.totals, name) for row in report.rows) == getattr(report.total, name), name
    assert [row.key for row in report.rows] == ["no tool", "Bash", "Read", "Write"]


def test_a_tool_used_after_the_end_of_a_range_counts_for_the_call_in_it_that_asked(tooled: Facing) -> None:
    hour = AT.replace(minute=0) + timedelta(hours=1)
    late = NewRun(run_id="late", agent_id="bot")
    run = tooled.runs.start(late, user="anna").id
    tooled.llm_calls.record(NewLLMCall(model="m", cost_nanos=7, run_uuid=run, timestamp=hour - timedelta(seconds=1)))
    tooled.tool_calls.record(NewToolCall(tool_name="Wait", run_uuid=run, started_at=hour + timedelta(seconds=1)))
    before = {row.key: row.totals.cost_nanos for row in tooled.usage.report(UsageBy.TOOL, until=hour).rows}
    assert before == {"Bash": 5, "Read": 5, "Wait": 7, "no tool": 100}
    after = {row.key: row.totals.cost_nanos for row in tooled.usage.report(UsageBy.TOOL, since=hour).rows}
    whole = {row.key: row.totals.cost_nanos for row in tooled.usage.report(UsageBy.TOOL).rows}
    assert "Wait" not in after
    assert {key: before.get(key, 0) + after.get(key, 0) for key in whole} == whole


def test_of_the_hour_that_a_range_begins_in_the_uses_of_tools_count_as_its_calls_do(tooled: Facing) -> None:
    hour = AT.replace(minute=0)
    from_start, from_end = (tooled.usage.report(UsageBy.TOOL, since=hour + timedelta(minutes=m)) for m in (0, 59))
    assert from_start == from_end
    assert len(from_start.rows) == 4


def test_days_are_those_of_the_time_zone_asked_for(used: Facing) -> None:
    assert costs(used, UsageBy.DAY, utc_offset_minutes=120) == {
        "2026-03-03": 111, "2026-03-04": 11000, "2026-03-11": 10**5,
    }  # fmt: skip
    assert costs(used, UsageBy.DAY, utc_offset_minutes=-360)["2026-03-02"] == 111


@covers("usage.series")
def test_a_series_splits_each_day_and_adds_up_to_it(used: Facing) -> None:
    found = {(row.key, row.split): row.totals.cost_nanos for row in used.usage.series(UsageBy.MODEL)}
    assert found == {
        ("2026-03-02", "m1"): 11, ("2026-03-03", "m2"): 100, ("2026-03-04", "m1"): 1000, ("2026-03-04", "m2"): 10**4,
        ("2026-03-11", "m3"): 10**5,
    }  # fmt: skip
    for split in (UsageBy.HOST, UsageBy.USER, UsageBy.AGENT):
        assert sum(row.totals.cost_nanos for row in used.usage.series(split)) == 111111
    hourly = used.usage.series(UsageBy.MODEL, by=UsageBy.HOUR, since=AT, until=AT + timedelta(hours=1, minutes=30))
    assert [row.key for row in hourly] == ["2026-03-02 22:00", "2026-03-02 23:00"]


def test_models_hosts_users_agents_and_projects_can_be_crossed_with_each_other(used: Facing) -> None:
    found = {(row.key, row.split): row.totals.cost_nanos for row in used.usage.series(UsageBy.USER, by=UsageBy.MODEL)}
    assert found == {
        ("m1", "anna"): 11, ("m1", "ben"): 1000, ("m2", "anna"): 100, ("m2", "ben"): 10**4, ("m3", "unassigned"): 10**5,
    }  # fmt: skip
    names = (UsageBy.MODEL, UsageBy.HOST, UsageBy.USER, UsageBy.AGENT, UsageBy.PROJECT)
    for by in (*names, UsageBy.WEEK, UsageBy.MONTH):
        for split in names:
            rows = used.usage.series(split, by=by)
            assert sum(row.totals.cost_nanos for row in rows) == 111111, (by, split)
            assert len({(row.key, row.split) for row in rows}) == len(rows), (by, split)
    report = used.usage.report(UsageBy.MODEL, split=UsageBy.USER)
    assert set(report.rows) == set(used.usage.series(UsageBy.USER, by=UsageBy.MODEL))
    assert [row.totals.cost_nanos for row in report.rows] == [10**5, 10**4, 1000, 100, 11]
    ahead = used.usage.report(UsageBy.DAY, split=UsageBy.MODEL, utc_offset_minutes=120)
    assert (ahead.rows[0].key, ahead.total.cost_nanos) == ("2026-03-03", 111111)
    with pytest.raises(InvalidFilter, match="another"):
        used.usage.report(UsageBy.MODEL, split=UsageBy.MODEL)
    without = used.usage.series(UsageBy.HOST, by=UsageBy.MODEL, since=AT + timedelta(hours=2), include_subagents=False)
    assert sum(row.totals.cost_nanos for row in without) == 111000
    for wrong in ({"by": UsageBy.SESSION}, {"by": UsageBy.TOTAL}):
        with pytest.raises(InvalidFilter, match="cannot be split"):
            used.usage.series(UsageBy.MODEL, **wrong)
    with pytest.raises(InvalidFilter, match="must be one of"):
        used.usage.series(UsageBy.DIRECTORY)


@covers("usage.blocks")
def test_a_block_lasts_five_hours_from_the_hour_of_its_first_call(used: Facing) -> None:
    blocks = used.usage.blocks()
    starts = [
        AT.replace(minute=0),
        AT.replace(minute=0) + timedelta(hours=30),
        AT.replace(minute=0) + timedelta(hours=200),
    ]
    assert [b.start_at for b in blocks] == starts
    assert [b.totals.cost_nanos for b in blocks] == [111, 11000, 10**5]
    assert all(b.end_at - b.start_at == timedelta(hours=5) for b in blocks)
    assert blocks[0].models == ("m1", "m2")
    assert (blocks[0].first_at, blocks[0].last_at) == (AT, AT + timedelta(hours=2))
    assert used.usage.blocks(include_subagents=False)[0].totals.cost_nanos == 11
    assert len(used.usage.blocks(since=AT + timedelta(days=1))) == 2
    assert [b.is_active for b in blocks] == [False, False, False]


def test_the_last_block_is_active_while_it_lasts(store: Facing) -> None:
    store.llm_calls.record(NewLLMCall(model="m", cost_nanos=1))
    assert [b.is_active for b in store.usage.blocks()] == [True]


@covers("usage.daily")
def test_a_day_has_a_row_for_each_user_and_agent(used: Facing) -> None:
    rows = used.usage.daily(since=AT.replace(hour=0, minute=0), until=AT.replace(hour=0, minute=0) + timedelta(days=3))
    by_user: dict[str, int] = {}
    for row in rows:
        by_user[row.user] = by_user.get(row.user, 0) + row.totals.cost_nanos
    assert by_user == {"anna": 111, "ben": 11000}
    assert sum(row.totals.cost_nanos for row in used.usage.daily()) == 111111
    assert sum(row.session_count for row in used.usage.daily()) == 3


@covers("usage.performance")
def test_performance_has_exact_sums_and_percentiles_within_nine_percent(used: Facing) -> None:
    days = {d.date.isoformat(): d for d in used.usage.performance() if d.totals.calls}
    last = days["2026-03-11"]
    assert (last.error_rate, last.success_rate, last.agent_id) == (1.0, None, None)
    assert last.latency_p50_ms == pytest.approx(600, rel=0.091)
    used.sessions.update("plain", SessionChanges(user_satisfaction=0.5))
    rated = [d for d in used.usage.performance() if d.satisfaction_count]
    assert [(d.satisfaction_sum, d.total_sessions) for d in rated] == [(0.5, 2)]
    with pytest.raises(Forbidden):
        used.scoped(user="anna").usage.performance()


def test_percentiles_of_a_day_are_those_of_its_calls(store: Facing) -> None:
    for latency in range(1, 101):
        store.llm_calls.record(NewLLMCall(model="m", latency_ms=latency * 10, timestamp=AT))
    (day,) = store.usage.performance()
    assert day.latency_p50_ms == pytest.approx(500, rel=0.1)
    assert day.latency_p95_ms == pytest.approx(950, rel=0.1)


@covers("usage.recount")
def test_a_recount_tells_a_figure_that_was_changed_behind_its_back(used: Facing) -> None:
    assert used.usage.recount() == ()
    used.sql("UPDATE ar_sessions SET cost_nanos = cost_nanos + 1 WHERE session_id = ?", "top")
    (told,) = used.usage.recount()
    assert (told.table, told.figure, told.kept, told.counted) == ("ar_sessions", "cost_nanos", 12, 11)
    used.sql("UPDATE ar_sessions SET cost_nanos = cost_nanos - 1 WHERE session_id = ?", "top")
    used.sql("UPDATE ar_usage_days SET calls = calls + 1 WHERE user_uuid <> ? AND cost_nanos = 1000", NIL)
    assert [(d.table, d.figure) for d in used.usage.recount()] == [("ar_usage_days", "calls")]
    used.sql("UPDATE ar_usage_days SET calls = calls - 1 WHERE user_uuid <> ? AND cost_nanos = 1000", NIL)


def test_a_range_needs_a_time_zone(store: Facing) -> None:
    naive = datetime(2026, 1, 1)
    for name, call in (
        ("since", store.usage.report), ("until", store.usage.report), ("since", store.usage.daily),
        ("until", store.usage.daily), ("since", store.usage.performance), ("since", store.usage.blocks),
        ("since", store.tool_calls.figures), ("until", store.tool_calls.figures), ("since", store.llm_calls.list),
        ("until", store.llm_calls.list), ("since", store.imports.unreadable), ("since", store.prices.reprice),
    ):  # fmt: skip
        with pytest.raises(InvalidValue) as refused:
            call(**{name: naive})
        assert refused.value.field == name
    for by in (UsageBy.SESSION, UsageBy.DIRECTORY):
        with pytest.raises(InvalidValue):
            store.usage.report(by, since=naive)
    with pytest.raises(InvalidValue):
        store.messages.search("x", since=naive)


def test_coding_plan_windows_are_the_same_from_wherever_they_are_asked(store: Facing) -> None:
    for hour in (10, 14, 15):
        at = datetime(2026, 1, 5, hour, 30, tzinfo=UTC)
        store.llm_calls.record(NewLLMCall(model="m", tokens=TokenCounts(input=1, output=1), timestamp=at))
    whole = store.usage.blocks()
    assert [(b.start_at.hour, b.totals.calls) for b in whole] == [(10, 2), (15, 1)]
    assert store.usage.blocks(since=datetime(2026, 1, 5, 14, tzinfo=UTC)) == whole
    assert store.usage.blocks(since=datetime(2026, 1, 5, 15, tzinfo=UTC)) == whole[1:]


def test_days_of_half_hour_time_zones_are_refused(store: Facing) -> None:
    with pytest.raises(InvalidFilter, match="whole hours"):
        store.usage.report(UsageBy.DAY, utc_offset_minutes=330)
