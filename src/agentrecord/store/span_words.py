"""The words that the pieces of one run are filtered by: what the tree tells of each, and what is kept of it.

The tree of a run is read whole, so that its words are checked here rather than in SQL; only what the tree leaves out,
the contents and the attributes, is asked of the tables, and only if a filter wants it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any  # `Any`: attributes are plain JSON
from uuid import UUID

import msgspec
from sqlalchemy import Table, func, or_, select

from agentrecord.engine import Connection
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.measures import WordKind, bounds_of
from agentrecord.records.query import Query, Term, Value, Word, parse
from agentrecord.records.run import RunStatus
from agentrecord.records.run_tree import RunSpan, SpanKind
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import events, llm_calls, runs, tool_calls
from agentrecord.store._sql import within
from agentrecord.store._words import holding

ATTRIBUTE = "attr."
"""What the word of an attribute begins with; the rest is its key, in which case does not matter."""

_STATUSES = tuple(dict.fromkeys(map(str, (*RunStatus, *CallStatus, *ToolCallStatus))))
_JSON = msgspec.json.Decoder()
_CONTENTS: tuple[tuple[Table, tuple[str, ...], tuple[str, ...]], ...] = (
    (llm_calls, ("response_content", "error_message", "request_id"), ("input_params", "usage_metrics")),
    (tool_calls, ("arguments", "result", "error_message"), ("arguments",)),
    (events, ("data",), ("data",)),
    (runs, ("objective", "final_synthesis_output", "error_message"), ("metadata", "additional_context")),
)
"""Where pieces are kept: the columns in which free text is looked for, and those whose members are attributes."""


def _text(name: str, help_: str, example: str) -> Word:
    return Word(name=name, kind=WordKind.TEXT, help=help_, example=example)


SPAN_WORDS: Mapping[str, Word] = {
    word.name: word
    for word in (
        _text("name", "What it is called", "name:get_*"),
        Word(name="kind", kind=WordKind.CHOICE, help="What it is", example="kind:tool",
             choices=tuple(map(str, SpanKind))),
        Word(name="status", kind=WordKind.CHOICE, help="How it stands", example="status:error", choices=_STATUSES),
        _text("model", "The model that was called", "model:claude-*"),
        _text("tool", "The tool that was used", "tool:refund_payment"),
        _text("agent", "The agent of a run below", "agent:explorer"),
        _text("error", "The start of its error message", "error:*timeout*"),
        Word(name="cost", kind=WordKind.MONEY, help="Dollars, with all below it", example="cost:>0.05"),
        Word(name="tokens", kind=WordKind.COUNT, help="Tokens, with all below it", example="tokens:>10k"),
        Word(name="duration", kind=WordKind.DURATION, help="How long it took", example="duration:>2s"),
    )
}  # fmt: skip
"""The words, beside `attr.KEY` for the member KEY of arguments, parameters, usage, metadata, events and sent spans."""


class _WithAttributes(dict[str, Word]):
    """The words, and a word for each attribute that is asked for."""

    def get(self, name: str, default: Any = None, /) -> Any:
        if name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE):
            return _text(name, "An attribute", f"{name}:…")
        return super().get(name, default)


def query_of(text: str) -> Query:
    """Return a filter's text as a query; raise `InvalidFilter` for what cannot be understood."""
    return parse(text, _WithAttributes(SPAN_WORDS, **{f"{ATTRIBUTE}KEY": _text(f"{ATTRIBUTE}KEY", "", "")}))


def matching(conn: Connection, scope: Scope, tree: Any, spans: Sequence[RunSpan], text: str) -> frozenset[UUID]:
    """Return the ids of those pieces that a filter finds; `tree` selects the runs whose pieces they are."""
    found = list(spans)
    for term in query_of(text).terms:
        holds = _condition(conn, scope, tree, term)
        found = [span for span in found if holds(span) != term.is_negated]
    return frozenset(span.id for span in found)


Holds = Callable[[RunSpan], bool]


def _condition(conn: Connection, scope: Scope, tree: Any, term: Term) -> Holds:
    name, values = term.word, term.values
    if name is None:
        held = _holding(conn, scope, tree, values[0])
        is_like = _pattern(f"*{values[0].text}*" if _is_pattern(values[0]) else None, values[0].text)
        return lambda span: span.id in held or is_like(span.name) or is_like(span.error_message)
    if name.startswith(ATTRIBUTE):
        told = _attributes(conn, scope, tree, name.removeprefix(ATTRIBUTE))
        return lambda span: any(_is_one_of(text, values) for text in told.get(span.id, ()))
    word = SPAN_WORDS[name]
    if word.kind.is_measured:
        bounds = [bounds_of(name, word.kind, value.text) for value in values]
        return lambda span: any(_is_between(_MEASURES[name](span), one.low, one.high) for one in bounds)
    return lambda span: any(_is_one_of(text, values) for text in _TEXTS[name](span))


def _named(kind: SpanKind) -> Callable[[RunSpan], tuple[str | None, ...]]:
    return lambda span: (span.name,) if span.kind is kind else ()


_TEXTS: Mapping[str, Callable[[RunSpan], tuple[str | None, ...]]] = {
    "name": lambda span: (span.name,),
    "kind": lambda span: (str(span.kind),),
    # A phase that failed, or goes on, has no status of its own.
    "status": lambda span: (span.status, *["error"] * span.is_failed, *["running"] * span.is_running),
    "model": _named(SpanKind.LLM),
    "tool": _named(SpanKind.TOOL),
    "agent": _named(SpanKind.RUN),
    "error": lambda span: (span.error_message,),
}
_MEASURES: Mapping[str, Callable[[RunSpan], int | None]] = {
    "cost": lambda span: span.cost_nanos,
    "tokens": lambda span: span.tokens,
    "duration": lambda span: None if span.duration_ms is None else span.duration_ms * 1000,
}


def _is_between(number: int | None, low: int | None, high: int | None) -> bool:
    return number is not None and (low is None or number >= low) and (high is None or number <= high)


def _is_pattern(value: Value) -> bool:
    return "*" in value.text and not value.is_quoted


def _is_one_of(text: str | None, values: Sequence[Value]) -> bool:
    """Say whether a text is one of some values, as the filters of lists understand them."""
    if text is None:
        return False
    return any(_pattern(value.text, "")(text) if _is_pattern(value) else text == value.text for value in values)


def _pattern(pattern: str | None, words: str) -> Callable[[str | None], bool]:
    """Return what says whether a text is like a pattern, or else holds some words, whatever the case."""
    if pattern is None:
        return lambda text: text is not None and words.lower() in text.lower()
    like = re.compile(".*".join(re.escape(part) for part in pattern.lower().split("*")), re.DOTALL)
    return lambda text: text is not None and like.fullmatch(text.lower()) is not None


def _owner(table: Table) -> Any:
    return table.c.id if table is runs else table.c.run_uuid


def _holding(conn: Connection, scope: Scope, tree: Any, value: Value) -> set[UUID]:
    """Return the pieces whose contents hold a text."""
    found: set[UUID] = set()
    for table, texts, _ in _CONTENTS:
        holds = or_(*[holding(table.c[name], value) for name in texts])
        rows = conn.rows(select(table.c.id).where(*within(scope, table), _owner(table).in_(tree), holds))
        found.update(row[0] for row in rows)
    return found


def _attributes(conn: Connection, scope: Scope, tree: Any, key: str) -> Mapping[UUID, list[str]]:
    """Return what pieces say under a key, as text."""
    told: defaultdict[UUID, list[str]] = defaultdict(list)
    for table, _, columns in _CONTENTS:
        last = key.rpartition(".")[2]
        may_hold = or_(*[func.lower(table.c[name]).contains(last.lower(), autoescape=True) for name in columns])
        names = ("id", *columns)
        rows = conn.rows(
            select(*[table.c[name] for name in names]).where(*within(scope, table), _owner(table).in_(tree), may_hold)
        )
        for row_id, *documents in rows:
            for document in documents:
                told[row_id].extend(_said(document, key))
    _as_sent(conn, scope, tree, told)
    return told


def _as_sent(conn: Connection, scope: Scope, tree: Any, told: defaultdict[UUID, list[str]]) -> None:
    """Give what spans say, which are kept as events, to the pieces that were made of them."""
    rows = conn.rows(
        select(events.c.id, events.c.piece_uuid).where(
            *within(scope, events), events.c.run_uuid.in_(tree), events.c.piece_uuid.is_not(None)
        )
    )
    for event, piece in rows:
        if event in told:
            told[piece].extend(told[event])


def _said(document: str | None, key: str) -> Iterator[str]:
    """Yield what a JSON document says under a key: a member's name, or names with dots between them."""
    if document is None:
        return
    try:
        whole = _JSON.decode(document)
    except msgspec.DecodeError:
        return
    members = [whole]
    if isinstance(whole, dict):
        members += [whole[name] for name in ("attributes", "resource") if isinstance(whole.get(name), dict)]
    for member in members:
        yield from _under(member, key.lower())


def _under(member: Any, key: str) -> Iterator[str]:
    if not isinstance(member, dict):
        return
    for name, value in member.items():
        if name.lower() == key:
            yield value if isinstance(value, str) else msgspec.json.encode(value).decode()
        elif key.startswith(f"{name.lower()}."):
            yield from _under(value, key[len(name) + 1 :])
