"""What the model's items in a Codex rollout hold: texts, tools, and how these ended."""

import re
from dataclasses import dataclass

from agentrecord.ingest.fields import (
    Row,
    flat_text,
    json_object,
    json_or_text,
    json_text,
    table_of,
    tables_of,
    text_of,
    whole_of,
)
from agentrecord.records.message import Part, PartKind

INJECTED = (
    "<environment_context>",
    "<user_instructions>",
    "<INSTRUCTIONS>",
    "<permissions instructions>",
    "<turn_aborted>",
    "<user_shell_command>",
    "<skill>",
    "<subagent_notification>",
    "# AGENTS.md instructions",
)
TEXTS = ("input_text", "output_text", "text", "Text", "inputText", "refusal")
IMAGES = ("input_image", "image", "output_image")
REASONING = ("reasoning", "reasoning_text", "summary_text")
HEAD_CHARACTERS = 600

_EXIT = re.compile(r"^(?:Process exited with code|Exit code:|exit code) (-?\d+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a tool ended."""

    is_error: bool
    duration_ms: int | None = None


def is_injected(text: str) -> bool:
    """Say whether a message in the user's name was written by Codex."""
    return text.lstrip().startswith(INJECTED)


def ended_well(payload: Row) -> bool:
    """Say whether the end of a turn carries an answer."""
    return text_of(payload, "last_agent_message") is not None


def item_name(kind: str, payload: Row) -> str:
    """Return the name of the tool that an item calls."""
    name = text_of(payload, "name") or text_of(table_of(payload, "function"), "name")
    return name or kind.removesuffix("_call")


def item_arguments(payload: Row) -> str | None:
    """Return a tool's arguments, as JSON text where they are JSON."""
    for name in ("arguments", "input", "action"):
        if payload.get(name) is not None:
            return json_or_text(payload[name])
    return None


def item_content(payload: Row) -> str:
    """Return the text of a message."""
    content = payload.get("content", payload.get("message"))
    if isinstance(content, list):
        return "\n".join(flat_text(block) for block in content if not _is_hidden(block))
    return flat_text(content)


def _is_hidden(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") not in (None, *TEXTS)


def item_parts(payload: Row, call_ref: str | None = None) -> tuple[Part, ...]:
    """Return the parts of an item, none if it is plain text."""
    if call_ref is not None:
        kind = text_of(payload, "type") or ""
        return (Part(kind=PartKind.TOOL_CALL, call_ref=call_ref, name=item_name(kind, payload)),)
    blocks = [*tables_of(payload, "summary"), *tables_of(payload, "content"), *tables_of(payload, "output")]
    parts = tuple(filter(None, map(_part, blocks)))
    return () if all(part.kind is PartKind.TEXT for part in parts) else parts


def _part(block: Row) -> Part | None:
    kind = block.get("type")
    if kind in TEXTS:
        return Part(kind=PartKind.TEXT, text=text_of(block, "text", "refusal") or "")
    if kind in REASONING:
        return Part(kind=PartKind.REASONING, text=text_of(block, "text") or "")
    image = text_of(block, "image_url")
    if kind in IMAGES and image:
        head, _, data = image.partition(";base64,")
        return Part(
            kind=PartKind.IMAGE,
            media_type=head.removeprefix("data:") if data else None,
            size_bytes=len(data) * 3 // 4 if data else None,
        )
    return None


def outcome_of_event(payload: Row) -> Outcome:
    """Return how a tool ended, from the event that says so."""
    result = payload.get("result")
    failed = isinstance(result, dict) and ("Err" in result or table_of(result, "Ok").get("isError") is True)
    failed = failed or payload.get("success") is False or payload.get("status") in ("failed", "declined")
    duration = table_of(payload, "duration")
    seconds, nanos = whole_of(duration, "secs"), whole_of(duration, "nanos") or 0
    return Outcome(
        is_error=failed or bool(whole_of(payload, "exit_code")),
        duration_ms=None if seconds is None else seconds * 1000 + nanos // 1_000_000,
    )


def outcome_of_output(payload: Row) -> tuple[Outcome, str]:
    """Return how a tool ended and what it gave back, from its output."""
    output = payload.get("output", payload.get("result", payload.get("tools")))
    text = flat_text(output) or (json_text(output) if isinstance(output, list | dict) and output else "")
    told = output if isinstance(output, dict) else json_object(text)
    about = table_of(told, "metadata") or told
    code = whole_of(about, "exit_code")
    code = whole_of(about, "exitCode") if code is None else code
    if code is None:
        found = _EXIT.search(text[:HEAD_CHARACTERS])
        code = int(found[1]) if found else 0
    is_error = bool(code) or told.get("success") is False or payload.get("status") == "failed"
    if isinstance(told.get("output"), str):
        text = told["output"]
    return Outcome(is_error=is_error, duration_ms=_milliseconds(about)), text


def _milliseconds(about: Row) -> int | None:
    seconds = about.get("duration_seconds", about.get("wall_time_seconds"))
    return round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 10**9 else None
