"""What attributes of a span mean: three generations of GenAI conventions, OpenInference and their relatives.

Nobody promises types: each value is read as what it should be, or as absent; the span itself keeps what was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any  # `Any`: attributes of foreign spans

import msgspec

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.fields import digest, fit, host_of, json_text
from agentrecord.ingest.otlp_wire import LOG
from agentrecord.ingest.source import MAX_TOKENS
from agentrecord.records.span import Span
from agentrecord.records.tokens import TokenCounts

KEPT_SPANS = 6144
KEPT_CHARACTERS = 8192
"""Spans that are remembered, and how long they may be: 48 MB of text at most, for a trace of some thousand spans."""

Attributes = Mapping[str, Any]


class SpanKind(StrEnum):
    """What a span stands for; the `event_type` of its event."""

    LLM = "llm"
    EMBEDDING = "embedding"
    AGENT = "agent"
    TOOL = "tool"
    RETRIEVER = "retriever"
    CHAIN = "chain"
    GUARDRAIL = "guardrail"
    EVALUATOR = "evaluator"
    SPAN = "span"


_KINDS = {
    "llm": SpanKind.LLM, "chat": SpanKind.LLM, "text_completion": SpanKind.LLM, "generate_content": SpanKind.LLM,
    "completion": SpanKind.LLM, "generation": SpanKind.LLM, "rerank": SpanKind.LLM, "reranker": SpanKind.LLM,
    "embedding": SpanKind.EMBEDDING, "embeddings": SpanKind.EMBEDDING,
    "agent": SpanKind.AGENT, "invoke_agent": SpanKind.AGENT, "create_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.AGENT, "workflow": SpanKind.AGENT, "handle_conversation_turn": SpanKind.AGENT,
    "tool": SpanKind.TOOL, "execute_tool": SpanKind.TOOL,
    "retriever": SpanKind.RETRIEVER, "retrieval": SpanKind.RETRIEVER,
    "chain": SpanKind.CHAIN, "task": SpanKind.CHAIN, "prompt": SpanKind.CHAIN, "plan": SpanKind.CHAIN,
    "guardrail": SpanKind.GUARDRAIL, "evaluator": SpanKind.EVALUATOR,
    "ai.generatetext": SpanKind.LLM, "ai.streamtext": SpanKind.LLM, "ai.generateobject": SpanKind.LLM,
    "ai.streamobject": SpanKind.LLM, "ai.generatetext.dogenerate": SpanKind.LLM,
    "ai.streamtext.dostream": SpanKind.LLM, "ai.generateobject.dogenerate": SpanKind.LLM,
    "ai.streamobject.dostream": SpanKind.LLM, "ai.embed": SpanKind.EMBEDDING, "ai.embedmany": SpanKind.EMBEDDING,
    "ai.embed.doembed": SpanKind.EMBEDDING, "ai.embedmany.doembed": SpanKind.EMBEDDING, "ai.toolcall": SpanKind.TOOL,
}  # fmt: skip
_KIND_NAMES = (
    "openinference.span.kind", "gen_ai.operation.name", "langfuse.observation.type", "traceloop.span.kind",
    "ai.operationId", "llm.request.type", "langsmith.span.kind",
)  # fmt: skip
_SESSION = (
    "session.id", "langfuse.session.id", "copilot_chat.chat_session_id", "gen_ai.conversation.id",
    "traceloop.association.properties.session_id", "ai.telemetry.metadata.sessionId", "langsmith.trace.session_id",
    "langsmith.metadata.session_id", "langsmith.metadata.thread_id", "thread.id", "gcp.vertex.agent.session_id",
)  # fmt: skip
_USER = (
    "user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId", "langsmith.metadata.user_id",
)  # fmt: skip
_AGENT = ("gen_ai.agent.name", "agent.name", "agent_name", "gen_ai.workflow.name", "traceloop.entity.name",
          "gen_ai.agent.id", "graph.node.id")  # fmt: skip
_MODEL = ("gen_ai.response.model", "llm.response.model_name", "gen_ai.request.model", "llm.request.model_name",
          "llm.model_name", "embedding.model_name", "reranker.model_name", "langfuse.observation.model.name",
          "ai.response.model", "ai.model.id", "model_name")  # fmt: skip
_HOST = ("gen_ai.provider.name", "llm.provider", "gen_ai.system", "llm.system", "ai.model.provider")
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
          "llm.usage.prompt_tokens", "ai.usage.promptTokens", "ai.usage.inputTokens",
          "ai.usage.tokens")  # fmt: skip
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
           "llm.usage.completion_tokens", "ai.usage.completionTokens", "ai.usage.outputTokens")  # fmt: skip
_TOTAL = ("llm.token_count.total", "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "ai.usage.totalTokens")
_CACHE_READ = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
               "llm.token_count.prompt_details.cache_read", "gen_ai.usage.details.cache_read_tokens",
               "ai.usage.cachedInputTokens")  # fmt: skip
_CACHE_WRITE = ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens",
                "gen_ai.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
                "gen_ai.usage.details.cache_write_tokens")  # fmt: skip
_REASONING = ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
              "llm.token_count.completion_details.reasoning", "gen_ai.usage.details.reasoning_tokens",
              "gen_ai.usage.details.thoughts_tokens", "ai.usage.reasoningTokens")  # fmt: skip
_ROLLED_INPUT = ("gen_ai.aggregated_usage.input_tokens",)
_ROLLED_OUTPUT = ("gen_ai.aggregated_usage.output_tokens",)
_COST = ("llm.cost.total", "gen_ai.usage.cost")
_USAGE_PREFIXES = ("gen_ai.usage.", "llm.token_count.", "llm.usage.", "llm.cost.", "ai.usage.", "operation.cost")
_PARAMETERS = "gen_ai.request."
_REMOTE_KNOWN, _REMOTE = 0x100, 0x200
_NANOS = Decimal(1_000_000_000)


@dataclass(frozen=True, eq=False)
class Seen:
    """A span with its attributes at hand."""

    span: Span
    data: Mapping[str, Any]
    attributes: Attributes = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The span's id."""
        return self.span.span_id

    @property
    def name(self) -> str:
        """What the span is called."""
        return str(self.data.get("name") or "span")

    @property
    def is_log(self) -> bool:
        """Say whether it is a log record of the trace, and no span."""
        return bool(self.data.get(LOG))

    @property
    def order(self) -> tuple[int, str]:
        """What spans of one trace are sorted by."""
        return self.span.start_nanos, self.span.span_id

    @property
    def has_remote_parent(self) -> bool:
        """Say whether the sender knew that the parent is another process's."""
        flags = self.data.get("flags", 0)
        return bool(flags & _REMOTE_KNOWN and flags & _REMOTE)

    @property
    def failure(self) -> str | None:
        """What went wrong according to the span's status; None if nothing did."""
        status = self.data.get("status", {})
        if status.get("code") == 2 or self.text("error.type"):
            return str(status.get("message") or self.text("error.type", "error.message") or "failed")
        return None

    @property
    def duration_ms(self) -> int:
        """Milliseconds from start to end."""
        return (self.span.end_nanos - self.span.start_nanos) // 1_000_000

    def text(self, *names: str) -> str | None:
        """Return the first of these attributes that holds text."""
        for name in names:
            value = self.attributes.get(name)
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
        return None

    @cached_property
    def kind(self) -> SpanKind:
        """What the span stands for."""
        for name in _KIND_NAMES:
            told = self.attributes.get(name)
            if isinstance(told, str) and (found := _KINDS.get(told.lower())):
                return found
        if self.text("gen_ai.tool.name", "tool.name"):
            return SpanKind.TOOL
        if self.text("gen_ai.request.model", "llm.model_name") and self.has_usage:
            return SpanKind.LLM
        return SpanKind.SPAN

    @property
    def asks_a_model(self) -> bool:
        """Say whether the span is a request to a model."""
        return self.kind in (SpanKind.LLM, SpanKind.EMBEDDING)

    @cached_property
    def session(self) -> str | None:
        """The session that the span names."""
        return name_of(self.text(*_SESSION))

    @cached_property
    def user(self) -> str | None:
        """The user that the span names."""
        return name_of(self.text(*_USER))

    @cached_property
    def agent(self) -> str | None:
        """The agent that the span names."""
        return name_of(self.text(*_AGENT))

    @cached_property
    def model(self) -> str | None:
        """The model that answered, or else was asked for."""
        return name_of(self.text(*_MODEL))

    @cached_property
    def host(self) -> str | None:
        """Who serves the model."""
        return host_of(name_of(self.text(*_HOST)))

    @cached_property
    def has_usage(self) -> bool:
        """Say whether the span tells of tokens."""
        return bool(self.tokens.total)

    @cached_property
    def tokens(self) -> TokenCounts:
        """The span's tokens in disjoint classes, under whatever names they came, each once."""
        given, made = self._count(_INPUT), self._count(_OUTPUT)
        if given is None and made is None:
            given, made = self._count(_ROLLED_INPUT), self._count(_ROLLED_OUTPUT)
        usage = self._langfuse_usage
        given = usage.get("input") if given is None else given
        made = usage.get("output") if made is None else made
        total = self._count(_TOTAL)
        if given is None and made is None:
            return TokenCounts(unclassified=total)
        read, written = self._count(_CACHE_READ), self._count(_CACHE_WRITE)
        cached = (read or 0) + (written or 0)
        # Conventions count cached tokens into the input; emitters that left them out show it by their sums.
        is_apart = given is not None and (cached > given or (cached > 0 and total == given + (made or 0) + cached))
        reasoning = self._count(_REASONING)
        return TokenCounts(
            input=given if given is None or is_apart else given - cached,
            cache_read=read,
            cache_write_5m=written,
            output=made,
            reasoning=None if reasoning is None or made is None else min(reasoning, made),
        )

    @cached_property
    def _langfuse_usage(self) -> dict[str, int]:
        found = opened(self.attributes.get("langfuse.observation.usage_details"))
        if not isinstance(found, dict):
            return {}
        return {name: count for name in ("input", "output") if (count := counted(found.get(name))) is not None}

    def _count(self, names: tuple[str, ...]) -> int | None:
        """Return the largest of the counts under these names: one usage, told in the words of several conventions."""
        told = self.attributes
        found = [count for name in names if name in told and (count := counted(told[name])) is not None]
        return max(found, default=None)

    @cached_property
    def cost_nanos(self) -> int | None:
        """What the span says that the call cost; None if it does not."""
        for name in _COST:
            value = self.attributes.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1_000_000:
                return int((Decimal(str(value)) * _NANOS).to_integral_value())
        return None

    @property
    def usage_metrics(self) -> str | None:
        """The attributes about tokens and cost as they came, as JSON."""
        found = {name: value for name, value in self.attributes.items() if name.startswith(_USAGE_PREFIXES)}
        return json_text(found) if found else None

    @property
    def input_params(self) -> str | None:
        """The parameters of the request as JSON."""
        given = opened(self.attributes.get("llm.invocation_parameters"))
        found = dict(given) if isinstance(given, dict) else {}
        for name in ("messages", "input", "prompt", "contents", "tools", "system"):
            found.pop(name, None)
        for name, value in self.attributes.items():
            if name.startswith(_PARAMETERS) and name != "gen_ai.request.model":
                found[name.removeprefix(_PARAMETERS)] = value
        try:
            return values.json_text("input_params", json_text(found)) if found else None
        except (InvalidValue, RecursionError):
            # The span keeps what was sent; a copy that no engine stores alike is not worth losing the call.
            return None

    @property
    def first_token_ms(self) -> int | None:
        """Milliseconds until the first token came, where the span tells."""
        for event in self.data.get("events", ()):
            if event["name"] in ("First Token Stream Event", "gen_ai.first_token", "ai.stream.firstChunk"):
                first: int = event["time"] - self.span.start_nanos
                return max(0, first // 1_000_000)
        seconds = self.attributes.get("gen_ai.response.time_to_first_chunk")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 86_400:
            return round(seconds * 1000)
        return counted(self.attributes.get("copilot_chat.time_to_first_token"))


def seen(span: Span) -> Seen:
    """Return a span with its attributes at hand.

    Small ones are remembered for a while: a trace that comes in pieces is read anew with every piece.
    """
    return _remembered(span) if len(span.data) <= KEPT_CHARACTERS else _read(span)


def _read(span: Span) -> Seen:
    data = msgspec.json.decode(span.data)
    return Seen(span, data, data.get("attributes", {}))


_remembered = lru_cache(maxsize=KEPT_SPANS)(_read)


def counted(value: object) -> int | None:
    """Return a count of tokens, None for anything that cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


def name_of(value: str | None) -> str | None:
    """Return what can name a row: visible, without control characters, at most 255 characters."""
    if value is None:
        return None
    found = "".join(c if c.isprintable() else " " for c in value).strip()
    if len(found) > values.MAX_NAME:
        found = f"{found[:200]}~{digest(found)}"
    return found or None


def opened(value: object) -> Any:
    """Return what a text holds if it is JSON of a list or object; other values as they are."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        found = msgspec.json.decode(value)
        # Only an escape can bring back the characters that were cleaned from the text.
        return fit(found) if "\\u" in value else found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value
