"""What the user and assistant rows of a Claude Code conversation come to: messages, tools, calls, errors."""

import re
from datetime import datetime, timedelta

import msgspec

from agentrecord.ingest.claude_rows import (
    SYNTHETIC_MODEL,
    Content,
    Facts,
    Message,
    Row,
    ToolResult,
    checked_milliseconds,
    cost_nanos_of,
    text_of_raw,
    tokens_of,
    tool_use_result_of,
)
from agentrecord.ingest.claude_turns import FINAL_REASONS, INTERRUPTED, MAX_TEXT, Turns
from agentrecord.ingest.facts import CallFact, ErrorFact, MessageFact, ToolCallFact, ToolResultFact, Unreadable
from agentrecord.records.error import ErrorKind
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus

HOST = "Anthropic"
INTERRUPTION = "[Request interrupted by user"
STOPPED_BY_HOOK = "Operation stopped by hook:"
_COMMAND = "<command-name>"
_COMMAND_OUTPUT = "<local-command-"
_NO_PROMPTS = (INTERRUPTION, STOPPED_BY_HOOK, _COMMAND, _COMMAND_OUTPUT, "<bash-")
_HTTP_CODE = re.compile(r"(?:API Error|status|HTTP)\D{0,20}([45]\d\d)\b")
_COMMAND_NAME = re.compile(r"<command-name>(.*?)</command-name>", re.DOTALL)
_COMMAND_ARGUMENTS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)
_FLAGS = ("is_meta", "is_compact_summary", "is_visible_in_transcript_only", "is_api_error_message")


class Conversation:
    """Turns user and assistant rows of one conversation into facts, in the order of the file."""

    def __init__(self, turns: Turns) -> None:
        """Begin with the session's turns, which the rows drive."""
        self.turns = turns
        self._tools: dict[str, tuple[str, datetime]] = {}
        # A slash command answered by the tool itself is no turn; which ones reach the model shows only later.
        self._command: tuple[str, str, datetime] | None = None

    def user(self, row: Row, content: Content, *, key: str, at: datetime, line: int) -> Facts:
        """Yield what a user row comes to; a prompt opens a run."""
        is_prompt = not self.turns.is_subagent and _is_prompt(row, content)
        yield from self.turns.see(row, at, task=_wanted(content.text) if is_prompt else None)
        if is_prompt:
            self._command = None
            yield from self.turns.open_run(f"{self._session_id}:{key}", at, _wanted(content.text))
        elif content.results:
            yield from self.turns.need_run(at)
        self.turns.touch(at)
        yield self._message(row, content, key=key, at=at, line=line)
        yield from self._results(row, content, key=key, at=at)
        if content.text.startswith(INTERRUPTION):
            yield from self.turns.end(INTERRUPTED)
        elif content.text.startswith(STOPPED_BY_HOOK):
            yield from self.turns.end((RunStatus.CANCELLED, content.text[:MAX_TEXT]))
        elif content.text.startswith(_COMMAND):
            self._command = (key, content.text, at)
        elif content.text.startswith(_COMMAND_OUTPUT):
            self._command = None

    def assistant(self, row: Row, content: Content, *, key: str, at: datetime, line: int) -> Facts:
        """Yield what an assistant row comes to."""
        is_synthetic = row.message is not None and row.message.model == SYNTHETIC_MODEL
        # Older versions do not flag their error messages; a flag that says no means a filler after a resume.
        is_error = row.is_api_error_message or (is_synthetic and row.is_api_error_message is None)
        yield from self.turns.see(row, at)
        if self._command is not None and not is_synthetic:
            command_key, text, command_at = self._command
            self._command = None
            yield from self.turns.open_run(f"{self._session_id}:{command_key}", command_at, _wanted(text))
        if is_error or not is_synthetic:
            yield from self.turns.need_run(at)
        self.turns.touch(at)
        yield self._message(row, content, key=key, at=at, line=line)
        for use in content.uses:
            self._tools[use.call_ref] = (use.name, at)
            yield ToolCallFact(
                session_id=self._session_id,
                run_id=self.turns.run_id,
                call_ref=use.call_ref,
                tool_name=use.name,
                started_at=at,
                arguments=use.arguments,
                message_key=key,
            )
        if is_error:
            yield self.error(content.text, at=at, key=key, code=None)
        elif not is_synthetic:
            yield from self._usage(row, key=key, at=at, line=line)
        self._note(row, content, is_error=bool(is_error), is_synthetic=is_synthetic)
        yield from self._results(row, content, key=key, at=at)

    def error(self, text: str, *, at: datetime, key: str, code: str | None) -> ErrorFact:
        """Return an API error, with the HTTP status that its text names if none is given."""
        found = _HTTP_CODE.search(text) if code is None else None
        return ErrorFact(
            session_id=self._session_id,
            key=key,
            error_type="api_error",
            kind=ErrorKind.LLM,
            error_message=text or "API error without a text",
            created_at=at,
            run_id=self.turns.run_id,
            error_code=found[1] if found else code,
        )

    @property
    def _session_id(self) -> str:
        return self.turns.session.session_id

    def _note(self, row: Row, content: Content, *, is_error: bool, is_synthetic: bool) -> None:
        run = self.turns.run
        if run is None:
            return
        if is_error:
            run.verdict = (RunStatus.ERROR, content.text)
        elif not is_synthetic:
            run.verdict = None
            run.has_final_reason = row.message is not None and row.message.stop_reason in FINAL_REASONS
            run.is_answered = content.has_prose and not content.uses
            run.pending.update(use.call_ref for use in content.uses)
            if content.has_prose:
                run.output = content.text

    def _message(self, row: Row, content: Content, *, key: str, at: datetime, line: int) -> MessageFact:
        message = row.message or Message()
        role = MessageRole.ASSISTANT
        if row.type == "user":
            role = MessageRole.TOOL if content.is_results_only else MessageRole.USER
        single = content.results[0].call_ref if len(content.results) == 1 else None
        return MessageFact(
            session_id=self._session_id,
            key=key,
            role=role,
            content=content.text,
            created_at=at,
            run_id=self.turns.run_id,
            message_id=message.id,
            parts=content.parts,
            tool_call_id=single,
            tool_name=self._tools[single][0] if single in self._tools else None,
            tools_used=tuple(dict.fromkeys(use.name for use in content.uses)),
            model_used=None if message.model == SYNTHETIC_MODEL else message.model,
            metadata=_metadata(row),
            line=line,
        )

    def _results(self, row: Row, content: Content, *, key: str, at: datetime) -> Facts:
        if not content.results:
            return
        told = tool_use_result_of(row).milliseconds if len(content.results) == 1 else None
        for result in content.results:
            yield self._result(result, content, key=key, at=at, told_ms=told)
        run = self.turns.run
        if run is not None and row.type == "user":
            run.pending.difference_update(result.call_ref for result in content.results)
            run.is_answered = run.has_final_reason = False

    def _result(
        self, result: ToolResult, content: Content, *, key: str, at: datetime, told_ms: int | None
    ) -> ToolResultFact:
        is_whole = content.is_results_only and len(content.results) == 1
        use = self._tools.pop(result.call_ref, None)
        duration = told_ms
        if duration is None and use is not None:
            duration = checked_milliseconds((at - use[1]) / timedelta(milliseconds=1))
        return ToolResultFact(
            session_id=self._session_id,
            call_ref=result.call_ref,
            finished_at=at,
            is_error=result.is_error,
            result=None if is_whole else result.text,
            message_key=key if is_whole else None,
            duration_ms=duration,
        )

    def _usage(self, row: Row, *, key: str, at: datetime, line: int) -> Facts:
        message = row.message or Message()
        usage = text_of_raw(message.usage)
        if usage is None or usage == "{}":
            return
        try:
            tokens = tokens_of(usage)
            cost = cost_nanos_of(row.cost_usd)
        except ValueError as error:
            reason = f"{error}; the message was kept, the call left out: correct the number and import again"
            yield Unreadable(line=line, reason=reason, excerpt=usage[:160])
            return
        name = message.id or f"row:{key}"
        yield from self.turns.call(
            CallFact(
                session_id=self._session_id,
                run_id=self.turns.run_id,
                dedup_key=f"claude:{name}:{row.request_id}" if row.request_id else f"claude:{name}",
                timestamp=at,
                model=message.model,
                host=HOST,
                tokens=tokens,
                message_key=key,
                request_id=row.request_id,
                is_subagent=self.turns.is_subagent,
                usage_metrics=usage,
                cost_nanos=cost,
            )
        )


def _is_prompt(row: Row, content: Content) -> bool:
    if row.is_meta or row.is_compact_summary or row.is_visible_in_transcript_only or content.results:
        return False
    return bool(content.text or content.parts) and not content.text.startswith(_NO_PROMPTS)


def _wanted(text: str) -> str:
    """Return what a person asked for: a slash command as it was typed, anything else as it is."""
    name, arguments = _COMMAND_NAME.search(text), _COMMAND_ARGUMENTS.search(text)
    if not text.startswith("<command-") or name is None:
        return text
    typed = f"/{name[1].strip().removeprefix('/')} {arguments[1] if arguments else ''}"
    return typed.strip()


def _metadata(row: Row) -> str | None:
    flags = {_camel(name): True for name in _FLAGS if getattr(row, name)}
    return msgspec.json.encode(flags).decode() if flags else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
