"""Sub-agents of Claude Code, in the three forms in which its transcripts hold them.

Each is a child session with one run. `progress`: whole rows within progress rows of the main file.
`sidechain`: rows of the main file that hang together by their parents. `file`: a file of its own,
`<session>/subagents/agent-<id>.jsonl`, or in older versions `agent-<id>.jsonl` beside the main file.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from agentrecord.ingest.claude_messages import Conversation
from agentrecord.ingest.claude_rows import TASK_TOOLS, Content, Facts, Row, task_input_of, tool_use_result_of
from agentrecord.ingest.claude_turns import COMPLETED, Turns
from agentrecord.ingest.facts import SessionFact
from agentrecord.records.run import RunStatus

TOOL = "claude-code"
UNKNOWN_AGENT = f"{TOOL}/subagent"
_LAUNCHED = "async_launched"


class Form(StrEnum):
    """How a transcript holds a sub-agent."""

    PROGRESS = "progress"
    SIDECHAIN = "sidechain"
    FILE = "file"


@dataclass(slots=True, kw_only=True)
class Task:
    """A use of the tool that starts a sub-agent, and the child session once it is known."""

    run_id: str | None
    started_at: datetime
    agent_type: str | None
    prompt: str | None
    child: str | None = None


class Agents:
    """The sub-agents that one transcript tells of, and the tool uses that started them."""

    def __init__(self) -> None:
        """Begin without any."""
        self.children: dict[str, Conversation] = {}
        self._tasks: dict[str, Task] = {}
        self._by_prompt: dict[str, str] = {}
        self._chains: dict[str, str] = {}

    def note_uses(self, conversation: Conversation, content: Content, at: datetime) -> None:
        """Remember which tool uses start sub-agents."""
        for use in content.uses:
            if use.name in TASK_TOOLS:
                wanted = task_input_of(use)
                task = Task(
                    run_id=conversation.turns.run_id,
                    started_at=at,
                    agent_type=wanted.subagent_type,
                    prompt=wanted.prompt,
                )
                self._tasks[use.call_ref] = task
                if wanted.prompt:
                    self._by_prompt[wanted.prompt] = use.call_ref

    def note_results(self, conversation: Conversation, row: Row, content: Content, at: datetime) -> Facts:
        """Yield the end of each sub-agent whose result a row holds."""
        for result in content.results:
            task = self._tasks.get(result.call_ref)
            if task is None:
                continue
            told = tool_use_result_of(row)
            if told.status == _LAUNCHED:
                continue
            del self._tasks[result.call_ref]
            if task.child is None and told.agent_id:
                # Its rows are elsewhere or gone; that it ran, what for and with what result is known all the same.
                yield from self.begin(conversation, told.agent_id, None, task.started_at, task=task)
            child = self.children.get(task.child or "")
            if child is not None:
                run = child.turns.run
                if run is not None:
                    run.output = run.output or result.text
                child.turns.touch(at)
                is_error = result.is_error
                yield from child.turns.end((RunStatus.ERROR, result.text[:2000]) if is_error else COMPLETED)

    def task(self, call_ref: str | None) -> Task | None:
        """Return the tool use of that id, if it starts a sub-agent."""
        return self._tasks.get(call_ref or "")

    def chain(self, row: Row, text: str) -> tuple[str, Task | None]:
        """Return the name of the sidechain that a row belongs to, and the tool use that asked for `text`."""
        name = row.agent_id or self._chains.get(row.parent_uuid or "") or f"sidechain-{row.uuid}"
        if row.uuid:
            self._chains[row.uuid] = name
        return name, self.task(self._by_prompt.get(text))

    def begin(
        self, parent: Conversation, name: str, form: Form | None, at: datetime, *, task: Task | None, agent: str = ""
    ) -> Facts:
        """Yield the child session and its run, if `name` has none yet."""
        session = parent.turns.session
        child_id = f"{session.session_id}/{name}"
        if task is not None:
            task.child = child_id
        if child_id in self.children:
            return
        agent_type = (task.agent_type if task else None) or agent
        # A file of its own cannot tell which agent it is of; the main file does, and must not be contradicted.
        unknown = None if form is Form.FILE else UNKNOWN_AGENT
        fact = SessionFact(
            session_id=child_id,
            created_at=at,
            parent_session_id=session.session_id,
            agent_id=f"{TOOL}/{agent_type}" if agent_type else unknown,
            agent_name=agent_type or None,
            tool_name=TOOL,
            metadata=msgspec.json.encode({"form": form}).decode() if form else None,
        )
        child = Conversation(Turns(fact, is_subagent=True))
        self.children[child_id] = child
        known = Row(type="", version=session.tool_version, cwd=session.working_directory, git_branch=session.git_branch)
        prompt = task.prompt if task else None
        yield from child.turns.see(known, at, task=prompt)
        run_id = parent.turns.run_id if task is None else task.run_id
        yield from child.turns.open_run(child_id, at, prompt, parent_run_id=run_id)


def agent_of_file(path: Path) -> str | None:
    """Return the id of the sub-agent whose own transcript `path` is; None for a main transcript."""
    stem = stem_of(path)
    return stem.removeprefix("agent-") if stem.startswith("agent-") else None


def parent_of_file(path: Path) -> str | None:
    """Return the session that the folder of a sub-agent's transcript belongs to, if it is such a folder."""
    return path.parent.parent.name if path.parent.name == "subagents" else None


def type_of_file(path: Path) -> str:
    """Return the type of sub-agent that the note beside its transcript names; empty if there is none."""
    try:
        note = json.loads(path.with_name(f"{stem_of(path)}.meta.json").read_bytes())
    except (OSError, ValueError):
        return ""
    found = note.get("agentType") if isinstance(note, dict) else None
    return found if isinstance(found, str) else ""


def stem_of(path: Path) -> str:
    """Return a transcript's name without its suffixes."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")
