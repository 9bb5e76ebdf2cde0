"""A record with one of everything that can leave it, and what such a record says, without what is each one's own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.exchange import Carried, ExportFilter, FactKind
from agentrecord.records.llm_call import CallStatus, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.run import NewRun, ReportedTotals, RunContent, RunStatus
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges, SessionFilter
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall

AT = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
USER, ASSISTANT, TOOL = MessageRole.USER, MessageRole.ASSISTANT, MessageRole.TOOL
_OWN = frozenset(
    {
        "alive_until",
        "serial",
        "updated_at",
        "price_uuid",
        "prompt_uuid",
        "user_uuid",
        "agent_uuid",
        "agent_version_uuid",
    }
)


def fill(store: Any) -> None:
    """Store a session with a sub-session, runs below runs, and all that can belong to them or to nothing."""
    coding = CodingDetails(tool_name="coder", working_directory="/home/ana", git_branch="main", task_count=2)
    top = store.sessions.create(
        NewSession(session_id="visit", title="A talk", agent_id="guide", agent_name="Guide", tags=("a", "b"),
                   metadata='{"k":1}', source="coder", coding=coding, description="")
    ).id  # fmt: skip
    store.sessions.update(top, SessionChanges(quality_score=0.5))
    below = store.sessions.create(NewSession(session_id="below", parent_uuid=top)).id
    run = store.runs.start(NewRun(run_id="turn", objective="Answer", session_uuid=top, metadata='{"m":[1]}')).id
    child = store.runs.start(NewRun(run_id="helper", agent_id="helper", parent_uuid=run)).id
    parts = (Part(kind=PartKind.REASONING, text="hm"), Part(kind=PartKind.TEXT, text="Look"))
    said = store.messages.append(
        top,
        [
            NewMessage(role=USER, content="Is it sunny?", extra_data='{"x":2}', run_uuid=run),
            NewMessage(role=ASSISTANT, content="Look", parts=parts, tools_used=("look",), model_used="gpt-4o",
                       response_time_ms=7, run_uuid=run),
            NewMessage(role=TOOL, content="sunny", tool_call_id="use", tool_name="look", run_uuid=run),
            NewMessage(role=USER, content="forget me"),
        ],
    ).messages  # fmt: skip
    store.messages.edit(said[1].id, "Look outside")
    store.messages.delete(said[3].id)
    prompt = (PromptPart(role=MessageRole.SYSTEM, content="Be brief."),
              PromptPart(role=USER, message_uuid=said[0].id, revision=1))  # fmt: skip
    store.llm_calls.record(
        NewLLMCall(model="gpt-4o", host="OpenAI", session_uuid=top, run_uuid=run, message_uuid=said[1].id,
                   tokens=TokenCounts(input=900, cache_read=50, output=100, reasoning=20), prompt=prompt,
                   response_content="Look", latency_ms=250, time_to_first_token_ms=40, request_id="req_1",
                   dedup_key="one", input_params='{"temperature":0}', usage_metrics='{"prompt_tokens":950}')
    )  # fmt: skip
    store.llm_calls.record(
        NewLLMCall(model="own", session_uuid=top, run_uuid=child, prompt="plain words", cost_nanos=123_456_789,
                   status=CallStatus.ERROR, error_message="slow", is_subagent=True, timestamp=AT)
    )  # fmt: skip
    store.llm_calls.record(NewLLMCall(model="own", run_ref="never came", cost_nanos=5))
    use = store.tool_calls.record(
        NewToolCall(
            tool_name="look", call_ref="use", arguments='{"at":"sky"}', session_uuid=top, run_uuid=run, started_at=AT
        )
    ).id
    store.tool_calls.finish(use, result="sunny", finished_at=AT + timedelta(seconds=1))
    store.tool_calls.record(NewToolCall(tool_name="wait", run_uuid=child))
    event = store.events.record(NewEvent(event_type="planning_started", data='{"p":1}', run_uuid=run)).id
    store.events.record(
        NewEvent(event_type="summary", session_uuid=top, parent_event_uuid=event, duration_ms=3, data='"s"')
    )
    store.events.record(NewEvent(event_type="checkpoint", agent_id="guide", timestamp=AT))
    for place, run_uuid in ((top, run), (None, None)):
        store.errors.record(
            NewError(error_type="Timeout", error_message="slow 17", error_code="E1", stack_trace="at line 1",
                     context='{"c":1}', session_uuid=place, run_uuid=run_uuid, agent_id="guide")
        )  # fmt: skip
    store.runs.fail(child, "slow")
    store.runs.finish(run, output="It is.", total_iterations=2)
    store.messages.append(below, [NewMessage(role=USER, content="psst")])
    store.runs.record(
        "alone",
        RunContent(status=RunStatus.CANCELLED, status_reason="timeout", started_at=AT, finished_at=AT, objective="",
                   reported=ReportedTotals(llm_calls=3, input_tokens=4), execution_history="[]", total_iterations=1),
        agent_id="guide",
    )  # fmt: skip
    store.runs.create(NewRun(run_id="waiting"))


def leaving(store: Any, where: ExportFilter | None = None, *, page: int = 1000) -> list[Carried]:
    """Return the facts that leave, read in pages of so many."""
    found: list[Carried] = []
    last = None
    while units := store.exchange.units(where, after=last, limit=page):
        for unit in units:
            mark = None
            while True:
                got = store.exchange.facts(unit, where, after=mark, limit=page)
                found += [placed.fact for placed in got.facts]
                if (mark := got.following) is None:
                    break
        last = units[-1]
    return found


def told(facts: list[Carried], kind: FactKind) -> list[Carried]:
    """Return the facts of a kind."""
    return [fact for fact in facts if fact.kind is kind]


def says(store: Any) -> dict[str, list[Any]]:
    """Return what a record says of everything, each row by its id, without what each record has for itself."""
    sessions = store.sessions.list(SessionFilter(include_children=True), limit=100).items
    runs = store.runs.list(limit=100).items
    messages = [message for one in sessions for message in store.messages.list(one.id, limit=100)]
    calls = store.llm_calls.list(limit=100).items
    return {
        "sessions": _rows(sessions),
        "runs": _rows(runs),
        "messages": _rows(messages, keep=("updated_at",)),
        "revisions": [(m.id, store.messages.revisions(m.id)) for m in messages if m.revision > 1],
        "calls": _rows(calls, drop=("created_at",)),
        "prices": sorted((call.id, call.price_uuid is None) for call in calls),
        "prompts": [(call.id, store.llm_calls.prompt(call.id)) for call in sorted(calls, key=lambda c: c.id)
                    if call.prompt_uuid is not None],
        "tools": _rows(store.tool_calls.list(limit=100).items),
        "events": _rows(store.events.list(limit=100).items, drop=("created_at",)),
        "errors": _rows(store.errors.list(limit=100).items),
        "groups": [(g.fingerprint, g.count, g.is_resolved) for g in store.errors.groups(include_resolved=True)],
        "found": [hit.message_uuid for hit in store.messages.search("sunny")],
    }  # fmt: skip


def _rows(rows: Any, *, drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> list[Any]:
    left_out = (_OWN - set(keep)) | set(drop)
    return sorted(
        ([row.id, {name: getattr(row, name) for name in row.__dataclass_fields__ if name not in left_out}]
         for row in rows), key=lambda pair: pair[0],
    )  # fmt: skip
