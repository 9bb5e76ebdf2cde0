"""Transcripts of Claude Code: one file of JSON lines per session, and one per sub-agent.

A row's timestamp may be missing; then that of the row before holds, or for the first rows of a file that of
the first row that has one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from agentrecord.ingest import claude_agents, claude_notes
from agentrecord.ingest.claude_agents import TOOL, Agents, Form, Task
from agentrecord.ingest.claude_messages import Conversation
from agentrecord.ingest.claude_rows import ROWS, Facts, ProgressData, Row, content_of, key_of
from agentrecord.ingest.claude_turns import SILENCE, Turns
from agentrecord.ingest.facts import SessionFact, Skipped, Unreadable
from agentrecord.ingest.lines import JsonLines
from agentrecord.ingest.source import Reader, parse_time, walk

SUFFIXES = (".jsonl", ".jsonl.gz")
MAX_WAITING = 10_000

_BOOKKEEPING = "the tool's own bookkeeping"
SKIPPED = {
    "file-history-snapshot": "file history snapshots",
    "queue-operation": "queue operations",
    **dict.fromkeys(
        (
            "agent-color",
            "agent-name",
            "agent-setting",
            "attribution-snapshot",
            "content-replacement",
            "last-prompt",
            "mode",
            "permission-mode",
            "speculation-accept",
            "tag",
            "worktree-state",
        ),
        _BOOKKEEPING,
    ),
}


class ClaudeReader:
    """Reads one transcript of Claude Code, from where it last stopped."""

    def __init__(self, path: Path, *, latest: datetime) -> None:
        """Prepare to read `path`; a row dated after `latest` is unreadable."""
        self.latest = latest
        self._path = path
        self._lines = JsonLines(path, Row)
        self._agent = claude_agents.agent_of_file(path)
        self._agent_type = claude_agents.type_of_file(path) if self._agent else ""
        self._agents = Agents()
        self._sessions: dict[str, Conversation] = {}
        self._session_id = claude_agents.stem_of(path)
        self._at: datetime | None = None
        self._waiting: list[tuple[int, Row]] = []
        self._skipped: Counter[str] = Counter()
        self._kinds: dict[str, Callable[[Row, datetime, int], Facts]] = {
            "user": self._message,
            "assistant": self._message,
            "progress": self._progress,
            "system": self._note,
            "summary": self._note,
            "custom-title": self._note,
            "ai-title": self._note,
            "pr-link": self._note,
            "attachment": self._note,
        }

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._lines.position

    def rest(self) -> Unreadable | None:
        """Tell of a last line that is not finished, if there is one."""
        return self._lines.rest()

    def read(self) -> Facts:
        """Yield the facts that came since the last call, and how runs and calls stand at the end of them."""
        for line, row in self._lines.read():
            if isinstance(row, Unreadable):
                yield row
            else:
                yield from self._row(line, row)
        yield from self._leftovers()
        for conversation in (*self._sessions.values(), *self._agents.children.values()):
            yield from conversation.turns.settle(self.latest)
        rest = self._lines.rest()
        # While the tool is at work an unfinished line is nothing to tell of; later nobody will finish it.
        if rest is not None and (self._at is None or self.latest - self._at >= SILENCE):
            yield rest
        for reason, count in sorted(self._skipped.items()):
            yield Skipped(reason=reason, count=count)
        self._skipped.clear()

    def _row(self, line: int, row: Row) -> Facts:
        handle = self._kinds.get(row.type)
        if handle is None:
            yield from self._other(line, row)
            return
        if row.timestamp is not None:
            try:
                at = parse_time(row.timestamp)
            except ValueError as error:
                yield Unreadable(line=line, reason=f"timestamp {error}")
                return
            if at > self.latest:
                yield Unreadable(line=line, reason=_too_late(row.timestamp, self.latest))
                return
            self._at = at
        elif self._at is None:
            yield from self._wait(line, row)
            return
        if row.session_id:
            self._session_id = row.session_id
        waiting, self._waiting = self._waiting, []
        for earlier_line, earlier in waiting:
            yield from self._kinds[earlier.type](earlier, self._at, earlier_line)
        yield from handle(row, self._at, line)

    def _other(self, line: int, row: Row) -> Facts:
        reason = SKIPPED.get(row.type)
        if reason is not None:
            self._skipped[reason] += 1
            return
        mend = "a newer version of this package may know it"
        yield Unreadable(line=line, reason=f"unknown row type {row.type[:40]!r}: the row was left out; {mend}")

    def _wait(self, line: int, row: Row) -> Facts:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((line, row))
        else:
            yield _timeless(line)

    def _leftovers(self) -> Facts:
        for line, row in self._waiting:
            if row.type == "summary":
                self._skipped["summaries of conversations that are not in this file"] += 1
            else:
                yield _timeless(line)
        self._waiting.clear()

    def _main(self, row: Row, at: datetime) -> Conversation:
        """Return the session's own conversation, which for a sub-agent's file is elsewhere."""
        session_id = self._session_id
        if self._agent is not None:
            session_id = claude_agents.parent_of_file(self._path) or session_id
        found = self._sessions.get(session_id)
        if found is None:
            agent_name = "Claude Code"
            fact = SessionFact(
                session_id=session_id, created_at=at, agent_id=TOOL, agent_name=agent_name, tool_name=TOOL
            )
            found = self._sessions[session_id] = Conversation(Turns(fact))
        return found

    def _message(self, row: Row, at: datetime, line: int) -> Facts:
        conversation = self._main(row, at)
        if self._agent is not None or row.is_sidechain:
            yield from self._side_message(conversation, row, at, line)
        else:
            yield from self._add(conversation, row, at, line)

    def _side_message(self, parent: Conversation, row: Row, at: datetime, line: int) -> Facts:
        yield from parent.turns.see(row, at)
        parent.turns.touch(at)
        text = content_of(row, "").text
        task: Task | None = None
        if self._agent is not None:
            name, form = row.agent_id or self._agent, Form.FILE
        else:
            name, task = self._agents.chain(row, text)
            form = Form.SIDECHAIN
        if task is None:
            prompt = text if row.type == "user" else None
            task = Task(run_id=parent.turns.run_id, started_at=at, agent_type=None, prompt=prompt)
        agent_type = self._agent_type or row.attribution_agent or ""
        yield from self._agents.begin(parent, name, form, at, task=task, agent=agent_type)
        yield from self._add(self._child(parent, name), row, at, line)

    def _child(self, parent: Conversation, name: str) -> Conversation:
        return self._agents.children[f"{parent.turns.session.session_id}/{name}"]

    def _add(self, conversation: Conversation, row: Row, at: datetime, line: int) -> Facts:
        key = key_of(row, at)
        content = content_of(row, key)
        add = conversation.user if row.type == "user" else conversation.assistant
        yield from add(row, content, key=key, at=at, line=line)
        if content.uses:
            self._agents.note_uses(conversation, content, at)
        if content.results:
            yield from self._agents.note_results(conversation, row, content, at)

    def _progress(self, row: Row, at: datetime, line: int) -> Facts:
        data = row.data or ProgressData()
        if bytes(data.message)[:1] != b"{":
            self._skipped["progress updates"] += 1
            return
        try:
            inner = ROWS.decode(data.message)
            inner_at = at if inner.timestamp is None else parse_time(inner.timestamp)
        except (ValueError, msgspec.DecodeError) as error:
            yield Unreadable(line=line, reason=f"a sub-agent's row within data.message: {error}")
            return
        if inner_at > self.latest:
            yield Unreadable(line=line, reason=_too_late(inner.timestamp or "", self.latest))
            return
        parent = self._main(row, at)
        yield from parent.turns.see(row, at)
        parent.turns.touch(at)
        name = data.agent_id or row.parent_tool_use_id or "progress"
        task = self._agents.task(row.parent_tool_use_id)
        if task is not None and task.prompt is None:
            task.prompt = data.prompt
        yield from self._agents.begin(parent, name, Form.PROGRESS, inner_at, task=task)
        if inner.type in ("user", "assistant"):
            yield from self._add(self._child(parent, name), inner, inner_at, line)
        else:
            self._skipped["progress updates"] += 1

    def _note(self, row: Row, at: datetime, line: int) -> Facts:
        conversation = self._main(row, at)
        yield from claude_notes.note(conversation, row, at, line=line, skipped=self._skipped)


class ClaudeCode:
    """Claude Code's transcripts as a source."""

    name = TOOL
    title = "Claude Code"

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name the folders `projects` of each configuration folder in use."""
        configured = [part.strip() for part in environment.get("CLAUDE_CONFIG_DIR", "").split(",")]
        folders = [Path(part).expanduser() for part in configured if part]
        return [folder / "projects" for folder in folders or (home / ".config" / "claude", home / ".claude")]

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the transcripts at or below `path`: all main ones by name, then those of sub-agents."""
        # What a sub-agent's file says must come after, and so prevail over, what the main file knows of it.
        yield from sorted(walk(path, SUFFIXES), key=lambda file: claude_agents.agent_of_file(file) is not None)

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one transcript."""
        return ClaudeReader(path, latest=latest)


SOURCE = ClaudeCode()


def _too_late(timestamp: str, latest: datetime) -> str:
    mend = "set that computer's clock right, correct the timestamp and import again"
    return f"timestamp {timestamp[:40]} lies in the future (after {latest.isoformat()}): {mend}"


def _timeless(line: int) -> Unreadable:
    reason = "no timestamp, and no other row before or after it has one: add one and import again"
    return Unreadable(line=line, reason=reason)
