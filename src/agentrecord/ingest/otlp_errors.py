"""Errors that spans tell of: each once, where it began, and of which request or use of a tool it is the failure."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agentrecord.ingest.otlp_tree import Tree
from agentrecord.ingest.otlp_words import Seen, SpanKind, name_of
from agentrecord.records.error import ErrorKind
from agentrecord.records.span import instant
from agentrecord.records.transcript import ErrorFact, Identified

_KINDS = {SpanKind.LLM: ErrorKind.LLM, SpanKind.EMBEDDING: ErrorKind.LLM, SpanKind.TOOL: ErrorKind.TOOL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What spans were made into, by their ids: requests into calls, spans of tools into uses, with the tools' names."""

    calls: Mapping[str, UUID]
    tools: Mapping[str, tuple[UUID, str]]


@dataclass(frozen=True, slots=True)
class _Told:
    kind: str
    message: str
    trace: str | None
    at: datetime


def errors_of(
    tree: Tree, pieces: Pieces, row_id: Callable[[datetime, str, int], UUID]
) -> Iterator[tuple[Identified, ErrorFact]]:
    """Yield each error once: where it began, not at every span that it passed through on its way up."""
    told = {one.id: list(_errors_in(one)) for one in tree.spans}
    same = {one: {(error.kind, error.message) for error in errors} for one, errors in told.items()}
    telling: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for span, found in same.items():
        for each in found:
            telling[each].add(span)
    for one in tree.spans:
        below = {error for under in tree.below(one) for error in same[under.id]} if told[one.id] else set()
        for number, error in enumerate(told[one.id]):
            if (error.kind, error.message) in below or (below and error.trace is None):
                continue
            failed = _failed(tree, pieces, one, telling[error.kind, error.message])
            use, tool = pieces.tools.get(failed.id, (None, None))
            yield (
                Identified(
                    row_id=row_id(error.at, one.id, number),
                    tool_call_uuid=use,
                    llm_call_uuid=pieces.calls.get(failed.id),
                ),
                ErrorFact(
                    session_id=tree.session_of(one),
                    key=f"{one.id}:{number}",
                    kind=_KINDS.get(failed.kind, ErrorKind.LLM if failed.id in pieces.calls else ErrorKind.AGENT),
                    tool_name=tool,
                    error_type=error.kind,
                    error_message=error.message,
                    created_at=error.at,
                    run_id=tree.run_of(one),
                    stack_trace=error.trace,
                    agent_id=tree.agent_of(one),
                ),
            )


def _failed(tree: Tree, pieces: Pieces, one: Seen, having: Container[str]) -> Seen:
    """Return the request or the tool's span that failed with an error: where it began, or the nearest it came up to.

    `having` are the spans that tell of it.
    """
    for at in (one, *tree.above(one)):
        if at is not one and at.id not in having:
            break
        if at.id in pieces.calls or at.id in pieces.tools:
            return at
    return one


def _errors_in(one: Seen) -> Iterator[_Told]:
    found = False
    for event in one.data.get("events", ()):
        if event["name"] == "exception":
            found = True
            told = event["attributes"]
            kind = name_of(str(told.get("exception.type") or "")) or "Exception"
            message = str(told.get("exception.message") or one.failure or kind)
            trace = told.get("exception.stacktrace")
            at = instant(event["time"]) if event["time"] > 0 else one.span.ended_at
            yield _Told(kind, message, trace if isinstance(trace, str) else "", at)
    if not found and (failure := one.failure) is not None:
        yield _Told(name_of(one.text("error.type")) or "SpanError", failure, None, one.span.ended_at)
