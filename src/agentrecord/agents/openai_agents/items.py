"""The SDK's items and the record's messages: each can be told in the other's words, without loss.

An item is a JSON object: something said, a tool call, a tool's output, a piece of reasoning. What a message's columns
can hold stands in them; whatever the item has beyond that is kept as `metadata`, with a gap where the message's own
text belongs, so that a text is stored once and an edited message reads as edited.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias  # `Any`: an item holds whatever its provider put there

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.records.message import Message, MessageRole, NewMessage, Part, PartKind
from agentrecord.records.tool_call import ToolCall

Item: TypeAlias = dict[str, Any]
Path: TypeAlias = list[str | int]

KEY = "openai_agents"
"""The key in a message's `metadata` under which its items stand."""

_ROLES = {
    "user": MessageRole.USER,
    "assistant": MessageRole.ASSISTANT,
    "system": MessageRole.SYSTEM,
    "developer": MessageRole.SYSTEM,
    "tool": MessageRole.TOOL,
}
_NAMES = ("type", "role", "id", "call_id", "name", "status")
"""Keys whose values are no text of the message's, even where they happen to be equal."""


@dataclass(frozen=True, slots=True)
class Told:
    """An item, and the message (and its revision) that it tells."""

    item: Item
    message: Message


def message_of(item: Item, *, position: int = 0) -> NewMessage:
    """Return one item as a message.

    Raises `InvalidValue` for an item that is no JSON object, or that no engine could store.
    """
    field = f"items[{position}]"
    encoded = _encoded(field, item)
    kind, told = item.get("type"), json.loads(encoded)
    if kind == "function_call":
        new = _call_message([told], content="")
    elif kind == "function_call_output":
        new = _output_message(told)
    elif kind == "reasoning":
        new = NewMessage(role=MessageRole.ASSISTANT, content="", parts=_reasoning(told))
    else:
        new = NewMessage(role=_role(told), content=flat(told.get("content")))
    return _with_items(new, [told])


def message_of_response(items: Sequence[Item]) -> NewMessage:
    """Return all that a model answered at once as one message: its text, reasoning and tool calls.

    What the model said is not refused: NUL and lone surrogates in it become U+FFFD.
    """
    told: list[Item] = [cleaned(item) for item in items]
    content = "".join(flat(item.get("content")) for item in told if item.get("type", "message") == "message")
    reasoning = [part for item in told if item.get("type") == "reasoning" for part in _reasoning(item)]
    calls = _call_message([item for item in told if item.get("type") == "function_call"], content=content)
    text = [Part(kind=PartKind.TEXT, text=content)] if content and (reasoning or calls.parts) else []
    new = NewMessage(
        role=MessageRole.ASSISTANT,
        content=content,
        parts=(*reasoning, *text, *calls.parts),
        tools_used=calls.tools_used,
    )
    is_only_text = len(told) == 1 and not new.parts and _text_alone(told[0]) == content
    return new if is_only_text else _with_items(new, told)


def items_of(messages: Iterable[Message], tool_calls: Mapping[str, ToolCall]) -> list[Told]:
    """Return messages as items, in order; `tool_calls` are the session's, by the id that the model gave them.

    A tool's result that was posted without its call is told as something said, because no model accepts an output
    whose call it does not see.
    """
    found: list[Told] = []
    called: set[str] = set()
    for message in messages:
        kept = _kept(message)
        for item in kept if kept is not None else _plain_items(message, tool_calls, called):
            if item.get("type") == "function_call":
                called.add(str(item.get("call_id")))
            found.append(Told(item, message))
    return found


def answerable(told: Iterable[Told]) -> list[Told]:
    """Return a history that a model accepts: without outputs whose calls are not in it.

    Calls without their outputs, which a crash leaves, are left out by the SDK, with the reasoning that led to them.
    """
    called: set[object] = set()
    found: list[Told] = []
    for each in told:
        kind, ref = each.item.get("type"), each.item.get("call_id")
        if kind == "function_call":
            called.add(ref)
        if kind != "function_call_output" or ref in called:
            found.append(each)
    return found


def needs_tool_calls(message: Message) -> bool:
    """Say whether a message's items cannot be told without the session's tool calls."""
    return any(part.call_ref for part in message.parts) and _kept(message) is None


def flat(content: object) -> str:
    """Return an item's content, or a tool's output, as text: a string, or the texts of a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text", part.get("refusal")) for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _encoded(field: str, item: object) -> str:
    if not isinstance(item, dict):
        raise InvalidValue(field, item, "must be a JSON object with a role or a type")
    try:
        return values.json_text(field, json.dumps(item, ensure_ascii=False))
    except TypeError as error:
        raise InvalidValue(field, item, f"must hold only what JSON has: {error}") from error


def cleaned(value: Any) -> Any:
    """Return JSON with every text storable: NUL and lone surrogates become U+FFFD."""
    if isinstance(value, str):
        return values.clean_text(value)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {values.clean_text(key): cleaned(item) for key, item in value.items()}
    return value


def _role(item: Item) -> MessageRole:
    role = item.get("role")
    if isinstance(role, str) and role in _ROLES:
        return _ROLES[role]
    return MessageRole.TOOL if str(item.get("type", "")).endswith("_output") else MessageRole.ASSISTANT


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _reasoning(item: Item) -> tuple[Part, ...]:
    said = flat(item.get("summary")) or flat(item.get("content"))
    return (Part(kind=PartKind.REASONING, text=said),)


def _call_message(calls: Sequence[Item], *, content: str) -> NewMessage:
    parts = [
        Part(kind=PartKind.TOOL_CALL, call_ref=_text(call.get("call_id")), name=_text(call.get("name")))
        for call in calls
    ]
    names = dict.fromkeys(part.name for part in parts if part.name)
    return NewMessage(
        role=MessageRole.ASSISTANT,
        content=content,
        parts=tuple(parts),
        tools_used=tuple(name for name in names if name),
    )


def _output_message(item: Item) -> NewMessage:
    ref = _text(item.get("call_id"))
    return NewMessage(
        role=MessageRole.TOOL,
        content=flat(item.get("output")),
        tool_call_id=ref,
        parts=(Part(kind=PartKind.TOOL_RESULT, call_ref=ref),),
    )


def _with_items(new: NewMessage, items: list[Item]) -> NewMessage:
    """Return the message with its items in `metadata`, unless they can be told from its columns alone."""
    if len(items) == 1 and _same(items[0], _plain_item(new)):
        return new
    kept: dict[str, Any] = {"items": items}
    path = _path_to(items, new.content) if new.content else None
    if path is not None:
        _put(items, path, "")
        kept["text"] = path
    metadata = json.dumps({KEY: kept}, ensure_ascii=False, separators=(",", ":"))
    return NewMessage(
        role=new.role,
        content=new.content,
        parts=new.parts,
        tool_call_id=new.tool_call_id,
        tools_used=new.tools_used,
        metadata=metadata,
    )


def _same(one: object, other: object) -> bool:
    """Say whether two items are the same down to the order of their keys."""
    return json.dumps(one) == json.dumps(other)


def _plain_item(new: NewMessage) -> Item | None:
    """Return the item that a message's columns alone tell; None if they do not tell one."""
    if new.role is MessageRole.TOOL:
        return _output(new.tool_call_id, new.content)
    return None if new.parts else _said(new.role, new.content)


def _said(role: MessageRole, content: str) -> Item:
    return {"content": content, "role": role.value}


def _text_alone(item: Item) -> str | None:
    """Return the text of an answer that has nothing but text."""
    content = item.get("content")
    if item.get("role") != "assistant" or not isinstance(content, list) or len(content) != 1:
        return None
    part = content[0]
    has_more = part.get("type") != "output_text" or part.get("annotations") or part.get("logprobs")
    return None if has_more or item.get("phase") else _text(part.get("text"))


def _path_to(value: object, text: str) -> Path | None:
    """Return where `text` stands in JSON, the first place of several; None if nowhere."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key in _NAMES:
                continue
            if inner == text:
                return [key]
            below = _path_to(inner, text)
            if below is not None:
                return [key, *below]
    return None


def _put(value: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = text


def _kept(message: Message) -> list[Item] | None:
    """Return the items in a message's `metadata`, with its text as it stands now; None if there are none."""
    if message.metadata is None or f'"{KEY}"' not in message.metadata:
        return None
    kept = json.loads(message.metadata).get(KEY)
    if not isinstance(kept, dict) or not isinstance(kept.get("items"), list):
        return None
    items: list[Item] = kept["items"]
    if "text" in kept:
        _put(items, kept["text"], message.content)
    elif message.revision > 1:
        return None
    return items


def _plain_items(message: Message, tool_calls: Mapping[str, ToolCall], called: set[str]) -> list[Item]:
    """Return the items that a message's columns tell."""
    refs = [part.call_ref for part in message.parts if part.kind is PartKind.TOOL_RESULT and part.call_ref]
    items: list[Item] = []
    if message.role is MessageRole.TOOL and not refs:
        return [_posted_output(message, called)]
    for ref in refs:
        known = tool_calls.get(ref)
        is_shared = len(refs) > 1 or message.role is not MessageRole.TOOL
        output = (known.result if known else None) or "" if is_shared else message.content
        items.append(_output(ref, output))
    if message.role is MessageRole.TOOL:
        return items
    if message.content or not message.parts:
        items.append(_said(message.role, message.content))
    for part in message.parts:
        if part.kind is PartKind.TOOL_CALL and part.call_ref:
            known = tool_calls.get(part.call_ref)
            arguments = (known.arguments if known else None) or "{}"
            name = part.name or (known.tool_name if known else "unknown")
            items.append({"arguments": arguments, "call_id": part.call_ref, "name": name, "type": "function_call"})
    return items


def _posted_output(message: Message, called: set[str]) -> Item:
    """Return a tool's message that another door wrote."""
    if message.tool_call_id is not None and message.tool_call_id in called:
        return _output(message.tool_call_id, message.content)
    return _said(MessageRole.ASSISTANT, f"[{message.tool_name or 'a tool'} gave] {message.content}")


def _output(ref: str | None, output: str) -> Item:
    return {"call_id": ref, "output": output, "type": "function_call_output"}
