"""Filters in words: what runs and sessions each word finds, alike on every engine."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agentrecord.exceptions import InvalidFilter, InvalidValue
from agentrecord.records.facet import Facets, RunSums
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun, RunFilter, RunStatus
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges, SessionFilter, SessionStatus
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageTotals
from agentrecord.store._run_words import RUN_WORDS
from agentrecord.store._session_words import SESSION_WORDS
from faces import Facing, covers
from held_clock import HeldClock

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def work(store: Facing, clock: HeldClock) -> None:
    """Make runs of two users: `good`, and `bad` with a failed tool and its child `low`, and `free` without a call."""
    clock.at = AT
    coding = CodingDetails(tool_name="t", working_directory="/home/ana/Work_1", git_branch="main")
    top = store.sessions.create(
        NewSession(session_id="chat-17", agent_id="support-bot", source="claude-code", title="Größe 100%",
                   coding=coding, metadata='{"env": "staging"}'),
        user="bob@acme.io",
    ).id  # fmt: skip
    below = store.sessions.create(NewSession(session_id="chat-17/a", parent_uuid=top), user="bob@acme.io").id
    other = store.sessions.create(NewSession(session_id="other", agent_id="coder"), user="ana").id
    version = store.agents.create_version("support-bot", "1.4.0").id
    bad = store.runs.start(
        NewRun(run_id="bad", session_uuid=top, agent_id="support-bot", objective="Refund: 50% off", started_at=AT,
               agent_version_uuid=version, metadata='{"deployment.environment": "prod", "n": 1}')
    ).id  # fmt: skip
    low = store.runs.start(NewRun(run_id="low", session_uuid=below, parent_uuid=bad, started_at=AT)).id
    good = store.runs.start(NewRun(run_id="good", session_uuid=other, agent_id="coder", started_at=AT)).id
    store.runs.create(NewRun(run_id="free", metadata='{"env": 1, "environment": true}'), user="ana")
    told = TokenCounts(input=6_000, cache_read=5_000, output=10, reasoning=9)
    store.llm_calls.record(NewLLMCall(model="claude-opus", run_uuid=bad, session_uuid=top, cost_nanos=60_000_000))
    store.llm_calls.record(
        NewLLMCall(model="gpt", run_uuid=low, session_uuid=below, cost_nanos=10**9, status=CallStatus.ERROR)
    )
    store.llm_calls.record(NewLLMCall(model="local", run_uuid=good, session_uuid=other, tokens=told))
    used = store.tool_calls.record(NewToolCall(tool_name="refund_payment", run_uuid=bad, session_uuid=top)).id
    store.tool_calls.finish(used, error_message="no such payment")
    store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=good, session_uuid=other))
    clock.at = AT + timedelta(minutes=3)
    store.runs.fail(bad, "upstream timed out")
    clock.at = AT + timedelta(minutes=5)
    store.runs.finish(good, output="done")
    store.sessions.update("other", SessionChanges(status=SessionStatus.FAILED))


RUNS = {
    "": "bad free good low",
    "status:error": "bad",
    "status:error,pending": "bad free",
    "-status:error": "free good low",
    "user:bob@acme.io": "bad low",
    "user:*ACME*": "bad low",
    'user:"*acme*"': "",
    "agent:coder": "good",
    "-agent:coder": "bad free low",
    "version:1.*": "bad",
    "model:claude-*": "bad",
    "model:claude-*,local": "bad good",
    "-model:gpt": "bad free good",
    "tool:refund_payment": "bad",
    "tool:refund%payment": "",
    "session:chat-17*": "bad low",
    "run:*o*": "good low",
    "source:claude-code": "bad",
    "env:prod": "bad",
    "env:1,true": "",
    "env:staging": "",
    "-env:prod": "free good low",
    "error:*timed*": "bad",
    "has:error": "bad low",
    "-has:error": "free good",
    "has:calls,parent": "bad good low",
    "has:unpriced": "good",
    "has:children": "bad",
    "has:output": "good",
    "has:tools has:session": "bad good",
    "cost:>0.05": "bad low",
    "cost:0.06": "bad",
    "cost:<1": "bad",
    "-cost:>0.05": "free good",
    "tokens:11010": "good",
    "tokens:>11k": "good",
    "duration:>2m": "bad good",
    "duration:3m..4m": "bad",
    "calls:>=1": "bad good low",
    "tools:0": "free low",
    "errors:2": "bad",
    "started:2026-01-31": "bad good low",
    "started:>2026-01-31": "",
    "50%": "bad",
    '"refund: 50"': "bad",
    "refund -bob": "bad",
    "ref*off": "bad",
    "o l": "low",
}
SESSIONS = {
    "": "chat-17 other",
    "status:failed": "other",
    "user:bob@acme.io": "chat-17",
    "agent:support-*": "chat-17",
    "version:1.*": "chat-17",
    "-version:1.4.0": "other",
    "source:claude-code": "chat-17",
    "-source:claude-code": "other",
    "model:gpt": "chat-17",
    "model:local": "other",
    "-model:gpt": "other",
    "tool:Bash": "other",
    "session:chat-17": "chat-17",
    "directory:*/work_1": "chat-17",
    "branch:main": "chat-17",
    "env:staging": "chat-17",
    "-env:staging": "other",
    "has:error": "chat-17 other",
    "has:children": "chat-17",
    "has:unpriced": "other",
    "has:title": "chat-17",
    "has:calls has:tools": "chat-17 other",
    "cost:1.06": "chat-17",
    "cost:<2": "chat-17",
    "-cost:>1": "other",
    "tokens:>11k": "other",
    "duration:>=0s": "chat-17 other",
    "messages:0": "chat-17 other",
    "runs:1": "chat-17 other",
    "calls:2": "chat-17",
    "tools:1": "chat-17 other",
    "errors:1": "chat-17",
    "created:2026-01-31": "chat-17 other",
    "active:<2026-01-31": "",
    "GRÖSSE": "",
    "größe": "chat-17",
}


@covers("runs.list")
def test_every_word_finds_the_runs_that_it_says(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    found = {text: sorted(run.run_id for run in store.runs.list(RunFilter(query=text))) for text in RUNS}
    assert found == {text: names.split() for text, names in RUNS.items()}
    assert {text.lstrip("-").partition(":")[0] for text in RUNS} >= set(RUN_WORDS.known)


@covers("sessions.list")
def test_every_word_finds_the_sessions_that_it_says(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    found = {text: sorted(s.session_id for s in store.sessions.list(SessionFilter(query=text))) for text in SESSIONS}
    assert found == {text: names.split() for text, names in SESSIONS.items()}
    assert {text.lstrip("-").partition(":")[0] for text in SESSIONS} >= set(SESSION_WORDS.known)


@covers("runs.list", "sessions.list")
def test_a_word_that_a_list_does_not_know_is_refused(store: Facing) -> None:
    for call, filter_ in (("runs.list", RunFilter(query="dir:x")), ("sessions.list", SessionFilter(query="run:x"))):
        with pytest.raises(InvalidFilter, match="is no word here; there are status"):
            store.call(call, filter_)


@covers("runs.list")
def test_words_that_look_elsewhere_stay_inside_the_scope(store: Facing, clock: HeldClock) -> None:
    """A call, a tool or a version of another user or project says nothing of one's own rows."""
    work(store.scoped(project="other"), clock)
    mine = store.scoped(user="ana")
    run = mine.runs.start(NewRun(run_id="mine"))
    mine.llm_calls.record(NewLLMCall(model="m", run_uuid=run.id))
    for text in ("model:claude-*", "tool:*", "version:*", "env:*", "user:bob*"):
        assert [r.run_id for r in mine.runs.list(RunFilter(query=text))] == []
    assert [r.run_id for r in mine.runs.list(RunFilter(query="model:*"))] == ["mine"]


@covers("runs.list")
def test_runs_are_ordered_by_what_the_list_shows(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    for sort in ("duration", "tokens", "tools", "errors", "status", "objective"):
        upward = [run.id for run in store.runs.list(sort=sort)]
        pieces: list[object] = []
        cursor = None
        while len(pieces) < len(upward):
            page = store.runs.list(sort=f"-{sort}", limit=1, cursor=cursor)
            pieces.extend(run.id for run in page)
            cursor = page.next_cursor
        assert pieces == upward[::-1]


def by_word(found: Facets) -> dict[str, dict[str, int]]:
    return {facet.word: {value.value: value.count for value in facet.values} for facet in found.facets}


@covers("runs.sums", "runs.facets")
def test_sums_and_facets_of_runs_are_those_of_the_rows_that_the_filter_finds(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    for text in ("", "has:calls", "user:bob*", "model:gpt", "status:cancelled"):
        rows = store.runs.list(RunFilter(query=text)).items
        sums = store.runs.sums(RunFilter(query=text))
        assert sums.runs == len(rows) == sum(sums.by_status.values())
        assert sums.totals == sum((run.usage for run in rows), start=UsageTotals())
        assert (sums.tool_calls, sums.tool_errors) == (
            sum(run.tool_call_count for run in rows), sum(run.tool_error_count for run in rows),
        )  # fmt: skip
        assert sums.duration_ms == sum(run.duration_ms or 0 for run in rows)
        facets = by_word(store.runs.facets(RunFilter(query=text)))
        assert facets.get("status", {}) == {str(status): count for status, count in sums.by_status.items()}
        assert facets.get("user", {}) == Counter(run.user for run in rows)
    assert sums == RunSums()
    whole = store.runs.facets()
    assert by_word(whole) == {
        "status": {"completed": 1, "error": 1, "pending": 1, "running": 1},
        "agent": {"coder": 1, "support-bot": 2},
        "user": {"ana": 2, "bob@acme.io": 2},
        "source": {"claude-code": 1},
        "model": {"claude-opus": 1, "gpt": 1, "local": 1},
        "tool": {"Bash": 1, "refund_payment": 1},
        "version": {"1.4.0": 1},
        "env": {"prod": 1},
    }
    assert {run.run_id: run.agent_version for run in store.runs.list()} == {
        "bad": "1.4.0", "free": None, "good": None, "low": None,
    }  # fmt: skip
    assert (whole.rows, whole.is_exact) == (4, True)
    top = {facet.word: facet for facet in store.runs.facets(top=1).facets}["status"]
    assert ([value.value for value in top.values], top.others) == (["completed"], 3)


@covers("sessions.sums", "sessions.facets")
def test_sums_and_facets_of_sessions_count_what_is_below_them(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    assert by_word(store.sessions.facets(SessionFilter(query="user:bob*"))) == {
        "status": {"active": 1}, "agent": {"support-bot": 1}, "user": {"bob@acme.io": 1},
        "source": {"claude-code": 1}, "directory": {"/home/ana/Work_1": 1},
        "model": {"claude-opus": 1, "gpt": 1}, "tool": {"refund_payment": 1},
        "version": {"1.4.0": 1}, "env": {"staging": 1},
    }  # fmt: skip
    sums = store.sessions.sums(SessionFilter(query="user:bob*"))
    assert (sums.sessions, sums.totals.calls, sums.totals.cost_nanos) == (1, 2, 1_060_000_000)
    assert store.sessions.facets(SessionFilter(query="user:nobody")).facets == ()


@covers("runs.series")
def test_runs_are_counted_by_when_they_started_and_by_status(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    clock.at = AT + timedelta(days=2, hours=3)
    store.runs.start(NewRun(run_id="late"))
    days = store.runs.series()
    assert [(bucket.start, sum(bucket.by_status.values())) for bucket in days] == [
        (datetime(2026, 1, 31, tzinfo=UTC), 3), (datetime(2026, 2, 2, tzinfo=UTC), 1),
    ]  # fmt: skip
    assert days[0].by_status == {RunStatus.COMPLETED: 1, RunStatus.ERROR: 1, RunStatus.RUNNING: 1}
    (hour,) = store.runs.series(RunFilter(since=clock.at - timedelta(hours=1)), bucket_s=3600)
    assert hour.start == datetime(2026, 2, 2, 15, tzinfo=UTC)
    with pytest.raises(InvalidValue, match="bucket_s"):
        store.runs.series(bucket_s=0)
    assert (days[1].timed_runs, days[1].p50_ms, days[1].p95_ms) == (0, None, None)
    for name, seconds in (("a", 10), ("b", 20), ("c", 40)):
        clock.at = AT + timedelta(days=9)
        run = store.runs.start(NewRun(run_id=f"timed-{name}"))
        clock.at += timedelta(seconds=seconds)
        store.runs.fail(run.id, "x")
    timed = store.runs.series()[-1]
    assert timed.timed_runs == 3
    assert (timed.p50_ms, timed.p95_ms) == (pytest.approx(20_000, abs=9), pytest.approx(38_000, abs=9))


@covers("runs.values", "sessions.values")
def test_the_values_of_a_word_are_those_that_were_seen(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    assert store.runs.values("model") == ("claude-opus", "gpt", "local")
    assert store.runs.values("model", prefix="GP") == ("gpt",)
    assert store.runs.values("status", prefix="c") == ("completed", "cancelled")
    assert store.runs.values("tool", limit=1) == ("Bash",)
    assert store.runs.values("version") == ("1.4.0",)
    assert store.runs.values("cost") == ()
    assert store.sessions.values("user", prefix="b") == ("bob@acme.io",)
    assert store.sessions.values("directory", prefix="/home/ana/work_") == ("/home/ana/Work_1",)
    assert store.sessions.values("branch", prefix="%") == ()
    assert store.scoped(user="ana").runs.values("user") == ("ana",)
    assert store.scoped(user="ana").runs.values("model") == ("local",)
    with pytest.raises(InvalidFilter, match="there are status"):
        store.runs.values("branch")


@covers("runs.failures")
def test_the_first_thing_that_failed_in_a_run_is_named(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    runs = {run.run_id: run.id for run in store.runs.list()}
    store.llm_calls.record(NewLLMCall(model="late", run_uuid=runs["bad"], status=CallStatus.ERROR, timestamp=clock.at))
    found = store.runs.failures(list(runs.values()))
    assert {run: (failure.kind, failure.name, failure.message) for run, failure in found.items()} == {
        runs["bad"]: ("tool", "refund_payment", "no such payment"),
        runs["low"]: ("call", "gpt", None),
    }
    assert found[runs["bad"]].id == store.tool_calls.list(run=runs["bad"]).items[0].id
    assert store.runs.failures([]) == {}


@covers("runs.list", "sessions.list")
def test_the_next_page_of_the_last_days_is_found_while_the_clock_goes_on(store: Facing, clock: HeldClock) -> None:
    work(store, clock)
    for call, filter_ in (("runs.list", RunFilter), ("sessions.list", SessionFilter)):
        found, cursor = 0, None
        while True:
            clock.advance(seconds=7)
            page = store.call(call, filter_(since=clock.at - timedelta(days=7)), limit=1, cursor=cursor)
            found, cursor = found + len(page.items), page.next_cursor
            if cursor is None:
                break
        assert found == page.total > 1
        first = store.call(call, filter_(since=AT - timedelta(days=7)), limit=1)
        with pytest.raises(InvalidFilter, match="another filter"):
            store.call(call, filter_(query="user:ana", since=AT - timedelta(days=7)), cursor=first.next_cursor)
