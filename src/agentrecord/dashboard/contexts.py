"""What each page shows: one record per page, made by the module of the page, read by its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from markupsafe import Markup

from agentrecord.dashboard.charts import Bar, Line
from agentrecord.records.imports import UnreadableLine
from agentrecord.records.page import Page
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.records.tool_call import ToolCall
from agentrecord.records.usage import UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A figure of a range: its name, the figure, what it was before, and a line below it."""

    name: str
    value: str
    change: float | None = None
    is_worse_up: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, the numbers that it was drawn from, and the series in it with their colours; `over` are its lines.

    `labels` tells what people read of a series whose name is not for them.
    """

    title: str
    svg: Markup
    bars: Sequence[Bar]
    series: Sequence[tuple[str, int]]
    over: Sequence[Line] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportsPage:
    """Lines that could not be read."""

    found: Page[UnreadableLine]
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a conversation; which of the fields are set depends on `kind`."""

    kind: str
    at: datetime
    anchor: UUID | None = None
    text: str = ""
    title: str = ""
    model: str | None = None
    response: str | None = None
    tool: ToolCall | None = None
    child: Session | None = None
    child_run: Run | None = None
    totals: UsageTotals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """A turn of a conversation: its number, its run, and what was said and done."""

    number: int | None
    run: Run | None
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineRow:
    """A turn in the outline: where the stretch with its beginning starts, its cost as a share of the costliest's."""

    number: int
    run: Run
    start: int
    share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """A conversation: its figures, its turns, what drove its cost, and a stretch of it."""

    session: Session
    ancestors: Sequence[Session]
    turns: Sequence[TurnView]
    outline: Sequence[OutlineRow]
    silent_turns: int
    drivers: Sequence[tuple[str, str]]
    models: Mapping[str, UsageTotals]
    failed_tools: Sequence[ToolCall]
    start: int
    next_start: int | None
    previous_start: int | None
    shown: int
    runs: Sequence[Run] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPage:
    """The chat: one's conversations, and the one that is open, if one is.

    `running` is the turn that is being answered; `retry` is what can be said again, where the last turn gave no
    answer; `key` makes the next message one turn, however often it is sent; `runner` is what answers.
    """

    found: Page[Session]
    is_first: bool
    shows_all: bool
    talk: SessionPage | None
    running: UUID | None
    retry: str | None
    runner: str
    key: UUID
