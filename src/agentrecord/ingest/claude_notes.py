"""Rows of Claude Code's transcripts that are no messages: titles, compactions, errors, durations, links."""

import hashlib
import json
from collections import Counter
from datetime import datetime

import msgspec

from agentrecord.ingest.claude_messages import Conversation
from agentrecord.ingest.claude_rows import Facts, Row, checked_milliseconds, key_of, text_of_raw
from agentrecord.ingest.claude_turns import COMPLETED
from agentrecord.ingest.facts import EventFact, Unreadable
from agentrecord.records.event import EventType

_SKIPPED_NOTES = {
    "local_command": "local commands",
    **dict.fromkeys(
        ("away_summary", "bridge_status", "informational", "init", "session_start", "status"),
        "the tool's own notices",
    ),
}


def note(conversation: Conversation, row: Row, at: datetime, *, line: int, skipped: Counter[str]) -> Facts:
    """Yield what a row that is no message comes to; count it in `skipped` if that is nothing."""
    title = row.custom_title or row.ai_title or (row.summary if row.type == "summary" else None)
    if row.type == "attachment":
        yield from _attachment(conversation, row, at, skipped)
    elif row.type == "system":
        yield from _system(conversation, row, at, line=line, skipped=skipped)
    elif row.type == "pr-link":
        yield from conversation.turns.see(row, at)
        told = {"number": row.pr_number, "url": row.pr_url, "repository": row.pr_repository}
        yield _event(conversation, f"pull_request:{row.pr_url}", EventType.PULL_REQUEST, at, data=_text(told))
    elif title:
        yield from conversation.turns.see(row, at, title=title)
        if row.type == "summary":
            data = _text({"summary": title, "leafUuid": row.leaf_uuid})
            key = f"summary:{hashlib.sha256(data.encode()).hexdigest()[:32]}"
            yield _event(conversation, key, EventType.SUMMARY, at, data=data)
    else:
        skipped["titles without a text"] += 1


def _system(conversation: Conversation, row: Row, at: datetime, *, line: int, skipped: Counter[str]) -> Facts:
    kind = row.subtype or ""
    key = key_of(row, at)
    reason = _SKIPPED_NOTES.get(kind)
    if reason is not None:
        skipped[reason] += 1
        return
    yield from conversation.turns.see(row, at)
    if kind == "turn_duration":
        yield from _turn_duration(conversation, row, at, key=key, line=line)
    elif kind in ("compact_boundary", "microcompact_boundary"):
        metadata = text_of_raw(row.compact_metadata) or text_of_raw(row.microcompact_metadata)
        yield _event(conversation, key, EventType.COMPACTION, at, data=metadata)
    elif kind == "api_error":
        text, code = _api_error(row)
        yield conversation.error(text, at=at, key=key, code=code)
    elif kind == "stop_hook_summary":
        errors = text_of_raw(row.hook_errors) or "[]"
        if errors == "[]" and not row.prevented_continuation:
            skipped["hook summaries without errors"] += 1
            return
        told = {"hookErrors": json.loads(errors), "preventedContinuation": bool(row.prevented_continuation)}
        told["stopReason"] = row.stop_reason
        yield _event(conversation, key, EventType.HOOK, at, data=_text(told))
    else:
        mend = "a newer version of this package may know it"
        yield Unreadable(line=line, reason=f"unknown row type 'system/{kind[:40]}': the row was left out; {mend}")


def _turn_duration(conversation: Conversation, row: Row, at: datetime, *, key: str, line: int) -> Facts:
    duration = checked_milliseconds(row.duration_ms)
    if duration is None and row.duration_ms is not None:
        reason = f"durationMs is {row.duration_ms:g}, which is no duration of a turn; the rest of the row was kept"
        yield Unreadable(line=line, reason=reason, was_kept=True)
    yield _event(conversation, key, EventType.TURN_DURATION, at, duration_ms=duration)
    conversation.turns.touch(at)
    yield from conversation.turns.end(COMPLETED)


def _attachment(conversation: Conversation, row: Row, at: datetime, skipped: Counter[str]) -> Facts:
    attachment = row.attachment
    if attachment is None or attachment.type != "queued_command":
        skipped["attachments"] += 1
        return
    # What a person types while the agent is at work comes in this form, not as a row of theirs.
    yield from conversation.turns.see(row, at)
    data = text_of_raw(attachment.prompt)
    yield _event(conversation, key_of(row, at), EventType.USER_INPUT, at, data=data)


def _api_error(row: Row) -> tuple[str, str | None]:
    """Return what a retried API error says, and its HTTP status if it has one."""
    attempt = f"attempt {row.retry_attempt or 0:g} of {row.max_retries or 0:g}"
    raw = text_of_raw(row.error)
    found = json.loads(raw) if raw else None
    status = found.get("status") if isinstance(found, dict) else None
    while isinstance(found, dict):
        if isinstance(found.get("message"), str):
            found = found["message"]
            break
        found = found.get("error")
    text = found if isinstance(found, str) and found else "API error"
    return f"{text} ({attempt})", str(status) if isinstance(status, int) else None


def _event(
    conversation: Conversation,
    key: str,
    event_type: EventType,
    at: datetime,
    *,
    data: str | None = None,
    duration_ms: int | None = None,
) -> EventFact:
    return EventFact(
        session_id=conversation.turns.session.session_id,
        key=key,
        event_type=event_type,
        timestamp=at,
        run_id=conversation.turns.run_id,
        data=data,
        duration_ms=duration_ms,
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
