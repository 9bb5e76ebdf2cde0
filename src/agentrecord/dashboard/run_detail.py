"""One piece of a run in detail: a call with its prompt and its price, a use of a tool, a phase, a run."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agentrecord.dashboard import formats
from agentrecord.exceptions import NotFound
from agentrecord.records.call_detail import CallDetail
from agentrecord.records.event import Event
from agentrecord.records.llm_call import PromptPart
from agentrecord.records.query import Term, written
from agentrecord.records.run import Run
from agentrecord.records.run_tree import RunSpan, SpanKind
from agentrecord.records.tool_call import ToolCall
from agentrecord.store import AsyncStore
from agentrecord.store.span_words import ATTRIBUTE

LONG_CHARS = 1200
"""A longer message of a prompt is folded."""

MOST_MESSAGES = 100
"""So many messages of a prompt are shown, the last ones."""

MOST_ASKED = 200
"""An attribute's value that is longer is not offered as a filter."""

_ASKABLE = re.compile(r"[A-Za-z0-9_.-]+")
_CLASSES = (
    ("input", "input, uncached"),
    ("cache_read", "cache read"),
    ("cache_write_5m", "cache write, 5 min"),
    ("cache_write_1h", "cache write, 1 h"),
    ("output", "output"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of a prompt: who speaks, its text, and whether it is long."""

    role: str
    text: str
    is_long: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A class of tokens: how many there were, at which rate, and what that came to."""

    label: str
    tokens: int | None
    rate: int | None
    cost_nanos: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """An attribute of a span that was sent, and the filter that finds all pieces with it; None where it is long."""

    name: str
    value: str
    query: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A piece of a run and what it is made of; which of the fields are set depends on its kind.

    `attributes` and `sent` are those of the span that it was made of, and that span as JSON, where one was sent.
    """

    span: RunSpan
    call: CallDetail | None = None
    tokens: Sequence[TokenRow] = ()
    prompt: Sequence[Said] = ()
    earlier: int = 0
    tool: ToolCall | None = None
    event: Event | None = None
    run: Run | None = None
    attributes: Sequence[Attribute] = ()
    sent: str = ""


async def detail_of(store: AsyncStore, span: RunSpan) -> Detail:
    """Return a piece of a run in detail, with what was sent of it."""
    found = await _detail(store, span)
    sent = None if span.kind is SpanKind.PHASE else await store.traces.sent(span.id)
    if sent is None:
        return found
    data = json.loads(sent.data)
    told = {**data.get("resource", {}), **data.get("attributes", {})}
    return replace(found, attributes=[_attribute(*item) for item in sorted(told.items())], sent=sent.data)


def _attribute(name: str, value: object) -> Attribute:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    is_askable = _ASKABLE.fullmatch(name) is not None and len(text) <= MOST_ASKED and "\0" not in text
    query = str(Term(word=f"{ATTRIBUTE}{name}", values=(written(text),))) if is_askable and text else None
    return Attribute(name=name, value=text, query=query)


async def _detail(store: AsyncStore, span: RunSpan) -> Detail:
    if span.kind is SpanKind.LLM:
        call = await store.llm_calls.detail(span.id)
        said = list(messages(call.prompt or ()))
        return Detail(
            span=span,
            call=call,
            tokens=list(_token_rows(call)),
            prompt=said[-MOST_MESSAGES:],
            earlier=max(0, len(said) - MOST_MESSAGES),
        )
    if span.kind is SpanKind.TOOL:
        return Detail(span=span, tool=await store.tool_calls.get(span.id))
    if span.kind is SpanKind.RUN:
        return Detail(span=span, run=await store.runs.get(span.id))
    try:
        return Detail(span=span, event=await store.events.get(span.id))
    except NotFound:
        # The events of a session can be deleted while its page is being made.
        return Detail(span=span)


def _token_rows(detail: CallDetail) -> Iterator[TokenRow]:
    charged = {charge.token_class: charge for charge in detail.charges}
    for name, label in _CLASSES:
        count, charge = getattr(detail.call.tokens, name), charged.get(name)
        # A class without tokens is charged nothing, but its own rate is known.
        listed = None if detail.price is None else getattr(detail.price.rates, name)
        rate = listed if charge is None else charge.rate
        yield TokenRow(label=label, tokens=count, rate=rate, cost_nanos=None if charge is None else charge.cost_nanos)
    if "request" in charged:
        yield TokenRow(label="each call", tokens=None, rate=None, cost_nanos=charged["request"].cost_nanos)


def messages(parts: Sequence[PromptPart]) -> Iterator[Said]:
    """Yield a prompt's messages; a text that is a JSON array of messages is shown as these."""
    for part in parts:
        content = part.content or ""
        listed = _listed(content) if part.role is None else None
        if listed is None:
            yield _said(part.role or "prompt", content)
            continue
        for message in listed:
            yield _said(str(message.get("role")), _text(message))


def _listed(content: str) -> list[dict[str, object]] | None:
    if not content.lstrip().startswith("["):
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    is_messages = isinstance(found, list) and all(isinstance(one, dict) and "role" in one for one in found)
    return found if found and is_messages else None


def _text(message: dict[str, object]) -> str:
    """Return a message's text, and whatever else it says as JSON below it."""
    content = message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    if not isinstance(content, str) and content is not None:
        rest = {"content": content, **rest}
    told = [content] if isinstance(content, str) and content else []
    if rest:
        told.append(formats.pretty_json(json.dumps(rest, ensure_ascii=False)))
    return "\n".join(told)


def _said(role: str, text: str) -> Said:
    return Said(role=role, text=text, is_long=len(text) > LONG_CHARS)
