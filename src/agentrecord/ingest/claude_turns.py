"""A conversation with Claude Code as it is read: its session, the run of each turn, and the calls within.

A turn's end is not written down as such. It is inferred: from a stop reason, from an answer with nothing
pending when the next prompt comes, from the tool's own note of the turn's duration, or from silence.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agentrecord.ingest.claude_rows import Facts, Row
from agentrecord.ingest.facts import CallFact, RunFact, SessionFact
from agentrecord.records.run import RunStatus

MAX_TEXT = 2000
SILENCE = timedelta(hours=1)
"""After so long without a row, a turn without an end is taken to have been given up."""
FINAL_REASONS = frozenset({"end_turn", "stop_sequence", "max_tokens", "refusal"})

Verdict = tuple[RunStatus, str | None]

MID_TURN = "transcript ends in mid-turn"
OVERTAKEN = "the next prompt came before an answer"
INTERRUPTED: Verdict = (RunStatus.CANCELLED, "interrupted by the user")
COMPLETED: Verdict = (RunStatus.COMPLETED, None)


@dataclass(slots=True, kw_only=True)
class OpenRun:
    """A run whose rows are being read; `told` is what was last said about it."""

    told: RunFact
    last_at: datetime
    output: str | None = None
    has_final_reason: bool = False
    is_answered: bool = False
    pending: set[str] = field(default_factory=set)
    verdict: Verdict | None = None

    def outcome(self, *, is_over: bool, otherwise: str) -> Verdict:
        """Return how the run ended; if it is over without an end, it was cancelled, for the reason `otherwise`."""
        if self.verdict is not None:
            return self.verdict
        if self.has_final_reason or (is_over and self.is_answered and not self.pending):
            return COMPLETED
        return (RunStatus.CANCELLED, otherwise) if is_over else (RunStatus.RUNNING, None)

    def tell(self, verdict: Verdict) -> Facts:
        """Yield the run as it stands by `verdict`, unless that was said before."""
        status, error = verdict
        now = replace(
            self.told,
            status=status,
            error_message=error,
            output=self.output[:MAX_TEXT] if self.output else None,
            finished_at=max(self.last_at, self.told.started_at) if status.is_final else None,
        )
        if now != self.told:
            self.told = now
            yield now


@dataclass(slots=True)
class OpenCall:
    """A call whose response may still grow: one response is written as several rows."""

    fact: CallFact
    is_told: bool = False

    def tell(self) -> Facts:
        """Yield the call as it stands, unless that was said before."""
        if not self.is_told:
            self.is_told = True
            yield self.fact

    def grow(self, fact: CallFact) -> None:
        """Take over the counts of a later row of the same response if they are larger."""
        if fact.tokens.total > self.fact.tokens.total:
            # Time, run and message stay those of the first row: they must not move while a response grows.
            self.fact = replace(
                self.fact, tokens=fact.tokens, usage_metrics=fact.usage_metrics, cost_nanos=fact.cost_nanos
            )
            self.is_told = False


class Turns:
    """The session, the runs and the calls of one conversation; a sub-agent's has one run for all its turns."""

    def __init__(self, session: SessionFact, *, is_subagent: bool = False) -> None:
        """Begin with what is known of the session; it is told with the first row."""
        self.session = session
        self.is_subagent = is_subagent
        self.run: OpenRun | None = None
        self._call: OpenCall | None = None
        self._is_told = False

    @property
    def run_id(self) -> str | None:
        """The run that a row read now belongs to."""
        return self.run.told.run_id if self.run else None

    def see(self, row: Row, at: datetime, *, title: str | None = None, task: str | None = None) -> Facts:
        """Yield the session if it was not told yet, or if the row changes what is known of it."""
        known = self.session
        if self._is_told and not title and not task and _agrees(known, row) and at >= known.created_at:
            return
        now = replace(
            known,
            created_at=min(at, known.created_at),
            tool_version=row.version or known.tool_version,
            working_directory=row.cwd or known.working_directory,
            git_branch=row.git_branch or known.git_branch,
            title=title or known.title,
            initial_task=known.initial_task or (task[:MAX_TEXT] if task else None),
        )
        if not self._is_told or now != known:
            self._is_told = True
            self.session = now
            yield now

    def open_run(
        self, run_id: str, at: datetime, objective: str | None = None, *, parent_run_id: str | None = None
    ) -> Facts:
        """Close the run before, if any, and yield the new one."""
        yield from self.close(OVERTAKEN)
        fact = RunFact(
            session_id=self.session.session_id,
            run_id=run_id,
            started_at=at,
            parent_run_id=parent_run_id,
            agent_id=self.session.agent_id,
            agent_name=self.session.agent_name,
            objective=objective[:MAX_TEXT] if objective else None,
        )
        self.run = OpenRun(told=fact, last_at=at)
        yield fact

    def need_run(self, at: datetime) -> Facts:
        """Open a run for rows that come before any prompt."""
        if self.run is None:
            yield from self.open_run(f"{self.session.session_id}:start", at)

    def touch(self, at: datetime) -> None:
        """Note that the current run was still going at that time."""
        if self.run is not None and at > self.run.last_at:
            self.run.last_at = at

    def end(self, verdict: Verdict) -> Facts:
        """Yield the run as ended, unless something worse was found out about it before."""
        yield from self.flush()
        if self.run is not None:
            self.run.verdict = self.run.verdict or verdict
            yield from self.run.tell(self.run.verdict)

    def close(self, otherwise: str) -> Facts:
        """Yield the last of the current call and run: nothing more will come of them."""
        yield from self.flush()
        if self.run is not None:
            yield from self.run.tell(self.run.outcome(is_over=True, otherwise=otherwise))

    def settle(self, latest: datetime) -> Facts:
        """Yield call and run as they stand at the end of what is written so far."""
        yield from self.flush()
        if self.run is not None:
            is_over = latest - self.run.last_at >= SILENCE
            yield from self.run.tell(self.run.outcome(is_over=is_over, otherwise=MID_TURN))

    def call(self, fact: CallFact) -> Facts:
        """Take a row's usage in; yield the call before, if this is another."""
        if self._call is not None and self._call.fact.dedup_key == fact.dedup_key:
            self._call.grow(fact)
            return
        yield from self.flush()
        self._call = OpenCall(fact)

    def flush(self) -> Facts:
        """Yield what was not told yet of the current call; it may grow all the same."""
        if self._call is not None:
            yield from self._call.tell()


def _agrees(known: SessionFact, row: Row) -> bool:
    return (
        row.cwd in (None, known.working_directory)
        and row.version in (None, known.tool_version)
        and (row.git_branch or None) in (None, known.git_branch)
    )
