"""The page of one session: its conversation, its runs, itself as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from agentrecord.codec.jsonable import to_jsonable
from agentrecord.dashboard import conversation
from agentrecord.dashboard.contexts import SessionPage
from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunFilter
from agentrecord.records.session import Session
from agentrecord.store import AsyncStore

TABS = (("conversation", "Conversation"), ("runs", "Runs"), ("json", "Raw JSON"))
SESSION_FILTERS = ("from", "tab", "after")
ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSession:
    """A session's page: the head that all tabs share, and what the chosen tab shows.

    `versions` are those of its agent that served in it, by number; `at_work_ms` is how long any of its turns was
    at work, None where no turn told. `refused` says why it was not deleted, where that was asked for.
    """

    talk: SessionPage
    tab: str
    versions: Sequence[str]
    at_work_ms: int | None
    runs: Page[Run] | None = None
    numbers: Mapping[UUID, int] | None = None
    is_first: bool = True
    raw: str = ""
    refused: str = ""

    @property
    def tabs(self) -> Sequence[tuple[str, str]]:
        """The tabs, by the word that the address has."""
        return TABS


async def session_page(store: AsyncStore, session_id: str, asked: Asked, *, refused: str = "") -> WholeSession:
    """Return a session with what its tab shows: a stretch of the conversation, its runs, or all fields of its row."""
    tab = asked.get("tab", TABS[0][0])
    if tab not in dict(TABS):
        raise InvalidFilter("tab", tab, f"is none; use {', '.join(dict(TABS))}")
    talk = await conversation.stretch_from(store, session_id, whole_number(asked, "from", 1))
    runs = talk.runs
    cursor = asked.get("after")
    listed = None
    if tab == "runs":
        wanted = RunFilter(session_uuid=talk.session.id, include_children=True)
        listed = await store.runs.list(wanted, sort="started_at", limit=ROWS, cursor=cursor)
    return WholeSession(
        talk=talk,
        tab=tab,
        versions=_versions(talk.session, runs),
        at_work_ms=at_work_ms(runs) if len(runs) == talk.session.run_count else None,
        runs=listed,
        numbers={run.id: number for number, run in enumerate(runs, 1)},
        is_first=cursor is None,
        raw=json.dumps(to_jsonable(talk.session), indent=2, ensure_ascii=False) if tab == "json" else "",
        refused=refused,
    )


def at_work_ms(runs: Sequence[Run]) -> int | None:
    """Return how long any of these was at work, so that time in which several were counts once; None if none told."""
    spans = sorted((run.started_at, run.finished_at) for run in runs if run.started_at and run.finished_at)
    if not spans:
        return None
    whole, until = timedelta(), spans[0][0]
    for start, end in spans:
        if end > until:
            whole += end - max(start, until)
            until = end
    return round(whole / timedelta(milliseconds=1))


def _versions(session: Session, runs: Sequence[Run]) -> Sequence[str]:
    """Return the versions of the session's agent that served in it, by number, the first that did so first."""
    used = [run.agent_version for run in runs if run.agent_id is not None and run.agent_id == session.agent_id]
    return list(dict.fromkeys(version for version in used if version is not None))
