"""The page of one run: its waterfall, its conversation, its events, its attributes, itself as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from agentrecord.codec.jsonable import to_jsonable
from agentrecord.dashboard import conversation
from agentrecord.dashboard.contexts import TurnView
from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.dashboard.run_detail import Detail, detail_of
from agentrecord.dashboard.run_items import place_of
from agentrecord.dashboard.run_rows import VIEW, Row, Waterfall, completion, page_of, view_of, waterfall, zoom
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.event import Event
from agentrecord.records.page import Page
from agentrecord.records.query import Query
from agentrecord.records.run import Run
from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind
from agentrecord.store import AsyncStore
from agentrecord.store.span_words import query_of

WHOLE = 200
"""A waterfall of so many rows is shown whole."""

ROWS = 100
"""So many rows of a longer one: four screens, until a script has drawn those in sight or another page is asked for."""

EVENTS = 200
TABS = (
    ("waterfall", "Waterfall"), ("conversation", "Conversation"), ("events", "Events"), ("attributes", "Attributes"),
    ("json", "Raw JSON"),
)  # fmt: skip
RUN_FILTERS = ("tab", "span", "spans", "row", "after", *VIEW)
ALIKE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A run: its figures, its tree of work, one piece of it in detail, and what the chosen tab shows.

    `total` counts the rows of the view. `matches` are the pieces that the filter finds, without what these are in;
    `problem` says why it finds none: the field that was not understood, and the reason. `completion` is JSON for the
    filter's script. `alike` are other runs of its agent, those of the same objective first.
    """

    run: Run
    tab: str
    fall: Waterfall
    first_failure: RunSpan | None
    alike: Sequence[Run]
    query: Query | None = None
    problem: tuple[str, str] | None = None
    completion: str = ""
    rows: Sequence[Row] = ()
    row: int = 1
    next_row: int | None = None
    previous_row: int | None = None
    selected: Detail | None = None
    zoom: tuple[int, int] | None = None
    turns: Sequence[TurnView] = ()
    next_start: int | None = None
    events: Page[Event] | None = None
    raw: str = ""

    @property
    def tabs(self) -> Sequence[tuple[str, str]]:
        """The tabs, by the word that the address has."""
        return TABS

    @property
    def tools(self) -> tuple[int, int]:
        """How many uses of tools there were, those of the runs below included, and how many of them failed."""
        found = [span.is_failed for span in self.fall.tree.spans if span.kind is SpanKind.TOOL]
        return len(found), sum(found)

    @property
    def twins(self) -> Sequence[Run]:
        """The other runs on the same input that another version of the agent served."""
        run = self.run
        return [
            other
            for other in self.alike
            if run.objective and other.objective == run.objective and other.agent_version_uuid != run.agent_version_uuid
        ]

    @property
    def total(self) -> int:
        """How many rows the view has."""
        return len(self.fall.items)

    @property
    def matches(self) -> int | None:
        """How many pieces the filter finds; None without one."""
        found = self.fall.tree.found
        return None if found is None else len(found)

    @property
    def terms(self) -> Sequence[tuple[str, str | None]]:
        """The terms of the filter, each with the filter without it."""
        terms = () if self.query is None else self.query.terms
        return [(str(term), str(self.query.without(place)) or None) for place, term in enumerate(terms) if self.query]

    @property
    def is_live(self) -> bool:
        """Say whether more may still come."""
        return not self.run.status.is_final


async def run_page(store: AsyncStore, run_id: str, asked: Asked, now: datetime) -> RunPage:
    """Return a run with what its tab shows: the waterfall with the piece that was asked for, else its first failure."""
    tab = asked.get("tab", TABS[0][0])
    if tab not in dict(TABS):
        raise InvalidFilter("tab", tab, f"is none; use {', '.join(dict(TABS))}")
    run = await store.runs.get(run_id, with_subtree=True)
    tree, query, problem = await _found(store, run, asked)
    span = chosen_of(tree.spans, asked.get("span"))
    fall = waterfall(tree, view_of(asked), now, chosen=None if span is None else span.id)
    base = RunPage(
        run=run,
        tab=tab,
        fall=fall,
        first_failure=tree.first_failure,
        alike=await store.runs.alike(run.id, limit=ALIKE),
        query=query,
        problem=problem,
        completion=completion(tree.spans),
    )
    return await _MAKERS[tab](store, base, asked)


async def _found(store: AsyncStore, run: Run, asked: Asked) -> tuple[RunTree, Query | None, tuple[str, str] | None]:
    """Return a run's tree with what the filter finds in it; one that cannot be understood finds nothing."""
    text = asked.get("spans")
    try:
        query = None if text is None else query_of(text)
        return await store.pages.run_tree(run.id, query=text), query, None
    except InvalidFilter as error:
        tree = await store.pages.run_tree(run.id)
        return replace(tree, found=frozenset()), None, (error.field, error.reason)


async def _waterfall_tab(store: AsyncStore, page: RunPage, asked: Asked) -> RunPage:
    fall = page.fall
    chosen = chosen_of(fall.tree.spans, asked.get("span"))
    found = fall.tree.found
    first = None if found is None else next((span for span in fall.spans if span.id in found), None)
    shown = chosen or first or page.first_failure
    place = None if shown is None else place_of(fall.spans, shown.id)
    most = WHOLE if page.total <= WHOLE else ROWS
    row = whole_number(asked, "row", page_of(fall.items, place, most) if chosen else 1)
    return replace(
        page,
        rows=[fall.row(item, place) for item in fall.items[row - 1 : row - 1 + most]],
        row=row,
        next_row=row + most if page.total >= row + most else None,
        previous_row=max(1, row - most) if row > 1 else None,
        selected=None if shown is None else await detail_of(store, shown),
        zoom=None if shown is None else zoom(fall, shown),
    )


def chosen_of(spans: Sequence[RunSpan], wanted: str | None) -> RunSpan | None:
    """Return the piece with an id, None for none; raise `InvalidFilter` for what is no piece of the run."""
    if wanted is None:
        return None
    try:
        found = UUID(wanted)
    except ValueError:
        raise InvalidFilter("span", wanted, "is no piece of this run; leave it out") from None
    for span in spans:
        if span.id == found:
            return span
    raise InvalidFilter("span", wanted, "is no piece of this run; leave it out")


async def _conversation_tab(store: AsyncStore, page: RunPage, asked: Asked) -> RunPage:
    if page.run.session_uuid is None:
        return page
    start = whole_number(asked, "row", 1)
    turns, following = await conversation.turns_of_run(store, page.run, page.run.session_uuid, start)
    return replace(page, turns=turns, next_start=following)


async def _events_tab(store: AsyncStore, page: RunPage, asked: Asked) -> RunPage:
    found = await store.events.list(run=page.run.id, limit=EVENTS, cursor=asked.get("after"))
    return replace(page, events=found)


async def _attributes_tab(store: AsyncStore, page: RunPage, asked: Asked) -> RunPage:
    return page


async def _json_tab(store: AsyncStore, page: RunPage, asked: Asked) -> RunPage:
    return replace(page, raw=json.dumps(to_jsonable(page.run), indent=2, ensure_ascii=False))


_MAKERS = {
    "waterfall": _waterfall_tab,
    "conversation": _conversation_tab,
    "events": _events_tab,
    "attributes": _attributes_tab,
    "json": _json_tab,
}
