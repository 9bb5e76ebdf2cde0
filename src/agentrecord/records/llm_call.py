"""LLM calls: the ledger. A cost exists once, on a call."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.message import MessageRole
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import dollars


class CallStatus(StrEnum):
    """How a call ended."""

    SUCCESS = "success"
    ERROR = "error"


class CostSource(StrEnum):
    """Where a call's cost comes from."""

    PROVIDER = "provider"
    PRICE = "price"
    NONE = "none"


class CallOrigin(StrEnum):
    """What wrote the call."""

    CALL = "call"
    MESSAGE = "message"
    IMPORT = "import"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPart:
    """One message of a prompt: its own `content`, or the stored message (and revision) it repeats."""

    role: MessageRole | None = None
    content: str | None = None
    message_uuid: UUID | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLLMCall:
    """A call to record.

    Two calls with the same `dedup_key` are one call: the one with more tokens is right (a streamed response
    is reported several times while it grows). Without a key, two equal calls are two calls.
    `cost_nanos` is set only when the provider itself named the cost; else the price tables do.
    `run_ref` is the `run_id` of a run that may not be known yet.
    """

    model: str | None = None
    host: str | None = None
    tokens: TokenCounts = field(default_factory=TokenCounts)
    id: UUID | None = None
    timestamp: datetime | None = None
    dedup_key: str | None = None
    request_id: str | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    run_ref: str | None = None
    message_uuid: UUID | None = None
    agent_id: str | None = None
    is_subagent: bool = False
    prompt: str | tuple[PromptPart, ...] | None = None
    prompt_length: int | None = None
    input_params: str | None = None
    response_content: str | None = None
    response_length: int | None = None
    usage_metrics: str | None = None
    status: CallStatus = CallStatus.SUCCESS
    error_message: str | None = None
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    cost_nanos: int | None = None
    origin: CallOrigin = CallOrigin.CALL


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCall:
    """One call to a model: its tokens, what it cost, and which price charged it."""

    id: UUID
    serial: int | None = None
    timestamp: datetime
    created_at: datetime
    user_uuid: UserId
    model: str | None
    host: str | None
    tokens: TokenCounts
    dedup_key: str | None = None
    request_id: str | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    run_ref: str | None = None
    message_uuid: UUID | None = None
    agent_uuid: UUID | None = None
    is_subagent: bool = False
    prompt_uuid: UUID | None = None
    prompt_length: int | None = None
    input_params: str | None = None
    response_content: str | None = None
    response_length: int | None = None
    usage_metrics: str | None = None
    status: CallStatus = CallStatus.SUCCESS
    error_message: str | None = None
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    cost_nanos: int | None = None
    cost_source: CostSource = CostSource.NONE
    price_uuid: UUID | None = None
    origin: CallOrigin = CallOrigin.CALL

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in dollars; None when no price is known."""
        return None if self.cost_nanos is None else dollars(self.cost_nanos)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCall:
    """A call with the names of its agent and run, as their framework gave them, and its prompt."""

    call: LLMCall
    agent_id: str | None
    run_id: str | None
    prompt: str | None
