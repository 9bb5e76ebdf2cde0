"""Relations between any two rows, and the audit trail that shows tampering."""

from typing import Any

import pytest

from agentrecord.exceptions import InvalidValue, NotFound
from agentrecord.ids import new_id
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.relation import RelationKind
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers


def one_of_each(store: Facing) -> dict[str, Any]:
    """Return the row id of one row of every kind."""
    session = store.sessions.create(NewSession(session_id="s")).id
    message = store.messages.append(session, [NewMessage(role=MessageRole.USER, content="hello  there\nyou")]).messages[
        0
    ]
    return {
        "session": session,
        "message": message.id,
        "run": store.runs.start(NewRun(run_id="r")).id,
        "event": store.events.record(NewEvent(event_type="e")).id,
        "llm_call": store.llm_calls.record(NewLLMCall(model="m", cost_nanos=5)).id,
        "tool_call": store.tool_calls.record(NewToolCall(tool_name="bash")).id,
        "error": store.errors.record(NewError(error_type="E", error_message="bad")).id,
    }


@covers("relations.relate", "relations.of")
def test_any_two_rows_can_be_related_once_and_read_from_both_ends(store: Facing) -> None:
    rows = one_of_each(store)
    for kind, row in rows.items():
        edge = store.relations.relate(
            RelationKind.USED, "run", rows["run"], to_kind=kind, to_uuid=row, metadata='{"n": 1}'
        )
        again = store.relations.relate(RelationKind.USED, "run", rows["run"], to_kind=kind, to_uuid=row)
        assert again == edge
        assert (edge.kind, edge.to_kind, edge.to_uuid, edge.metadata) == ("used", kind, row, '{"n": 1}')
    assert len(store.relations.of("run", rows["run"])) == len(rows)
    assert [r.from_uuid for r in store.relations.of("error", rows["error"])] == [rows["run"]]
    store.relations.relate("own.kind", "event", rows["event"], to_kind="run", to_uuid=rows["run"])
    assert {r.kind for r in store.relations.of("event", rows["event"])} == {"used", "own.kind"}
    for end in (("run", new_id()), ("galaxy", rows["run"]), ("error", rows["run"])):
        with pytest.raises(NotFound):
            store.relations.relate("used", "run", rows["run"], to_kind=end[0], to_uuid=end[1])
        with pytest.raises(NotFound):
            store.relations.of(*end)


@covers("audit.record", "audit.list", "audit.verify")
def test_the_audit_trail_shows_what_was_changed_in_it(store: Facing) -> None:
    for number in range(4):
        store.audit.record("delete", "session", f"s{number}", actor_kind="user", actor="anna", details='{"n":1}',
                           origin="127.0.0.1")  # fmt: skip
    assert [e.sequence for e in store.audit.list()] == [4, 3, 2, 1]
    assert store.audit.list(limit=1).items[0].object_id == "s3"
    assert store.audit.verify() == ()
    store.sql("UPDATE ar_audit_entries SET actor = ? WHERE sequence = 2", "ben")
    assert store.audit.verify() == (2,)
    store.sql("UPDATE ar_audit_entries SET actor = ? WHERE sequence = 2", "anna")
    assert store.audit.verify() == ()
    store.sql("DELETE FROM ar_audit_entries WHERE sequence = 2")
    assert store.audit.verify() == (3,)


def test_a_tail_cut_off_the_audit_trail_shows(store: Facing) -> None:
    for number in range(3):
        store.audit.record("delete", "session", f"s{number}")
    store.sql("DELETE FROM ar_audit_entries WHERE sequence = 3")
    assert store.audit.verify() != ()


def test_audit_trails_of_two_projects_are_two_chains(store: Facing) -> None:
    store.audit.record("a", "session", "s")
    other = store.scoped(project="p")
    other.audit.record("b", "session", "s")
    assert [(e.sequence, e.action) for e in other.audit.list()] == [(1, "b")]
    assert store.audit.verify() == () == other.audit.verify()
    with pytest.raises(InvalidValue):
        store.audit.record("", "session", "s")
    assert store.audit.record("c", "session", "s").sequence == 2
