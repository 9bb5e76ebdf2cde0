"""Chat messages of a span, whatever shape its framework gave them: one reader for values, one for each place."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any  # `Any`: messages of foreign frameworks

from agentrecord.ingest.fields import json_or_text, text_of
from agentrecord.ingest.otlp_words import KEPT_SPANS, Attributes, Seen, opened
from agentrecord.records.message import MessageRole, Part, PartKind

_ROLES = {
    "user": MessageRole.USER, "human": MessageRole.USER, "assistant": MessageRole.ASSISTANT,
    "ai": MessageRole.ASSISTANT, "model": MessageRole.ASSISTANT, "system": MessageRole.SYSTEM,
    "developer": MessageRole.SYSTEM, "tool": MessageRole.TOOL, "function": MessageRole.TOOL,
    "choice": MessageRole.ASSISTANT, "tool_message": MessageRole.TOOL, "aimessage": MessageRole.ASSISTANT,
    "humanmessage": MessageRole.USER, "systemmessage": MessageRole.SYSTEM, "toolmessage": MessageRole.TOOL,
    "aimessagechunk": MessageRole.ASSISTANT,
}  # fmt: skip
_BLOCKS = frozenset({
    "text", "input_text", "output_text", "thinking", "reasoning", "tool_call", "tool_use", "tool-call", "tool_result",
    "tool-result", "tool_call_response", "image", "image_url", "input_image",
})  # fmt: skip
_NUMBERED = re.compile(r"^(\d+)\.(?:message\.)?(.+)$")
_MAX_DEPTH = 12

Place = Callable[[Seen, Attributes], "list[Chat]"]
"""Reads the messages in one place of a span."""


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a tool that a message asks for."""

    call_ref: str
    name: str
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A message of a conversation as a span shows it."""

    role: MessageRole
    text: str
    reasoning: str = ""
    uses: tuple[Use, ...] = ()
    call_ref: str | None = None
    name: str | None = None
    images: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was said."""
        return not (self.text or self.uses or self.images or self.reasoning or self.call_ref)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the message is made of, where that is more than its text."""
        found: list[Part] = []
        if self.reasoning:
            found.append(Part(kind=PartKind.REASONING, text=self.reasoning))
        if self.text and self.role is not MessageRole.TOOL:
            found.append(Part(kind=PartKind.TEXT, text=self.text))
        found.extend(Part(kind=PartKind.IMAGE, media_type=kind) for kind in self.images)
        found.extend(Part(kind=PartKind.TOOL_CALL, call_ref=use.call_ref, name=use.name) for use in self.uses)
        if self.role is MessageRole.TOOL and self.call_ref:
            found.append(Part(kind=PartKind.TOOL_RESULT, call_ref=self.call_ref, name=self.name))
        return () if all(part.kind is PartKind.TEXT for part in found) else tuple(found)


@lru_cache(maxsize=KEPT_SPANS)
def messages_of(span: Seen) -> tuple[list[Chat], list[Chat]]:
    """Return what a request was asked with and what was answered; the first place that tells either wins."""
    try:
        inputs, outputs = (_first_told(span, places) for places in (_INPUTS, _OUTPUTS))
        if not any(chat.role is MessageRole.SYSTEM for chat in inputs):
            inputs = [*_instructions(span), *inputs]
    except RecursionError:
        # No message is nested so deeply; whatever it is, the span keeps it.
        return [], []
    return [chat for chat in inputs if not chat.is_empty], [chat for chat in outputs if not chat.is_empty]


def _first_told(span: Seen, places: Sequence[Place]) -> list[Chat]:
    return next(filter(None, (place(span, span.attributes) for place in places)), [])


def _instructions(span: Seen) -> list[Chat]:
    told = opened(span.attributes.get("gen_ai.system_instructions"))
    chat = _chat({"role": "system", "parts": told} if isinstance(told, list) else told, MessageRole.SYSTEM, 0)
    return [replace(one, role=MessageRole.SYSTEM) for one in chat]


def chats(value: object, role: MessageRole) -> list[Chat]:
    """Return the messages in a value; what names no role is said by `role`."""
    return [chat for chat in _chat(opened(value), role, 0) if not chat.is_empty]


def _chat(value: object, role: MessageRole, depth: int) -> list[Chat]:
    value = opened(value)
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool | int | float):
        return []
    if isinstance(value, str):
        return [Chat(role, value)]
    if isinstance(value, list):
        return _listed(value, role, depth)
    return _told(value, role, depth) if isinstance(value, dict) else []


def _listed(value: list[Any], role: MessageRole, depth: int) -> list[Chat]:
    blocks = [item for item in value if isinstance(item, dict) and "role" not in item]
    if blocks and len(blocks) == len(value) and all(_is_block(item) for item in blocks):
        return _of_blocks(value, role)
    return [chat for item in value for chat in _chat(item, role, depth + 1)]


def _is_block(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    is_whole = "role" in item or "message" in item
    return (kind in _BLOCKS and not is_whole) or ("toolCallId" in item and "toolName" in item and kind is None)


def _told(value: dict[str, Any], role: MessageRole, depth: int) -> list[Chat]:
    """Return the messages of an object: itself one, or holding some under a name that says so."""
    if value.get("lc") and isinstance(value.get("kwargs"), dict):
        kind = value["id"][-1] if isinstance(value.get("id"), list) and value["id"] else ""
        return _told({"role": str(kind).lower(), **value["kwargs"]}, role, depth + 1)
    kind = value.get("type")
    if kind in ("function_call", "custom_tool_call"):
        return [Chat(MessageRole.ASSISTANT, "", uses=(_use(value),))]
    if kind in ("function_call_output", "custom_tool_call_output"):
        return [Chat(MessageRole.TOOL, _flat(value.get("output")), call_ref=text_of(value, "call_id"))]
    if kind == "reasoning" and "role" not in value:
        return [Chat(MessageRole.ASSISTANT, "", reasoning=_flat(value.get("summary")))]
    if "role" in value or (isinstance(kind, str) and kind.lower() in _ROLES):
        return _one(value, role)
    for name, speaker in _HOLDERS:
        if name in value and (found := _chat(value[name], speaker or role, depth + 1)):
            system = value.get("system") or value.get("instructions") or value.get("system_instruction")
            before = _chat(system, MessageRole.SYSTEM, depth + 1) if speaker is MessageRole.USER and system else []
            return [*(replace(one, role=MessageRole.SYSTEM) for one in before), *found]
    if "content" in value or "parts" in value or "tool_calls" in value:
        return _one(value, role)
    return []


_HOLDERS: tuple[tuple[str, MessageRole | None], ...] = (
    ("messages", MessageRole.USER), ("contents", MessageRole.USER), ("choices", MessageRole.ASSISTANT),
    ("candidates", MessageRole.ASSISTANT), ("message", None), ("generations", MessageRole.ASSISTANT),
    ("input", MessageRole.USER), ("prompt", MessageRole.USER), ("output", MessageRole.ASSISTANT),
    ("args", MessageRole.USER), ("completion", MessageRole.ASSISTANT), ("result", MessageRole.ASSISTANT),
    ("response", MessageRole.ASSISTANT), ("text", None), ("answer", MessageRole.ASSISTANT),
)  # fmt: skip


def _one(value: dict[str, Any], role: MessageRole) -> list[Chat]:
    """Return what one message says: itself, after the results of tools that it brings."""
    named = value.get("role") if isinstance(value.get("role"), str) else value.get("type")
    # Some frameworks name the tool where its message should say that a tool speaks.
    speaker = _ROLES.get(str(named).lower(), MessageRole.TOOL if isinstance(value.get("role"), str) else role)
    extra = value["additional_kwargs"] if isinstance(value.get("additional_kwargs"), dict) else {}
    held = _blocks_in(next((value[name] for name in ("parts", "content", "contents") if value.get(name)), None))
    *results, chat = _of_blocks(held, speaker) if isinstance(held, list) else [Chat(speaker, _flat(held))]
    calls = value.get("tool_calls") or value.get("toolCalls") or extra.get("tool_calls") or ()
    uses = tuple(_use(call) for call in calls if isinstance(call, dict)) if isinstance(calls, list | tuple) else ()
    if isinstance(old := value.get("function_call") or extra.get("function_call"), dict) and not uses:
        uses = (_use(old),)
    ref = chat.call_ref or text_of(value, "tool_call_id", "toolCallId", "call_id")
    whole = replace(
        chat,
        uses=chat.uses or uses,
        reasoning=chat.reasoning or _flat(value.get("reasoning_content")),
        call_ref=ref if chat.role is MessageRole.TOOL else None,
        name=text_of(value, "name") or chat.name,
    )
    return [*results, whole]


def _blocks_in(held: object) -> object:
    """Return a message's content: a list of parts where it is one, even as JSON text; other text as it is."""
    found = opened(held)
    if isinstance(found, dict) and isinstance(found.get("parts"), list):
        return found["parts"]
    if isinstance(held, str):
        is_parts = isinstance(found, list) and bool(found) and all(isinstance(p, dict) and _is_block(p) for p in found)
        return found if is_parts else held
    return [found] if isinstance(found, dict) else found


def _of_blocks(blocks: list[Any], role: MessageRole) -> list[Chat]:
    """Return a message made of parts (text, reasoning, calls, images), after one for each result of a tool in it."""
    results: list[Chat] = []
    texts: list[str] = []
    reasoning: list[str] = []
    uses: list[Use] = []
    images: list[str] = []
    for block in blocks:
        kind = str(block.get("type") or "") if isinstance(block, dict) else ""
        if not isinstance(block, dict):
            texts.append(_flat(block))
        elif kind in ("thinking", "reasoning") or block.get("thought") is True:
            reasoning.append(_flat(block.get("thinking") or block.get("content") or block.get("text")))
        elif call := _call_in(block, kind):
            uses.append(call)
        elif result := _result_in(block, kind):
            results.append(result)
        elif kind in ("image", "image_url", "input_image", "blob", "uri", "file") or "inlineData" in block:
            images.append(text_of(block, "mime_type", "media_type", "mediaType") or "image")
        else:
            texts.append(_flat(block))
    whole = Chat(role, _lines(texts), _lines(reasoning), tuple(uses), images=tuple(images))
    return results if results and whole.is_empty else [*results, whole]


def _lines(texts: list[str]) -> str:
    return "\n".join(filter(None, texts))


def _call_in(block: dict[str, Any], kind: str) -> Use | None:
    for name in ("functionCall", "function_call"):
        if isinstance(block.get(name), dict):
            return _use(block[name])
    if kind in ("tool_call", "tool_use", "tool-call", "function_call", "server_tool_call") or (
        "toolCallId" in block and "toolName" in block and not kind
    ):
        return _use(block)
    return None


def _result_in(block: dict[str, Any], kind: str) -> Chat | None:
    """Return the message that a part is, if it is the result of a tool."""
    name = text_of(block, "name", "toolName")
    for holder in ("functionResponse", "function_response"):
        if isinstance(held := block.get(holder), dict):
            ref = text_of(held, "id", "name")
            return Chat(MessageRole.TOOL, json_or_text(held.get("response")) or "", call_ref=ref, name=name)
    if kind not in ("tool_call_response", "tool_result", "tool-result", "server_tool_call_response"):
        return None
    held = next((block[n] for n in ("response", "result", "content", "output") if n in block), None)
    found = held if isinstance(held, str) else _flat(held) or json_or_text(held)
    ref = text_of(block, "id", "tool_use_id", "toolCallId", "call_id")
    return Chat(MessageRole.TOOL, found or "", call_ref=ref, name=name)


def _use(call: dict[str, Any]) -> Use:
    function = call["function"] if isinstance(call.get("function"), dict) else call
    name = text_of(function, "name", "toolName") or text_of(call, "name", "toolName") or "unknown"
    arguments = next(
        (held[n] for held in (function, call) for n in ("arguments", "args", "input") if held.get(n) is not None), None
    )
    ref = text_of(call, "call_id", "id", "toolCallId", "tool_call_id") or name
    return Use(ref, name, json_or_text(arguments))


def _flat(value: object) -> str:
    """Return the text in what may be text, a part with text, or a list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in ("text", "content", "value", "output"):
            if isinstance(value.get(name), str | list | dict) and (found := _flat(value[name])):
                return found
        return ""
    return "\n".join(filter(None, map(_flat, value))) if isinstance(value, list) else ""


# -- the places ---------------------------------------------------------------------------------------------------


def _numbered(attributes: Attributes, prefix: str) -> list[Chat]:
    """Return the messages that lie flat in attributes: `prefix.0.message.role`, `prefix.0.content`, …"""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix) and (match := _NUMBERED.match(name.removeprefix(prefix))):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [_of_flat(fields) for _, fields in sorted(found.items())]


def _of_flat(fields: dict[str, Any]) -> Chat:
    role = _ROLES.get(str(fields.get("role", "")).lower(), MessageRole.USER)
    texts = [_flat(_blocks_in(fields.get("content")))]
    uses: dict[str, dict[str, Any]] = {}
    images: list[str] = []
    for name, value in fields.items():
        if name.startswith("contents.") and name.endswith(".message_content.text") and isinstance(value, str):
            texts.append(value)
        elif name.startswith("contents.") and ".image" in name:
            images.append("image")
        elif name.startswith("tool_calls."):
            _, number, rest = name.split(".", 2)
            uses.setdefault(number, {})[rest.rpartition(".")[2]] = value
    if fields.get("message.function_call_name") or fields.get("function_call_name"):
        uses["0"] = {"name": fields["function_call_name"], "arguments": fields.get("function_call_arguments_json")}
    return Chat(
        role,
        "\n".join(filter(None, texts)),
        uses=tuple(_use(use) for _, use in sorted(uses.items())),
        call_ref=text_of(fields, "tool_call_id") if role is MessageRole.TOOL else None,
        name=text_of(fields, "name"),
        images=tuple(images),
    )


def _said_in_events(span: Seen, wanted: Iterable[str], role: MessageRole) -> list[Chat]:
    """Return the messages in span events, and in the attributes where some emitters keep those events as a list."""
    names = tuple(wanted)
    found: list[Chat] = []
    for event in span.data.get("events", ()):
        if event["name"] in names:
            found.extend(_of_event(event["name"], event["attributes"], role))
    for name in ("events", "all_messages_events"):
        listed = opened(span.attributes.get(name))
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict) and item.get("event.name") in names:
                found.extend(_of_event(item["event.name"], item, role))
    return found


def _of_event(name: str, told: dict[str, Any], role: MessageRole) -> list[Chat]:
    speaker = _ROLES.get(name.removeprefix("gen_ai.").removesuffix(".message"), role)
    body = next((told[key] for key in _EVENT_BODIES if told.get(key)), None)
    if body is not None:
        return [replace(c, role=speaker) if speaker is not role else c for c in _chat(body, speaker, 1)]
    return _one({"role": speaker.value, **told}, speaker)


_EVENT_BODIES = ("gen_ai.prompt", "gen_ai.completion", "gen_ai.input.messages", "gen_ai.output.messages", "message",
                 "body")  # fmt: skip
_INPUT_EVENTS = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message",
                 "gen_ai.content.prompt")  # fmt: skip
_OUTPUT_EVENTS = ("gen_ai.choice", "gen_ai.content.completion")


def _vercel_answer(span: Seen, attributes: Attributes) -> list[Chat]:
    words, calls = attributes.get("ai.response.text"), opened(attributes.get("ai.response.toolCalls"))
    uses = tuple(_use(call) for call in calls if isinstance(call, dict)) if isinstance(calls, list) else ()
    return [Chat(MessageRole.ASSISTANT, words if isinstance(words, str) else "", uses=uses)] if words or uses else []


def _at(*names: str, role: MessageRole) -> Place:
    def read(span: Seen, attributes: Attributes) -> list[Chat]:
        return next(filter(None, (chats(attributes[name], role) for name in names if name in attributes)), [])

    return read


_INPUTS: tuple[Place, ...] = (
    _at("gen_ai.input.messages", role=MessageRole.USER),
    lambda span, attributes: _numbered(attributes, "llm.input_messages."),
    lambda span, attributes: _numbered(attributes, "gen_ai.prompt."),
    lambda span, attributes: _said_in_events(span, _INPUT_EVENTS, MessageRole.USER),
    _at("gen_ai.prompt", "ai.prompt.messages", "ai.prompt", "langfuse.observation.input",
        "gcp.vertex.agent.llm_request", "llm.prompts", "input.value", "traceloop.entity.input", role=MessageRole.USER),
)  # fmt: skip
_OUTPUTS: tuple[Place, ...] = (
    _at("gen_ai.output.messages", role=MessageRole.ASSISTANT),
    lambda span, attributes: _numbered(attributes, "llm.output_messages."),
    lambda span, attributes: _numbered(attributes, "gen_ai.completion."),
    lambda span, attributes: _said_in_events(span, _OUTPUT_EVENTS, MessageRole.ASSISTANT),
    _vercel_answer,
    _at("gen_ai.completion", "langfuse.observation.output", "gcp.vertex.agent.llm_response", "output.value",
        "traceloop.entity.output", role=MessageRole.ASSISTANT),
)  # fmt: skip
