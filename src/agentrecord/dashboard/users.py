"""The page of one user."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import series_slots
from agentrecord.dashboard.contexts import Chart, Tile
from agentrecord.dashboard.figures import count, excluded
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.listing import ROWS
from agentrecord.dashboard.portraits import days_of, spend_chart
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.error import ErrorGroup
from agentrecord.records.page import Page
from agentrecord.records.people import SessionDrivers, UserDetails, UserFigures
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.records.session import Session, SessionFilter
from agentrecord.records.usage import UsageBy
from agentrecord.store import AsyncStore

TABS = ("sessions", "cost", "errors", "data")
SESSIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """One user: the figures, and what the chosen `tab` shows; what belongs to another tab is empty.

    `live` counts the sessions that are not deleted, `ever` is what there is to delete, whenever it was made;
    `refused` says why the last form was not carried out.
    """

    details: UserDetails
    stretch: Range
    tab: str
    tiles: Sequence[Tile]
    is_first: bool
    sessions: Page[Session] | None = None
    drivers: Mapping[UUID, SessionDrivers]
    chart: Chart | None = None
    slots: Mapping[str, int]
    groups: Page[ErrorGroup] | None = None
    failed: Page[Run] | None = None
    live: int = 0
    ever: UserFigures | None = None
    refused: str = ""
    tabs: tuple[str, ...] = TABS


async def user(store: AsyncStore, name: str, asked: Asked, now: datetime, *, refused: str = "") -> UserPage:
    """Return the page of one user."""
    tab = asked.get("tab", "sessions")
    if tab not in TABS:
        raise InvalidFilter("tab", tab, f"is none; there are {', '.join(TABS)}")
    stretch, cursor = days_of(asked, now), asked.get("after")
    details = await store.users.details(name, since=stretch.since, until=stretch.until)
    known = details.figures.user.external_id
    shown = UserPage(
        details=details, stretch=stretch, tab=tab, tiles=tiles(details.figures), is_first=cursor is None,
        drivers={}, slots={}, refused=refused,
    )  # fmt: skip
    match tab:
        case "sessions":
            return await _with_sessions(store, shown, known, cursor)
        case "cost":
            names = await store.usage.names(UsageBy.MODEL)
            return replace(shown, chart=spend_chart(details.spend, names, stretch, now), slots=series_slots(names))
        case "errors":
            groups, failed = await asyncio.gather(
                store.errors.groups(user=known, include_resolved=True, limit=ROWS, cursor=cursor),
                store.runs.list(
                    RunFilter(user=known, status=RunStatus.ERROR, since=stretch.since, until=stretch.until),
                    limit=SESSIONS,
                ),
            )
            return replace(shown, groups=groups, failed=failed)
        case _:
            counted, ever = await asyncio.gather(
                store.sessions.sums(SessionFilter(user=known, include_children=True)), store.users.details(name)
            )
            return replace(shown, live=counted.sessions, ever=ever.figures)


async def _with_sessions(store: AsyncStore, shown: UserPage, known: str, cursor: str | None) -> UserPage:
    until = shown.stretch.until if shown.stretch.name == "custom" else None
    wanted = SessionFilter(user=known, since=shown.stretch.since, until=until)
    found = await store.sessions.list(wanted, limit=SESSIONS, cursor=cursor)
    drivers = await store.pages.session_drivers([session.id for session in found])
    return replace(shown, sessions=found, drivers=drivers)


def tiles(found: UserFigures) -> Sequence[Tile]:
    """Return a user's figures as tiles."""
    usage = found.usage
    ended = found.failed_runs + found.completed_runs
    return (
        Tile(name="Spend", value=formats.cost(usage), note=excluded(usage)),
        Tile(name="Sessions", value=count(found.sessions), note="sub-agents' included" if found.sessions else ""),
        Tile(
            name="Runs",
            value=count(found.runs),
            note=f"{formats.percent(found.failed_runs, ended)} of {ended:,} ended failed" if ended else "",
        ),
        Tile(
            name="Tokens",
            value=formats.short(usage.total_tokens) if usage.calls else formats.UNKNOWN,
            note=f"{formats.percent(usage.cached_share)} of input from cache" if usage.calls else "",
        ),
        Tile(
            name="Errors",
            value=count(found.errors),
            note=f"{found.tool_errors:,} of {found.tool_calls:,} tool calls failed" if found.tool_calls else "",
        ),
    )
