"""Writes transcripts of Claude Code for tests, and reads facts as the loader would."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from agentrecord.ingest.claude_code import SOURCE
from agentrecord.ingest.facts import CallFact, MessageFact, RunFact, SessionFact, ToolCallFact, ToolResultFact
from agentrecord.records.message import MessageRole

LATEST = datetime(2026, 11, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
USAGE = {"input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50, "output_tokens": 7}

Kind = TypeVar("Kind")


class Transcript:
    """Writes the rows of a transcript, a second apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0
        path.write_bytes(b"")

    def add(self, type_: str, **fields: Any) -> "Transcript":
        """Append a row; a field given as None is left out."""
        self.seconds += 1
        at = (START + timedelta(seconds=self.seconds)).isoformat().replace("+00:00", "Z")
        row = {"type": type_, "sessionId": "s1", "uuid": f"u{self.seconds}", "timestamp": at, **fields}
        return self.raw(json.dumps({name: value for name, value in row.items() if value is not None}) + "\n")

    def raw(self, line: str | bytes) -> "Transcript":
        """Append text as it is."""
        with self.path.open("ab") as file:
            file.write(line if isinstance(line, bytes) else line.encode())
        return self

    def user(self, content: Any, **fields: Any) -> "Transcript":
        """Append a user row."""
        return self.add("user", message={"role": "user", "content": content}, **fields)

    def assistant(self, content: Any, *, message: dict[str, Any] | None = None, **fields: Any) -> "Transcript":
        """Append an assistant row; a text stands for one text block."""
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        about = {"id": "m1", "model": "claude-opus-4-6", "usage": USAGE, **(message or {})}
        return self.add("assistant", message={"role": "assistant", "content": blocks, **about}, **fields)

    def facts(self, latest: datetime = LATEST) -> list[Any]:
        """Read the whole file."""
        return list(SOURCE.open(self.path, latest=latest).read())


def only(facts: Iterable[Any], kind: type[Kind]) -> list[Kind]:
    return [fact for fact in facts if isinstance(fact, kind)]


def runs(facts: Iterable[Any]) -> dict[str, RunFact]:
    """Each run as it was told last."""
    return {run.run_id: run for run in only(facts, RunFact)}


def tool_use(ref: str, name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": ref, "name": name, "input": arguments}


def tool_result(ref: str, content: Any = "done", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": ref, "content": content, **fields}


def figures_of(facts: list[Any]) -> dict[str, int]:
    """The figures of facts under the names of the recount, as far as facts can tell them."""
    by_progress = {fact.session_id for fact in only(facts, SessionFact) if "progress" in (fact.metadata or "")}
    own = [fact for fact in facts if getattr(fact, "session_id", "") not in by_progress]
    roles = Counter(message.role for message in only(own, MessageFact))
    figures = {
        "user_rows": roles[MessageRole.USER] + roles[MessageRole.TOOL],
        "assistant_rows": roles[MessageRole.ASSISTANT],
        "tool_use_blocks": len(only(own, ToolCallFact)),
        "tool_result_blocks": len(only(own, ToolResultFact)),
        "tool_errors": sum(result.is_error for result in only(own, ToolResultFact)),
    }
    sub_calls = largest(call for call in only(facts, CallFact) if call.session_id in by_progress)
    calls = largest(only(own, CallFact))
    figures |= {"api_calls": len(calls), "subagent_calls_in_progress_rows": len(sub_calls)}
    for prefix, found in (("", calls), ("sub_", sub_calls)):
        tokens = [call.tokens for call in found.values()]
        figures[f"{prefix}input"] = sum(one.input or 0 for one in tokens)
        figures[f"{prefix}cache_write"] = sum((one.cache_write_5m or 0) + (one.cache_write_1h or 0) for one in tokens)
        figures[f"{prefix}cache_write_1h"] = sum(one.cache_write_1h or 0 for one in tokens)
        figures[f"{prefix}cache_read"] = sum(one.cache_read or 0 for one in tokens)
        figures[f"{prefix}output"] = sum(one.output or 0 for one in tokens)
    return figures


def largest(calls: Iterable[CallFact]) -> dict[str | None, CallFact]:
    """What the loader keeps: of equal keys the call with the most tokens."""
    found: dict[str | None, CallFact] = {}
    for call in calls:
        if call.dedup_key not in found or call.tokens.total > found[call.dedup_key].tokens.total:
            found[call.dedup_key] = call
    return found


def inner_row(type_: str, content: Any, **fields: Any) -> dict[str, Any]:
    message = {
        "role": type_,
        "content": content,
        **({"usage": USAGE, "model": "h", "id": "c1"} if type_ == "assistant" else {}),
    }
    return {"type": type_, "timestamp": "2026-01-01T00:00:30Z", "message": message, **fields}
