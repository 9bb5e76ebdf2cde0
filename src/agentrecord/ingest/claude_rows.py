"""The rows of Claude Code transcripts: the fields that are read, and what a message's content comes to."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from agentrecord.ingest.facts import Fact
from agentrecord.ingest.source import checked_tokens
from agentrecord.records.message import Part, PartKind
from agentrecord.records.tokens import TokenCounts

Facts = Iterator[Fact]

NO_RAW = msgspec.Raw()
SYNTHETIC_MODEL = "<synthetic>"
TASK_TOOLS = frozenset({"Task", "Agent"})
_MAX_COST_USD = 1_000_000


class MediaSource(msgspec.Struct):
    """Where an image or document block has its bytes; the bytes themselves are only measured."""

    media_type: str | None = None
    data: msgspec.Raw = NO_RAW


class Block(msgspec.Struct):
    """One content block of a message, of whatever type."""

    type: str = "text"
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NO_RAW
    tool_use_id: str | None = None
    content: "str | list[Block] | Block | None" = None
    is_error: bool | None = None
    source: MediaSource | None = None
    title: str | None = None
    url: str | None = None


class Message(msgspec.Struct):
    """The API message that a row carries."""

    id: str | None = None
    role: str | None = None
    model: str | None = None
    content: str | list[Block] | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = NO_RAW


class ProgressData(msgspec.Struct, rename="camel"):
    """The `data` of a progress row; `message` is a whole row of a sub-agent."""

    type: str | None = None
    message: msgspec.Raw = NO_RAW
    agent_id: str | None = None
    prompt: str | None = None


class Attachment(msgspec.Struct):
    """The `attachment` of an attachment row."""

    type: str | None = None
    prompt: msgspec.Raw = NO_RAW


class Row(msgspec.Struct, rename="camel"):
    """One row of a transcript, of whatever type."""

    type: str
    uuid: str | None = None
    parent_uuid: str | None = None
    session_id: str | None = None
    timestamp: str | None = None
    message: Message | None = None
    request_id: str | None = None
    agent_id: str | None = None
    attribution_agent: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_visible_in_transcript_only: bool | None = None
    is_api_error_message: bool | None = None
    cwd: str | None = None
    version: str | None = None
    git_branch: str | None = None
    cost_usd: float | None = msgspec.field(default=None, name="costUSD")
    tool_use_result: msgspec.Raw = NO_RAW
    subtype: str | None = None
    data: ProgressData | None = None
    parent_tool_use_id: str | None = msgspec.field(default=None, name="parentToolUseID")
    summary: str | None = None
    leaf_uuid: str | None = None
    custom_title: str | None = None
    ai_title: str | None = None
    duration_ms: float | None = None
    compact_metadata: msgspec.Raw = NO_RAW
    microcompact_metadata: msgspec.Raw = NO_RAW
    hook_errors: msgspec.Raw = NO_RAW
    prevented_continuation: bool | None = None
    stop_reason: str | None = None
    error: msgspec.Raw = NO_RAW
    retry_attempt: float | None = None
    max_retries: float | None = None
    pr_number: int | None = None
    pr_url: str | None = None
    pr_repository: str | None = None
    attachment: Attachment | None = None


class ToolUseResult(msgspec.Struct, rename="camel"):
    """What the tool tells about its own run, beside the result that the model sees."""

    agent_id: str | None = None
    status: str | None = None
    duration_ms: float | None = None
    total_duration_ms: float | None = None
    duration_seconds: float | None = None

    @property
    def milliseconds(self) -> int | None:
        """The duration; None if it is not told or cannot be one."""
        seconds = None if self.duration_seconds is None else self.duration_seconds * 1000
        for value in (self.duration_ms, self.total_duration_ms, seconds):
            if value is not None:
                return checked_milliseconds(value)
        return None


class TaskInput(msgspec.Struct):
    """The input of the tool that starts a sub-agent."""

    subagent_type: str | None = None
    prompt: str | None = None


class CacheCreation(msgspec.Struct):
    """Cache writes by lifetime."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class Usage(msgspec.Struct):
    """What the API says that a response used."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation: CacheCreation | None = None


ROWS = msgspec.json.Decoder(Row)
_USAGES = msgspec.json.Decoder(Usage)
_TOOL_USE_RESULTS = msgspec.json.Decoder(ToolUseResult)
_TASK_INPUTS = msgspec.json.Decoder(TaskInput)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One tool result of a row: which use it answers, and its text."""

    call_ref: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool use of a row."""

    call_ref: str
    name: str
    arguments: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """A message's content: its text, its parts where it is more than text, its tool uses and results."""

    text: str
    parts: tuple[Part, ...] = ()
    uses: tuple[ToolUse, ...] = ()
    results: tuple[ToolResult, ...] = ()
    has_prose: bool = False
    is_results_only: bool = False


def content_of(row: Row, key: str) -> Content:
    """Return what the content of `row` comes to; `key` names tools that have no id of their own."""
    content = row.message.content if row.message else None
    if not isinstance(content, list):
        text = content or ""
        return Content(text, has_prose=bool(text))
    if len(content) == 1 and content[0].type == "text":
        text = content[0].text or ""
        return Content(text, has_prose=bool(text))
    return _content_of_blocks(content, key)


def _content_of_blocks(blocks: list[Block], key: str) -> Content:
    prose: list[str] = []
    parts: list[Part] = []
    uses: list[ToolUse] = []
    results: list[ToolResult] = []
    for number, block in enumerate(blocks):
        kind = block.type
        if kind.endswith("tool_use"):
            use = ToolUse(block.id or f"{key}:{number}", block.name or kind, text_of_raw(block.input))
            uses.append(use)
            parts.append(Part(kind=PartKind.TOOL_CALL, call_ref=use.call_ref, name=use.name))
        elif kind.endswith("tool_result"):
            text, media = _text_of(block.content)
            result = ToolResult(block.tool_use_id or f"{key}:{number}", text, bool(block.is_error))
            results.append(result)
            parts.append(Part(kind=PartKind.TOOL_RESULT, call_ref=result.call_ref, is_error=result.is_error))
            parts += media
        elif kind == "text":
            prose.append(block.text or "")
            parts.append(Part(kind=PartKind.TEXT, text=block.text or ""))
        else:
            parts.append(_other_part(block))
    is_plain = all(part.kind is PartKind.TEXT for part in parts)
    text = "\n".join(prose) if prose else "\n".join(result.text for result in results)
    return Content(
        text,
        () if is_plain else tuple(parts),
        tuple(uses),
        tuple(results),
        has_prose=any(prose),
        is_results_only=bool(blocks) and len(results) == len(blocks),
    )


def _other_part(block: Block) -> Part:
    if block.type in ("thinking", "redacted_thinking"):
        return Part(kind=PartKind.REASONING, text=block.thinking or "")
    if block.source is not None:
        return _media(block)
    # A block of a type that is not known yet: what it is called is kept, so that it can be seen.
    return Part(kind=PartKind.TEXT, name=block.type, text=block.text or "")


def _media(block: Block) -> Part:
    source = block.source or MediaSource()
    # Base64 spells 3 bytes with 4 characters; the two quotes of the JSON string do not count.
    size = max(len(bytes(source.data)) - 2, 0) * 3 // 4 or None
    return Part(kind=PartKind.IMAGE, name=block.type, media_type=source.media_type, size_bytes=size)


def _text_of(content: str | list[Block] | Block | None) -> tuple[str, list[Part]]:
    """Return the text of a tool result, and its images."""
    if content is None or isinstance(content, str):
        return content or "", []
    blocks = content if isinstance(content, list) else [content]
    texts = [block.text or " ".join(filter(None, (block.title, block.url))) for block in blocks]
    return "\n".join(filter(None, texts)), [_media(block) for block in blocks if block.source is not None]


def text_of_raw(raw: msgspec.Raw) -> str | None:
    """Return raw JSON as text; None if there was none, or null."""
    data = bytes(raw)
    return None if data in (b"", b"null") else data.decode("utf-8")


def tokens_of(usage: str) -> TokenCounts:
    """Return the token classes of a raw `usage`; raise a ValueError that names a field which cannot be right."""
    found = _USAGES.decode(usage)
    counts: dict[str, int | None] = {}
    for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"):
        value = getattr(found, name)
        counts[name] = None if value is None else checked_tokens(f"usage.{name}", value)
    written = counts["cache_creation_input_tokens"]
    lifetimes = found.cache_creation or CacheCreation()
    hour = lifetimes.ephemeral_1h_input_tokens
    minutes = lifetimes.ephemeral_5m_input_tokens
    if hour is not None:
        checked_tokens("usage.cache_creation.ephemeral_1h_input_tokens", hour)
    if minutes is not None:
        checked_tokens("usage.cache_creation.ephemeral_5m_input_tokens", minutes)
    if written is not None:
        # Whatever the sum holds beyond the one-hour writes was written for the default lifetime, five minutes.
        minutes = max(written - (hour or 0), minutes or 0)
    return TokenCounts(
        input=counts["input_tokens"],
        cache_read=counts["cache_read_input_tokens"],
        cache_write_5m=minutes,
        cache_write_1h=hour,
        output=counts["output_tokens"],
    )


def cost_nanos_of(cost_usd: float | None) -> int | None:
    """Return a cost in nano-dollars; raise ValueError if it cannot be one."""
    if cost_usd is None:
        return None
    if not 0 <= cost_usd <= _MAX_COST_USD:
        raise ValueError(f"costUSD is {cost_usd!r}, which is no cost of a call")
    return round(cost_usd * 1_000_000_000)


def checked_milliseconds(value: float | None) -> int | None:
    """Return a duration in whole milliseconds; None if it is missing, negative or longer than a year."""
    return round(value) if value is not None and 0 <= value <= 366 * 86_400_000 else None


def tool_use_result_of(row: Row) -> ToolUseResult:
    """Return what the tool tells about its own run; an empty answer where it tells nothing readable."""
    raw = bytes(row.tool_use_result)
    if raw[:1] != b"{":
        return ToolUseResult()
    try:
        return _TOOL_USE_RESULTS.decode(raw)
    except msgspec.DecodeError:
        return ToolUseResult()


def task_input_of(use: ToolUse) -> TaskInput:
    """Return the input of a tool use that starts a sub-agent; an empty one if it cannot be understood."""
    try:
        return _TASK_INPUTS.decode(use.arguments or "{}")
    except msgspec.DecodeError:
        return TaskInput()


def key_of(row: Row, at: datetime) -> str:
    """Return the row's own id, or one made of what it holds, so that the same row has the same key again."""
    if row.uuid:
        return row.uuid
    message = row.message or Message()
    told = msgspec.json.encode((row.type, row.subtype, at, message.id, message.role, message.content, row.summary))
    return hashlib.sha256(told).hexdigest()[:32]
