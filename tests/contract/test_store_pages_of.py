"""What the pages of the dashboard read: conversations, sums over a filter."""

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageTotals
from faces import Facing, covers


def work(store: Facing) -> tuple[object, object]:
    """Make a session with a child, a run with a child, and what they did."""
    top = store.sessions.create(NewSession(session_id="top", source="pi", agent_id="bot"), user="anna").id
    low = store.sessions.create(NewSession(session_id="low", parent_uuid=top)).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=top)).id
    child = store.runs.start(NewRun(run_id="c", session_uuid=top, parent_uuid=run)).id
    messages = [NewMessage(role=MessageRole.USER, content=str(n)) for n in range(6)]
    store.messages.append(top, messages, calls=[NewLLMCall(model="m", run_uuid=run, cost_nanos=1)])
    store.llm_calls.record(NewLLMCall(model="n", session_uuid=low, run_uuid=child, cost_nanos=10))
    tool = store.tool_calls.record(NewToolCall(tool_name="bash", session_uuid=top, run_uuid=child))
    store.tool_calls.finish(tool.id, error_message="x")
    store.runs.fail(child, "x")
    return top, run


@covers("pages.conversation")
def test_a_conversation_is_read_in_pieces(store: Facing) -> None:
    top, _ = work(store)
    first = store.pages.conversation(top, limit=4)
    rest = store.pages.conversation(top, from_sequence=first.next_sequence, limit=4)
    assert [m.content for m in (*first.messages, *rest.messages)] == list("012345")
    assert rest.next_sequence is None
    assert {model: sums.cost_nanos for model, sums in first.models.items()} == {"m": 1, "n": 10}


@covers("pages.conversation")
def test_tools_that_no_message_tells_of_are_in_the_stretch_in_which_they_were_used(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    other = store.runs.start(NewRun(run_id="o", session_uuid=session)).id
    for number in range(4):
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content=str(number), run_uuid=run)])
        store.tool_calls.record(NewToolCall(tool_name=f"t{number}", session_uuid=session, run_uuid=run))
        store.tool_calls.record(NewToolCall(tool_name="elsewhere", session_uuid=session, run_uuid=other))
    first = store.pages.conversation(session, limit=2)
    rest = store.pages.conversation(session, from_sequence=first.next_sequence, limit=2)
    assert [call.tool_name for call in first.tool_calls] == ["t0", "t1"]
    assert [call.tool_name for call in rest.tool_calls] == ["t2", "t3"]


@covers("pages.subtree_sums", "sessions.sums")
def test_sums_are_those_of_the_rows(store: Facing) -> None:
    top, _ = work(store)
    assert store.pages.subtree_sums([top])[top].cost_nanos == 11
    assert store.pages.subtree_sums([]) == {}
    sums = store.sessions.sums()
    assert (sums.sessions, sums.messages, sums.tool_errors, sums.totals.cost_nanos) == (1, 6, 1, 11)
    assert store.sessions.sums(SessionFilter(source="no")).totals == UsageTotals()
