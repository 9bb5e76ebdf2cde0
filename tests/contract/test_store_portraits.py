"""Agents and users with their figures: sums of the rollups over whole days, held against the calls themselves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from agentrecord.exceptions import InvalidFilter, NotFound
from agentrecord.records.error import ErrorStatus, NewError
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession, SessionChanges
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import DayCount, NamedCount, UsageTotals
from agentrecord.store.words import AGENT_WORDS, GROUP_WORDS, USER_WORDS
from faces import Facing, covers

DAY = timedelta(days=1)
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(
    store: Facing, name: str, *, user: str, agent: str, at: datetime = AT, cost: int | None = 1_000_000,
    fails: bool = False, model: str = "m", version: UUID | None = None,
) -> None:  # fmt: skip
    """Record a run of one call and one use of a tool, which fails where the run does."""
    session = store.sessions.create(NewSession(session_id=name, agent_id=agent, created_at=at), user=user)
    started = store.runs.start(
        NewRun(run_id=name, agent_id=agent, session_uuid=session.id, started_at=at, agent_version_uuid=version)
    )
    store.llm_calls.record(
        NewLLMCall(model=model, run_uuid=started.id, session_uuid=session.id, timestamp=at, cost_nanos=cost,
                   tokens=TokenCounts(input=10, output=5), latency_ms=1000)
    )  # fmt: skip
    tool = store.tool_calls.record(NewToolCall(tool_name="t", run_uuid=started.id, started_at=at))
    store.tool_calls.finish(tool.id, error_message="no" if fails else None, finished_at=at)
    if fails:
        store.runs.fail(started.id, "it broke")
    else:
        store.runs.finish(started.id)


def filled(store: Facing) -> None:
    run(store, "1", user="anna", agent="coder")
    run(store, "2", user="anna", agent="coder", at=AT + DAY, fails=True, model="n", cost=5_000_000)
    run(store, "3", user="ben", agent="coder", at=AT + 2 * DAY, cost=None)
    run(store, "4", user="ben", agent="writer", at=AT + 2 * DAY, cost=9_000_000)


@covers("agents.report")
def test_agents_are_listed_with_what_their_runs_did_and_cost(store: Facing) -> None:
    filled(store)
    version = store.agents.create_version("coder", "1.1")
    store.agents.ensure("idle")
    writer, coder, idle = store.agents.report(sort="-cost")
    assert [one.agent.agent_id for one in (writer, coder, idle)] == ["writer", "coder", "idle"]
    assert (coder.runs, coder.completed_runs, coder.failed_runs, coder.sessions) == (3, 2, 1, 3)
    assert (coder.tool_calls, coder.tool_errors, coder.version) == (3, 1, version.version_number)
    assert (coder.usage.calls, coder.usage.cost_nanos, coder.usage.unpriced_calls) == (3, 6_000_000, 1)
    assert coder.error_rate == pytest.approx(1 / 3)
    assert str(coder.cost_per_run_usd) == "0.002"
    assert coder.latency_p95_ms == pytest.approx(1000, rel=0.09)
    assert coder.last_active_at == AT + 2 * DAY
    assert coder.days == tuple(DayCount(date=(AT + n * DAY).date(), count=1) for n in range(3))
    assert (idle.runs, idle.error_rate, idle.cost_per_run_usd, idle.last_active_at) == (0, None, None, None)


def test_a_range_counts_whole_days_and_leaves_out_agents_that_did_nothing_in_it(store: Facing) -> None:
    filled(store)
    (coder,) = store.agents.report(since=AT + timedelta(hours=3), until=AT + timedelta(hours=4))
    assert (coder.runs, coder.usage.calls) == (1, 1)
    assert store.agents.report(since=AT + 30 * DAY).total == 0
    assert store.users.report(until=AT - DAY).total == 0
    assert [one.user.external_id for one in store.users.report(since=AT + 2 * DAY)] == ["ben"]


def test_every_order_is_walked_without_gap_or_repetition(store: Facing) -> None:
    filled(store)
    store.agents.ensure("idle")
    for sort in ("agent_id", "-last_active_at", "runs", "-cost", "tokens"):
        walk(store, sort)
    with pytest.raises(InvalidFilter):
        store.agents.report(sort="shoe size")
    found = store.agents.report(query="agent:w*,cod* errors:0 tokens:>15", limit=1)
    assert (found.total, found.items[0].agent.agent_id) == (1, "coder")


def walk(store: Facing, sort: str) -> None:
    found, cursor = [], None
    while True:
        page = store.agents.report(sort=sort, limit=1, cursor=cursor)
        found.extend(one.agent.agent_id for one in page)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [one.agent.agent_id for one in store.agents.report(sort=sort)]
    assert sorted(found) == ["coder", "idle", "writer"]


@covers("agents.details")
def test_an_agent_is_told_by_model_day_and_tool(store: Facing) -> None:
    filled(store)
    details = store.agents.details("coder")
    assert details == store.agents.details(str(details.figures.agent.id))
    assert [(row.key, row.totals.calls) for row in details.models] == [("n", 1), ("m", 2)]
    assert [(row.key, row.split) for row in details.spend] == [
        ("2026-01-01", "m"), ("2026-01-02", "n"), ("2026-01-03", "m")
    ]  # fmt: skip
    assert sum(row.totals.cost_nanos for row in details.spend) == details.figures.usage.cost_nanos
    assert [(tool.tool_name, tool.calls, tool.errors) for tool in details.tools] == [("t", 3, 1)]
    assert store.agents.details("coder", since=AT + 30 * DAY).figures.runs == 0
    with pytest.raises(NotFound):
        store.agents.details("nobody")


def test_a_user_sees_the_agents_that_worked_for_them_with_their_own_figures(store: Facing) -> None:
    filled(store)
    anna = store.scoped(user="anna")
    (coder,) = anna.agents.report()
    assert (coder.runs, coder.usage.calls, coder.failed_runs) == (2, 2, 1)
    assert coder.latency_p50_ms == pytest.approx(1000, rel=0.09)
    assert anna.agents.details("coder").figures == coder
    with pytest.raises(NotFound):
        anna.agents.details("writer")


@covers("users.report", "users.details")
def test_users_are_listed_with_what_they_did_and_spent(store: Facing) -> None:
    filled(store)
    store.users.ensure("idle", email="i@example.org")
    ben, anna, *_ = store.users.report(sort="-cost")
    assert (ben.user.external_id, ben.sessions, ben.runs, ben.usage.cost_nanos) == ("ben", 2, 2, 9_000_000)
    assert (ben.usage.unpriced_calls, ben.last_seen_at) == (1, AT + 2 * DAY)
    assert (anna.failed_runs, anna.tool_errors, anna.error_rate) == (1, 1, 0.5)
    for query in ("EXAMPLE.org", "email:*@example.org", "calls:0 -unassigned"):
        assert [one.user.external_id for one in store.users.report(query=query)] == ["idle"], query
    for query in ("has:unpriced", "sessions:2 cost:>0.008", "failed:0 calls:>1", "seen:2026-01-03"):
        assert [one.user.external_id for one in store.users.report(query=query)] == ["ben"], query
    with pytest.raises(InvalidFilter):
        store.users.report(query="shoes:44")
    details = store.users.details("ben")
    assert details == store.users.details(str(ben.user.id))
    assert details.figures == ben
    assert details.agents == (NamedCount(name="coder", count=1), NamedCount(name="writer", count=1))
    assert sum(row.totals.cost_nanos for row in details.models) == 9_000_000
    total = sum(one.usage.cost_nanos for one in store.users.report())
    assert total == store.sql("SELECT sum(cost_nanos) FROM ar_llm_calls")[0][0]
    seen = store.scoped(user="ben")
    assert [one.user.external_id for one in seen.users.report()] == ["ben"]
    with pytest.raises(NotFound):
        seen.users.details("anna")


def test_what_was_done_after_the_last_call_is_seen_by_its_day(store: Facing) -> None:
    run(store, "1", user="anna", agent="coder")
    later = store.sessions.create(NewSession(session_id="2", created_at=AT + 3 * DAY), user="anna")
    store.messages.append(later.id, [NewMessage(role=MessageRole.USER, content="hi", created_at=AT + 3 * DAY)])
    (anna,) = [one for one in store.users.report() if one.user.external_id == "anna"]
    assert anna.last_seen_at == (AT + 3 * DAY).replace(hour=0)


def facets_of(found: Facets) -> dict[str, dict[str, int]]:
    return {facet.word: {value.value: value.count for value in facet.values} for facet in found.facets}


@covers("agents.facets", "users.facets", "errors.group_facets")
def test_a_facet_counts_the_rows_that_are_found_once_it_is_added(store: Facing) -> None:
    filled(store)
    store.agents.create_version("coder", "1.1")
    for user, kind in (("anna", "A"), ("ben", "A"), ("ben", "B, quoted")):
        error = NewError(error_type=kind, error_message="x", agent_id="coder", created_at=AT + DAY)
        store.errors.record(error, user=user)
    lists = {
        "agents.facets": ("agents.report", AGENT_WORDS), "users.facets": ("users.report", USER_WORDS),
        "errors.group_facets": ("errors.groups", GROUP_WORDS),
    }  # fmt: skip
    told: dict[str, set[str]] = {}
    for facets, (rows, words) in lists.items():
        for asked in ({}, {"since": AT + DAY, "until": AT + 2 * DAY}, {"query": "-user:anna"}):
            query = words.parse(asked.get("query", ""))
            for facet in store.call(facets, **asked).facets:
                told.setdefault(facets, set()).add(facet.word)
                for value in facet.values:
                    added = {**asked, "query": str(query.adding(facet.word, value.value))}
                    assert store.call(rows, **added).total == value.count > 0, (rows, added)
    assert told == {
        "agents.facets": {"version", "has", "user", "model", "tool"}, "users.facets": {"has", "agent", "model", "tool"},
        "errors.group_facets": {"kind", "status", "type", "agent", "user"},
    }  # fmt: skip
    assert facets_of(store.agents.facets()) == {
        "version": {"1.1": 1}, "has": {"calls": 2, "runs": 2, "error": 1, "unpriced": 1}, "tool": {"t": 2},
        "user": {"ben": 2, "anna": 1}, "model": {"m": 2, "n": 1},
    }  # fmt: skip
    with pytest.raises(InvalidFilter):
        store.agents.facets(query="shoes:44")


@covers("agents.sums", "users.sums", "errors.group_sums")
def test_the_sums_of_a_list_are_those_of_all_its_rows(store: Facing) -> None:
    filled(store)
    store.users.ensure("idle")
    for number, kind in enumerate("AAB"):
        store.errors.record(NewError(error_type=kind, error_message="x", created_at=AT + number * DAY), user="anna")
    store.errors.resolve(store.errors.groups(query="type:B").items[0].id)
    for asked in ({}, {"since": AT + DAY}, {"query": "-user:anna"}, {"query": "model:n", "until": AT + 2 * DAY}):
        for group in ("agents", "users"):
            rows, sums = store.call(f"{group}.report", **asked), store.call(f"{group}.sums", **asked)
            assert sums.found == rows.total == len(rows)
            assert sums.totals == sum((one.usage for one in rows), start=UsageTotals())
            for name in ("sessions", "messages", "runs", "completed_runs", "failed_runs", "tool_calls", "tool_errors"):
                assert getattr(sums, name) == sum(getattr(one, name) for one in rows), name
    assert store.agents.sums(query="agent:nobody") == FigureSums()
    sums = store.errors.group_sums(include_resolved=True)
    # The third group is that of the tool that failed.
    assert (sums.groups, sums.errors) == (3, 4)
    assert sums.by_status == {ErrorStatus.ONGOING: 2, ErrorStatus.RESOLVED: 1}
    assert store.errors.group_sums().groups == 2


@covers("agents.values", "users.values", "errors.group_values")
def test_the_words_of_a_list_complete_with_what_its_rows_have(store: Facing) -> None:
    filled(store)
    store.users.ensure("cleo", name="Cleo", email="cleo@example.org")
    for user in ("anna", "ben"):
        store.errors.record(NewError(error_type=f"Of {user}", error_message="x"), user=user)
    assert store.agents.values("agent", prefix="CO") == ("coder",)
    assert store.agents.values("user", prefix="b") == ("ben",)
    assert store.users.values("name") == ("Cleo",)
    assert store.users.values("email", prefix="cleo@") == ("cleo@example.org",)
    assert store.agents.values("has") == ("error", "runs", "calls", "unpriced")
    assert store.agents.values("cost") == ()
    assert store.errors.group_values("type") == ("Of anna", "Of ben", "t")
    assert store.scoped(user="ben").errors.group_values("type") == ("Of ben",)
    for call in ("agents.values", "users.values", "errors.group_values"):
        with pytest.raises(InvalidFilter, match="is none; there are"):
            store.call(call, "shoes")


@covers("agents.report", "users.report")
def test_a_place_in_a_list_of_other_days_is_refused(store: Facing) -> None:
    """Once a range has moved on by a day its figures are others, and a place among them means nothing."""
    filled(store)
    for call in ("agents.report", "users.report"):
        place = store.call(call, since=AT - DAY, limit=1).next_cursor
        assert place is not None
        assert store.call(call, since=AT - DAY + timedelta(hours=1), limit=1, cursor=place).items
        with pytest.raises(InvalidFilter, match="another filter, range or order"):
            store.call(call, since=AT, limit=1, cursor=place)


@covers("pages.session_drivers")
def test_a_session_says_which_model_and_which_call_drove_its_cost(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    child = store.sessions.create(NewSession(session_id="c", parent_uuid=session)).id
    started = store.runs.start(NewRun(run_id="r", session_uuid=child)).id
    for model, cost, place in (("a", 3, session), ("a", 4, session), ("b", 6, child), ("b", None, child)):
        own = started if place == child else None
        store.llm_calls.record(NewLLMCall(model=model, cost_nanos=cost, session_uuid=place, run_uuid=own))
    other = store.sessions.create(NewSession(session_id="without calls")).id
    found = store.pages.session_drivers([session, other])
    assert list(found) == [session]
    told = found[session]
    assert (told.cost_nanos, told.calls, told.unpriced_calls, told.models) == (13, 4, 1, 2)
    assert (told.model, told.model_nanos) == ("a", 7)
    assert (told.call_model, told.call_nanos, told.run_uuid) == ("b", 6, started)
    assert store.llm_calls.get(told.call).cost_nanos == 6
    assert store.pages.session_drivers([]) == {}


@covers("agents.compare")
def test_two_versions_are_measured_on_the_runs_that_each_served(store: Facing) -> None:
    old = store.agents.create_version("coder", "1.0")
    new = store.agents.create_version("coder", "2.0", changes='{"model": "n"}')
    for number in range(4):
        run(store, f"old {number}", user="anna", agent="coder", version=old.id, fails=number == 0, cost=1_000_000_000)
    for number in range(3):
        run(store, f"new {number}", user="anna", agent="coder", version=new.id, model="n",
            cost=2_000_000_000 if number else None)  # fmt: skip
    found = store.agents.compare("coder")
    assert (found.a.version_number, found.b.version_number, found.runs_a, found.runs_b) == ("1.0", "2.0", 4, 3)
    by_name = {measure.name: measure for measure in found.measures}
    rate, cost = by_name["error rate"], by_name["cost per run"]
    assert (rate.a, rate.b, rate.n_a, rate.n_b) == (0.25, 0.0, 4, 3)
    assert (rate.low or 0) < -0.25 < (rate.high or 0)
    assert (cost.a, cost.b, cost.n_b, cost.delta) == (1.0, 2.0, 2, 1.0)
    took = [one.duration_ms for one in store.runs.list() if one.agent_version_uuid == old.id]
    assert by_name["duration"].a == pytest.approx(sum(took) / 4, abs=1)
    assert by_name["duration, median"].low is None
    assert all(measure.has_few_runs and not measure.is_clear for measure in found.measures)
    assert [(mix.model, mix.share_a, mix.share_b) for mix in found.models] == [("m", 1.0, 0.0), ("n", 0.0, 1.0)]
    assert store.agents.compare("coder", "2.0", "1.0").a.version_number == "2.0"
    versions = store.agents.details("coder").versions
    assert [(one.version.version_number, one.runs, one.failed_runs) for one in versions] == [
        ("2.0", 3, 0), ("1.0", 4, 1)
    ]  # fmt: skip
    assert (versions[0].first_run_at, versions[0].version.is_active) == (AT, True)
    store.agents.create_version("single", "1")
    with pytest.raises(InvalidFilter):
        store.agents.compare("single")
    with pytest.raises(NotFound):
        store.agents.compare("coder", "3.0")


@covers("agents.compare")
def test_a_filter_holds_for_both_versions_and_what_users_thought_is_a_measure(store: Facing) -> None:
    old, new = (store.agents.create_version("coder", number) for number in ("1.0", "2.0"))
    for number in range(2):
        run(store, f"old {number}", user="anna", agent="coder", version=old.id, fails=number == 0)
    run(store, "new", user="ben", agent="coder", version=new.id, model="n")
    for version, rating in ((old, 0.25), (new, 0.75), (new, 1.0)):
        rated = store.sessions.create(NewSession(session_id=f"rated {rating}"), user="anna").id
        store.sessions.update(rated, SessionChanges(user_satisfaction=rating))
        for turn in "ab":
            told = NewRun(run_id=f"{rating} {turn}", session_uuid=rated, agent_id="coder",
                          agent_version_uuid=version.id)  # fmt: skip
            store.runs.start(told, user="anna")
    liked = store.agents.compare("coder").measures[-1]
    assert (liked.name, liked.a, liked.b, liked.n_a, liked.n_b) == ("user satisfaction", 0.25, 0.875, 1, 2)
    failed = store.agents.compare("coder", query="status:error")
    assert (failed.runs_a, failed.runs_b, [mix.model for mix in failed.models]) == (1, 0, ["m"])
    later = store.agents.compare("coder", query="user:anna", since=AT + DAY)
    assert (later.runs_a, later.runs_b) == (2, 4)
    with pytest.raises(InvalidFilter, match="shoes"):
        store.agents.compare("coder", query="shoes:red")
