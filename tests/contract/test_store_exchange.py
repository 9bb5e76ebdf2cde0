"""Facts leave a record and come into another one as they were, whatever door they came through, in any order."""

import random
from dataclasses import replace

from agentrecord.ids import new_id
from agentrecord.records.exchange import ExportFilter, FactKind
from agentrecord.records.run import NewRun, RunStatus
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from faces import Facing, covers
from rich_record import fill, leaving, says, told


@covers("exchange.units", "exchange.facts", "exchange.restore", "exchange.count")
def test_a_record_imported_elsewhere_says_the_same_and_sends_the_same_out(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    assert store.exchange.count() == 4
    assert {kind: len(told(sent, kind)) for kind in FactKind} == {
        FactKind.SESSION: 2, FactKind.RUN: 4, FactKind.MESSAGE: 5, FactKind.LLM_CALL: 3, FactKind.TOOL_CALL: 2,
        FactKind.EVENT: 3, FactKind.ERROR: 2,
    }  # fmt: skip
    other = store.scoped(project="other")
    found = other.exchange.restore(sent)
    assert (found.added, found.unchanged, found.refused, found.reasons) == (len(sent), 0, 0, ())
    assert says(other) == says(store)
    assert leaving(other) == sent
    assert other.usage.recount() == ()


def test_what_comes_again_changes_nothing_and_pages_of_any_size_are_the_same(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    assert [leaving(store, page=size) for size in (1, 2, 7)] == [sent] * 3
    before = says(store)
    found = store.exchange.restore([*sent, *sent])
    assert (found.added, found.unchanged) == (0, 2 * len(sent))
    assert says(store) == before


def test_the_order_in_which_facts_come_does_not_matter(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    shuffled = [fact for fact in sent if fact.kind is not FactKind.MESSAGE]
    random.Random(7).shuffle(shuffled)
    other = store.scoped(project="other")
    other.exchange.restore([*shuffled, *told(sent, FactKind.MESSAGE)])
    assert says(other) == says(store)


def test_a_run_leaves_with_all_below_it_and_what_its_rows_name(store: Facing) -> None:
    fill(store)
    sent = leaving(store, ExportFilter(run=store.runs.get("turn").id))
    assert {fact.fields["run_id"] for fact in told(sent, FactKind.RUN)} == {"turn", "helper"}
    assert [fact.fields["session_id"] for fact in told(sent, FactKind.SESSION)] == ["visit"]
    other = store.scoped(project="other")
    assert other.exchange.restore(sent).refused == 0
    one, two = store.runs.get("turn", with_subtree=True), other.runs.get("turn", with_subtree=True)
    assert (two.usage, two.subtree, two.tool_call_count) == (one.usage, one.subtree, one.tool_call_count)
    assert leaving(other, ExportFilter(run=two.id)) == sent
    assert other.usage.recount() == ()


def test_sessions_and_runs_leave_that_were_at_work_in_a_time_and_those_of_one_user(store: Facing) -> None:
    fill(store)
    store.scoped(user="ben").sessions.create(NewSession(session_id="of ben"))
    now = store.engine.maker.clock.now()
    assert leaving(store, ExportFilter(until=now.replace(year=2020))) == []
    assert leaving(store, ExportFilter(since=now.replace(year=2090))) == []
    assert leaving(store, ExportFilter(since=now.replace(year=2020), until=now.replace(year=2090))) == leaving(store)
    of_ben = [fact.fields["session_id"] for fact in leaving(store, ExportFilter(user="ben"))]
    assert of_ben == ["of ben"] == [fact.fields["session_id"] for fact in leaving(store.scoped(user="ben"))]
    of_talk = leaving(store, ExportFilter(session=store.session_uuid("visit")))
    assert {fact.fields["session_id"] for fact in told(of_talk, FactKind.SESSION)} == {"visit", "below"}


def test_a_fact_that_no_row_can_hold_is_refused_by_name_and_the_rest_is_stored(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    other = store.scoped(project="other")
    session, run, message = (told(sent, kind)[0] for kind in (FactKind.SESSION, FactKind.RUN, FactKind.MESSAGE))
    bad = [
        (message, {"role": "king"}, "role: must be one of: user, assistant, system, tool"),
        (message, {"parts": "[7]"}, "parts: has not the shape"),
        (message, {"content": None}, "content: is missing"),
        (message, {"session_uuid": str(new_id())}, "names a session that is not here"),
        (message, {"run_uuid": str(new_id())}, "names a run that is not here"),
        (message, {"revisions": [{"revision": 0}]}, "content: is missing"),
        (run, {"created_at": "yesterday"}, "created_at: is no time"),
        (run, {"total_iterations": -1}, "total_iterations: must be from 0"),
        (run, {"metadata": "{"}, "metadata: is not storable JSON"),
        (session, {"tags": "x"}, "tags: must be a list"),
        (session, {"coding": {"task_count": "x"}}, "coding: has not the shape"),
        (session, {"is_active": "yes"}, "is_active: must be true or false"),
        (told(sent, FactKind.LLM_CALL)[0], {"prompt": [7]}, "prompt: has not the shape"),
        (told(sent, FactKind.LLM_CALL)[0], {"output_tokens": 10**12}, "output_tokens: must be from 0"),
    ]  # fmt: skip
    other.exchange.restore([session, run, *told(sent, FactKind.RUN)])
    for fact, change, reason in bad:
        given = {**fact.fields, **change}
        found = other.exchange.restore([replace(fact, id=new_id(), fields=given)])
        assert (found.added, found.refused) == (0, 1), change
        assert reason in found.reasons[0]
    assert other.exchange.restore(sent).refused == 0
    assert says(other) == says(store)


def test_of_a_deleted_session_nothing_comes_back(store: Facing) -> None:
    fill(store)
    sent = leaving(store, ExportFilter(session=store.session_uuid("visit")))
    other = store.scoped(project="other")
    assert other.exchange.restore(sent).reasons == ()
    other.sessions.delete("visit")
    found = other.exchange.restore(sent)
    assert (found.added, found.refused) == (0, 0)
    assert other.sessions.find("visit") is None
    assert other.messages.search("sunny").items == []


def test_a_run_that_went_on_is_over_once_its_end_comes(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r")).id
    use = store.tool_calls.record(NewToolCall(tool_name="t", run_uuid=run)).id
    other = store.scoped(project="other")
    other.exchange.restore(leaving(store))
    assert other.runs.get("r").status is RunStatus.RUNNING
    store.tool_calls.finish(use, result="done")
    store.runs.finish(run, output="x", total_iterations=3)
    sent = leaving(store)
    assert other.exchange.restore(sent).added == 2
    assert leaving(other) == sent
    assert (other.runs.get("r").status, other.tool_calls.get(use).status) == (
        RunStatus.COMPLETED, ToolCallStatus.SUCCESS)  # fmt: skip
    assert other.usage.recount() == ()


def test_whoever_takes_facts_in_owns_them_and_nobody_loses_theirs(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    ben = store.scoped(project="other", user="ben")
    assert ben.exchange.restore(sent).refused == 0
    assert {session.user for session in ben.sessions.list(SessionFilter(include_children=True))} == {"ben"}
    before = says(ben)
    ana = store.scoped(project="other", user="ana")
    found = ana.exchange.restore(sent)
    assert found.added == 0
    assert (says(ben), leaving(ana)) == (before, [])


def test_a_name_that_is_taken_by_another_session_or_run_is_told(store: Facing) -> None:
    fill(store)
    sent = leaving(store)
    other = store.scoped(project="other")
    other.sessions.create(NewSession(session_id="visit"))
    other.runs.start(NewRun(run_id="alone"))
    found = other.exchange.restore(sent)
    assert "session_id: is another session's here" in found.reasons[0]
    assert any("run_id: is another run's here" in reason for reason in found.reasons)
    assert other.usage.recount() == ()
