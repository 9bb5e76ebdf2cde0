"""The search over everything: ids and names by how they begin, messages by their words, within the scope."""

import pytest

from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.error import NewError
from agentrecord.records.found import Found, FoundKind
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import CodingDetails, NewSession
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers
from otlp_requests import conversation, received


@pytest.fixture
def filled(store: Facing) -> Facing:
    """Return a store with rows of every kind, bob's and carla's."""
    for user in ("bob@acme.io", "carla@acme.io"):
        name = user.partition("@")[0]
        session = store.sessions.create(
            NewSession(session_id=f"talk-{name}", title=f"Talk of {name}", agent_id=f"agent-{name}"), user=user
        ).id
        run = store.runs.start(NewRun(run_id=f"run-{name}", session_uuid=session, objective=f"Help {name}"), user=user)
        store.messages.append(
            session, [NewMessage(role=MessageRole.USER, content=f"The invoice of {name} is wrong", run_uuid=run.id)],
            calls=[NewLLMCall(model=f"model-{name}", run_uuid=run.id, session_uuid=session)],
        )  # fmt: skip
        store.errors.record(NewError(error_type=f"Error_{name}", error_message=f"{name} failed", session_uuid=session))
    return store


def told(found: list[Found]) -> list[tuple[str, str]]:
    return [(str(one.kind), one.name) for one in found]


@covers("pages.find")
def test_names_are_found_by_how_they_begin(filled: Facing) -> None:
    assert told(filled.pages.find("bob"))[0] == ("user", "bob@acme.io")
    assert ("user", "bob@acme.io") in told(filled.pages.find("BOB"))
    assert told(filled.pages.find("talk-b")) == [("session", "talk-bob")]
    assert told(filled.pages.find("run-b"))[0] == ("run", "run-bob")
    assert told(filled.pages.find("agent-c"))[0] == ("agent", "agent-carla")
    assert told(filled.pages.find("model-")) == [("model", "model-bob"), ("model", "model-carla")]
    assert told(filled.pages.find("Error_b")) == [("error", "Error_bob")]
    for wild in ("%", "_", "t%lk", "*", '"', "talk_bob"):
        assert filled.pages.find(wild) == [], wild


@covers("pages.find")
def test_ids_are_found_whole_and_by_their_beginnings(filled: Facing) -> None:
    session = filled.sessions.get("talk-bob")
    run = filled.runs.get("run-bob")
    message = filled.messages.list(session.id).items[0]
    call = filled.llm_calls.list(session=session.id).items[0]
    for kind, row in (("session", session), ("run", run), ("message", message), ("call", call)):
        for text in (str(row.id), row.id.hex, str(row.id).upper(), str(row.id)[:35]):
            found = [one for one in filled.pages.find(text) if one.id == row.id]
            assert [str(one.kind) for one in found] == [kind], text
    assert [one.run for one in filled.pages.find(str(call.id))] == [run.id]
    assert filled.pages.find(str(session.id)[:5]) == []


@covers("pages.find")
def test_traces_lead_to_their_run(filled: Facing) -> None:
    filled.traces.record(received(*conversation()), derive)
    trace = filled.traces.spans()[0].trace_id
    found = [one for one in filled.pages.find(trace[:12]) if one.kind is FoundKind.TRACE]
    assert [one.name for one in found] == [trace]
    assert filled.runs.get(found[0].run).trace_id in (trace, None)


@covers("pages.find")
def test_messages_are_found_by_their_words_as_they_are_typed(filled: Facing) -> None:
    assert sorted(one.name for one in filled.pages.find("invoice")) == ["Talk of bob", "Talk of carla"]
    (found,) = filled.pages.find("bob invo")
    assert (found.kind, found.name) == (FoundKind.MESSAGE, "Talk of bob")
    assert found.excerpt[1::2] != ()
    assert len(filled.pages.find("invoice", limit=1)) == 1


@covers("pages.find")
def test_one_user_finds_nothing_of_anothers(filled: Facing) -> None:
    carla = filled.scoped(user="carla@acme.io")
    for text in ("bob", "talk-bob", "run-bob", "agent-bob", "model-bob", "Error_bob", "bob failed", "invoice of bob"):
        assert carla.pages.find(text) == [], text
    for text in (str(filled.sessions.get("talk-bob").id), str(filled.runs.get("run-bob").id)):
        assert carla.pages.find(text) == []
    assert told(carla.pages.find("carla"))[0] == ("user", "carla@acme.io")
    assert filled.scoped(project="other").pages.find("bob") == []


@covers("pages.find")
def test_what_cannot_be_looked_for_is_refused_and_nothing_finds_nothing(filled: Facing) -> None:
    assert filled.pages.find("   ") == []
    for wrong in ("a\0b", "x" * 301):
        with pytest.raises(InvalidValue):
            filled.pages.find(wrong)


@covers("pages.find")
def test_titles_purposes_and_names_are_found_by_words_that_stand_in_them(filled: Facing) -> None:
    use = filled.tool_calls.record(
        NewToolCall(tool_name="refund_payment", session_uuid=filled.session_uuid("talk-bob"))
    )
    filled.tool_calls.finish(use.id, result="done")
    filled.users.ensure("u-7", name="Zoë Ångström")
    coding = CodingDetails(tool_name="coder", initial_task="Mend the gearbox")
    filled.sessions.create(NewSession(session_id="c-1", coding=coding))
    (task,) = filled.pages.find("gearbox")
    assert (task.kind, task.name, task.detail) == (FoundKind.SESSION, "c-1", "Mend the gearbox")
    assert told(filled.pages.find("of carla talk"))[0] == ("session", "talk-carla")
    assert ("run", "run-carla") in told(filled.pages.find("CARLA help"))
    assert told(filled.pages.find("acme.io")) == [("user", "bob@acme.io"), ("user", "carla@acme.io")]
    assert told(filled.pages.find("ångström")) == [("user", "u-7")]
    assert told(filled.pages.find("gent-bob")) == [("agent", "agent-bob")]
    assert told(filled.pages.find("payment")) == [("tool", "refund_payment")]
    assert told(filled.pages.find("payment refund")) == [("tool", "refund_payment")]
    assert filled.pages.find("of carla xylophone") == []
    # What begins with the words comes before what has them somewhere, the kind of row notwithstanding.
    kinds = [kind for kind, _ in told(filled.pages.find("bob"))]
    assert kinds[0] == "user"
    assert kinds[-1] == "message"
    assert "session" in kinds
    carla = filled.scoped(user="carla@acme.io")
    for text in ("payment", "of bob", "gent-bob", "ob@acme", "elp bob"):
        assert carla.pages.find(text) == [], text
    assert filled.scoped(project="other").pages.find("payment") == []
