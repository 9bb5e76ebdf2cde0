"""What a trace says, as facts: a pure function of the spans known of it, so that any order of arrival is one record."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from agentrecord.ids import derived_id
from agentrecord.ingest.fields import json_or_text
from agentrecord.ingest.otlp_errors import Pieces, errors_of
from agentrecord.ingest.otlp_memory import Remembered
from agentrecord.ingest.otlp_messages import Chat, Use, messages_of
from agentrecord.ingest.otlp_tree import Tree
from agentrecord.ingest.otlp_wire import LOG
from agentrecord.ingest.otlp_words import Seen, SpanKind, name_of, opened
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.span import SOURCE, Span, run_uuid, session_uuid, trace_uuid
from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    EventFact,
    Identified,
    ImportBatch,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
)  # fmt: skip

_MICROSECOND = timedelta(microseconds=1)
_TOOL_ARGUMENTS = ("gen_ai.tool.call.arguments", "tool_arguments", "input.value", "ai.toolCall.args",
                   "traceloop.entity.input", "langfuse.observation.input", "tool.parameters")  # fmt: skip
_TOOL_RESULTS = ("gen_ai.tool.call.result", "tool_response", "output.value", "ai.toolCall.result",
                 "traceloop.entity.output", "langfuse.observation.output")  # fmt: skip
_TOOL_NAMES = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
_TOOL_REFS = ("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id")
_OBJECTIVE_CHARACTERS = 2000

_REMEMBERED = Remembered()

Tool = tuple[Identified, ToolCallFact, ToolResultFact | None]


def derive(spans: Sequence[Span], salt: str) -> ImportBatch:
    """Return what the spans known of one trace say; `salt` keeps the row ids of one owner apart from another's.

    Of the last long traces it is remembered: a trace that comes in pieces is asked for again before each.
    """
    return _REMEMBERED.batch(spans, salt, lambda: _Facts(Tree(spans), salt).batch())


class _Facts:
    """The facts of one trace."""

    def __init__(self, tree: Tree, salt: str) -> None:
        self.tree = tree
        self.salt = salt
        self.owner = salt or tree.user or ""
        self.messages: dict[UUID, MessageFact] = {}
        self.tools: dict[tuple[str, str], Tool] = {}
        self.tool_spans: dict[str, tuple[UUID, str]] = {}
        self.pieces: dict[str, UUID] = {}
        self.asked: list[tuple[str, Use, Seen, str]] = []
        self.given: list[tuple[str, Chat, datetime, UUID]] = []

    def batch(self) -> ImportBatch:
        """Return all facts, each with its row id."""
        calls = tuple(self._calls())
        self._tool_spans()
        self._tool_uses()
        runs = tuple(self._runs())
        tools = [self.tools[key] for key in sorted(self.tools)]
        messages = sorted(self.messages.items(), key=lambda pair: (pair[1].created_at, pair[1].key))
        return ImportBatch(
            source=SOURCE,
            path=self.tree.trace_id,
            user=self.tree.user,
            sessions=tuple(self._sessions()),
            runs=runs,
            messages=tuple((Identified(row_id=row_id), fact) for row_id, fact in messages),
            calls=calls,
            tool_calls=tuple((identity, call) for identity, call, _ in tools),
            tool_results=tuple((identity, result) for identity, _, result in tools if result is not None),
            events=tuple(self._events()),
            errors=tuple(self._errors()),
        )

    def _id(self, at: datetime | int, kind: str, *key: object) -> UUID:
        return derived_id(at, kind, SOURCE, self.salt, self.tree.trace_id, *key)

    # -- sessions and runs -----------------------------------------------------------------------------------------

    def _sessions(self) -> Iterator[SessionFact]:
        began: dict[str, datetime] = {}
        for one in self.tree.spans:
            began.setdefault(self.tree.session_of(one), one.span.started_at)
        began.setdefault(self.tree.session, self.tree.started_at)
        for name, at in began.items():
            yield SessionFact(
                session_id=name, created_at=at, tool_name=SOURCE, row_id=session_uuid(name, self.owner), is_coding=False
            )

    def _runs(self) -> Iterator[RunFact]:
        """Yield the trace's own run, then those of the agents below, each after the one it is below."""
        tree = self.tree
        if tree.root is None:
            yield RunFact(
                session_id=tree.session, run_id=tree.trace_id, started_at=tree.started_at, trace_id=tree.trace_id,
                row_id=self._run_id(tree.trace_id),
            )  # fmt: skip
        depth = {one.id: sum(1 for _ in tree.above(one)) for one in tree.spans if one.id in tree.runs}
        runs = [one for one in tree.spans if one.id in tree.runs]
        for one in sorted(runs, key=lambda run: (run is not tree.root, depth[run.id], run.order)):
            yield self._run(one)

    def _run_id(self, name: str) -> UUID:
        return run_uuid(self.tree.trace_id, name, self.salt)

    def _run(self, one: Seen) -> RunFact:
        inputs, outputs = messages_of(one)
        asked = next((chat.text for chat in reversed(inputs) if chat.role is MessageRole.USER and chat.text), None)
        answered = next((chat.text for chat in reversed(outputs) if chat.text), None)
        name = self.tree.runs[one.id]
        row_id = self._run_id(name)
        is_work = one.asks_a_model or one.kind is SpanKind.TOOL
        self.pieces[one.id] = self.pieces.get(one.id, row_id) if is_work else row_id
        return RunFact(
            session_id=self.tree.session_of(one),
            run_id=name,
            started_at=one.span.started_at,
            parent_run_id=self.tree.parent_run_of(one),
            agent_id=self.tree.agent_of(one),
            agent_name=self.tree.agent_of(one),
            objective=(asked or one.name)[:_OBJECTIVE_CHARACTERS],
            status=RunStatus.COMPLETED if one.failure is None else RunStatus.ERROR,
            finished_at=one.span.ended_at,
            output=answered,
            error_message=one.failure,
            trace_id=self.tree.trace_id,
            row_id=row_id,
        )

    # -- calls and their messages ----------------------------------------------------------------------------------

    def _calls(self) -> Iterator[tuple[Identified, CallFact]]:
        for one in self.tree.requests:
            answer = self._conversation(one)
            failure = one.failure
            call = self.pieces[one.id] = self._call_id(one)
            yield (
                Identified(row_id=call, message_uuid=answer),
                CallFact(
                    session_id=self.tree.session_of(one),
                    run_id=self.tree.run_of(one),
                    dedup_key=None,
                    # A call's instant is that of its answer.
                    timestamp=one.span.ended_at,
                    model=one.model,
                    host=one.host,
                    tokens=one.tokens,
                    request_id=one.text("gen_ai.response.id", "ai.response.id"),
                    is_subagent=self.tree.is_subagent(one),
                    usage_metrics=one.usage_metrics,
                    status=CallStatus.SUCCESS if failure is None else CallStatus.ERROR,
                    error_message=failure,
                    latency_ms=one.duration_ms,
                    cost_nanos=one.cost_nanos,
                    input_params=one.input_params,
                    time_to_first_token_ms=one.first_token_ms,
                    agent_id=self.tree.agent_of(one),
                ),
            )

    def _call_id(self, one: Seen) -> UUID:
        return self._id(one.span.started_at, "call", one.id)

    def _conversation(self, one: Seen) -> UUID | None:
        """Note the messages that a request shows; return the row id of the answer.

        A message is known by what it says and by the message before it, so that the history which each request
        repeats is the same messages again, and an answer is the same as in the next request's history.
        """
        inputs, outputs = messages_of(one)
        session, run = self.tree.session_of(one), self.tree.run_of(one)
        before, often = "", Counter[str]()
        answer = None
        whole = len(inputs) + len(outputs) - 1
        ended = max(one.span.ended_at, one.span.started_at + whole * _MICROSECOND)
        for place, chat in enumerate([*inputs, *outputs]):
            said = _said(chat)
            key = _digest(said, "" if chat.role is MessageRole.SYSTEM or chat.call_ref or chat.uses else before)
            often[key] += 1
            key = key if often[key] == 1 else f"{key}.{often[key]}"
            before = before if chat.role is MessageRole.SYSTEM else said
            is_answer = place >= len(inputs)
            at = ended - (whole - place) * _MICROSECOND if is_answer else one.span.started_at + place * _MICROSECOND
            row_id = self._message(one, (session, run), key, chat, at, is_answer=is_answer)
            answer = row_id if is_answer and chat.role is MessageRole.ASSISTANT else answer
        return answer

    def _message(
        self, one: Seen, place: tuple[str, str], key: str, chat: Chat, at: datetime, *, is_answer: bool
    ) -> UUID:
        session, run = place
        row_id = derived_id(0, "message", SOURCE, self.owner, session, key)
        self.asked.extend((session, use, one, key) for use in chat.uses)
        if chat.role is MessageRole.TOOL and chat.call_ref:
            self.given.append((session, chat, at, row_id))
        known = self.messages.get(row_id)
        if known is None or at < known.created_at:
            self.messages[row_id] = MessageFact(
                session_id=session,
                key=key,
                role=chat.role,
                content=chat.text,
                created_at=at,
                run_id=run,
                parts=chat.parts,
                tool_call_id=chat.call_ref,
                tool_name=name_of(chat.name) if chat.role is MessageRole.TOOL else None,
                tools_used=tuple(dict.fromkeys(use.name for use in chat.uses)),
                model_used=one.model if is_answer else None,
            )
        return row_id

    # -- tools -----------------------------------------------------------------------------------------------------

    def _tool(self, session: str, ref: str) -> UUID:
        return derived_id(0, "tool", SOURCE, self.owner, session, ref)

    def _tool_spans(self) -> None:
        tools = [one for one in self.tree.spans if one.kind is SpanKind.TOOL]
        # Those that say which use they are come first: the others are what is left.
        for one in sorted(tools, key=lambda one: one.text(*_TOOL_REFS) is None):
            session = self.tree.session_of(one)
            ref = one.text(*_TOOL_REFS) or self._use_of(one, session) or one.id
            if (session, ref) in self.tools:
                ref = f"{ref}#{one.id}"
            call = ToolCallFact(
                session_id=session,
                run_id=self.tree.run_of(one),
                call_ref=ref,
                tool_name=name_of(one.text(*_TOOL_NAMES)) or name_of(one.name) or "tool",
                started_at=one.span.started_at,
                arguments=_text_at(one, _TOOL_ARGUMENTS),
                agent_id=self.tree.agent_of(one),
            )
            result = ToolResultFact(
                session_id=session,
                call_ref=ref,
                finished_at=one.span.ended_at,
                is_error=one.failure is not None,
                result=_text_at(one, _TOOL_RESULTS) or one.failure,
            )
            use = self.pieces[one.id] = self._tool(session, ref)
            self.tools[session, ref] = (Identified(row_id=use), call, result)
            self.tool_spans[one.id] = (use, call.tool_name)

    def _use_of(self, one: Seen, session: str) -> str | None:
        """Return which use a tool's span is that does not say: the first one asked for with its name and arguments."""
        name, given = one.text(*_TOOL_NAMES), opened(_text_at(one, _TOOL_ARGUMENTS))
        for asked_in, use, request, _ in self.asked:
            if asked_in != session or use.call_ref == use.name or (session, use.call_ref) in self.tools:
                continue
            is_before = request.span.started_at <= one.span.started_at
            if use.name == name and is_before and opened(use.arguments) == given:
                return use.call_ref
        return None

    def _tool_uses(self) -> None:
        """Note the uses of tools that only messages tell of: nobody made spans of them."""
        results: dict[tuple[str, str], tuple[datetime, UUID]] = {}
        for session, chat, at, row_id in self.given:
            key = (session, str(chat.call_ref))
            if key not in results or at < results[key][0]:
                results[key] = (at, row_id)
        for session, use, one, _ in self.asked:
            key = (session, use.call_ref)
            if key in self.tools or use.call_ref == use.name:
                continue
            call = ToolCallFact(
                session_id=session,
                run_id=self.tree.run_of(one),
                call_ref=use.call_ref,
                tool_name=name_of(use.name) or "tool",
                started_at=one.span.ended_at,
                arguments=use.arguments,
                agent_id=self.tree.agent_of(one),
            )
            result = None
            if key in results:
                at, row_id = results[key]
                at = max(at, one.span.ended_at)
                result = ToolResultFact(
                    session_id=session, call_ref=use.call_ref, finished_at=at, result=self.messages[row_id].content
                )
            self.tools[key] = (Identified(row_id=self._tool(*key)), call, result)

    # -- events and errors -----------------------------------------------------------------------------------------

    def _event_id(self, one: Seen) -> UUID:
        return self._id(one.span.started_at, "span", one.id)

    def _events(self) -> Iterator[tuple[Identified, EventFact]]:
        trace = trace_uuid(self.tree.trace_id, self.salt)
        for one in self.tree.spans:
            parent = self.tree.parents[one.id]
            yield (
                Identified(row_id=self._event_id(one)),
                EventFact(
                    session_id=self.tree.session_of(one),
                    key=one.id,
                    event_type=one.kind.value,
                    timestamp=one.span.started_at,
                    run_id=self.tree.run_of(one),
                    data=one.span.data,
                    duration_ms=one.duration_ms,
                    agent_id=self.tree.agent_of(one),
                    span_id=one.id,
                    ended_at=one.span.ended_at,
                    trace_uuid=trace,
                    parent_event_uuid=None if parent is None else self._event_id(parent),
                    piece_uuid=self.pieces.get(one.id),
                    detached_from=self.tree.detached.get(one.id),
                ),
            )
        for log in self.tree.logs:
            place = self.tree.place_of(log)
            yield (
                Identified(row_id=self._event_id(log)),
                EventFact(
                    session_id=self.tree.session if place is None else self.tree.session_of(place),
                    key=log.id,
                    event_type=name_of(log.name) or LOG,
                    timestamp=log.span.started_at,
                    run_id=self.tree.trace_id if place is None else self.tree.run_of(place),
                    data=log.span.data,
                    agent_id=None if place is None else self.tree.agent_of(place),
                    span_id=log.id,
                    ended_at=log.span.started_at,
                    trace_uuid=trace,
                    parent_event_uuid=None if place is None else self._event_id(place),
                    detached_from=log.span.parent_span_id if place is None else self.tree.detached.get(place.id),
                ),
            )

    def _errors(self) -> Iterator[tuple[Identified, ErrorFact]]:
        calls = {one.id: self._call_id(one) for one in self.tree.requests}
        pieces = Pieces(calls=calls, tools=self.tool_spans)
        return errors_of(self.tree, pieces, lambda at, span, number: self._id(at, "error", span, number))


def _text_at(one: Seen, names: tuple[str, ...]) -> str | None:
    return next((json_or_text(value) for name in names if (value := one.attributes.get(name)) not in (None, "")), None)


def _said(chat: Chat) -> str:
    """Return what makes a message that message: a result or a call by its id, other messages by their words."""
    if chat.role is MessageRole.TOOL and chat.call_ref:
        return _digest("result", chat.call_ref)
    if refs := [use.call_ref for use in chat.uses if use.call_ref != use.name]:
        return _digest("calls", *refs)
    return _digest(chat.role, chat.text.strip(), *(f"{use.name} {use.arguments}" for use in chat.uses), *chat.images)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
