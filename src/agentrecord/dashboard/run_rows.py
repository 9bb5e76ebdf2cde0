"""The rows of a run's waterfall: which pieces the address asks for, and where each of them is drawn."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from markupsafe import Markup

from agentrecord.codec.jsonable import to_json
from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import span_bars
from agentrecord.dashboard.filters import Asked
from agentrecord.dashboard.run_items import (
    ALL,
    NO_FOLDS,
    Folds,
    Item,
    folded,
    folds_of,
    items_of,
    opened,
    place_of,
    toggled,
)
from agentrecord.exceptions import InvalidFilter
from agentrecord.records import run_tree
from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind
from agentrecord.store.words import SPAN_WORDS

TICKS = 4
IDLE_SHARE = 0.02
"""How much of the width a gap keeps when it is cut; a gap must be twice as long to be one."""

SHORT_SHARE = 0.01
"""What takes less of the whole than this is short."""

MAX_MS = 2**53
CHOICES = {
    "errors": ("all", "only"),
    "short": ("shown", "hidden"),
    "bars": ("time", "cost"),
    "idle": ("shown", "cut"),
    "repeats": ("grouped", "apart"),
}
"""What the address may choose about the rows; the first of each is what holds without it."""

VIEW = (*CHOICES, "open", "fold", "t0", "t1")
MOST_VALUES = 50
MOST_MARKS = 60
"""So many pieces of a group are drawn on its bar."""

_ESCAPED = r'"(?:command|file_path|path|pattern|query|url|description|prompt|skill|name)"\s*:\s*"((?:[^"\\]|\\.)*)'
_SAID = re.compile(_ESCAPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a waterfall is looked at; `t0` and `t1` are milliseconds from its start, None at the ends."""

    errors_only: bool = False
    hides_short: bool = False
    by_cost: bool = False
    cuts_idle: bool = False
    is_apart: bool = False
    opened: frozenset[UUID] = frozenset()
    folds: Folds = NO_FOLDS
    t0: int | None = None
    t1: int | None = None

    @property
    def may_group(self) -> bool:
        """Say whether pieces that belong together may be folded into one row."""
        return not (self.is_apart or self.errors_only or self.hides_short)

    @property
    def is_zoomed(self) -> bool:
        """Say whether only a stretch is shown."""
        return self.t0 is not None or self.t1 is not None


def view_of(asked: Asked) -> View:
    """Return the view that an address asks for; raise `InvalidFilter` for what is none."""
    chosen = {}
    for name, (usual, other) in CHOICES.items():
        value = asked.get(name, usual)
        if value not in (usual, other):
            raise InvalidFilter(name, value, f"must be {usual} or {other}")
        chosen[name] = value == other
    t0, t1 = _offset(asked, "t0"), _offset(asked, "t1")
    if t1 is not None and t1 <= (t0 or 0):
        raise InvalidFilter("t1", asked["t1"], "must be after t0")
    return View(
        errors_only=chosen["errors"],
        hides_short=chosen["short"],
        by_cost=chosen["bars"],
        cuts_idle=chosen["idle"],
        is_apart=chosen["repeats"],
        opened=opened(asked),
        folds=folds_of(asked),
        t0=t0,
        t1=t1,
    )


def _offset(asked: Asked, name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:17]) < MAX_MS):
        raise InvalidFilter(name, text, "must be milliseconds from the run's start, as a whole number")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The stretch of time that a waterfall spans, in seconds, without the `gaps` that are cut out of it."""

    origin: datetime
    start_s: float = 0.0
    length_s: float = 1.0
    gaps: tuple[tuple[float, float], ...] = ()

    def share(self, second: float) -> float:
        """Return where a second is drawn, as a share of the width."""
        inside = second - self.start_s
        before = sum(min(inside, end) - start for start, end in self.gaps if start < inside)
        return (inside - before) / (self.length_s - sum(end - start for start, end in self.gaps))

    def bar(self, span: RunSpan) -> tuple[float, float]:
        """Return where a piece starts and how long it is, as shares of the width; what goes on reaches the end."""
        if span.started_at is None:
            return 0.0, 0.0
        second = (span.started_at - self.origin).total_seconds()
        first = max(0.0, min(1.0, self.share(second)))
        if span.is_running:
            return first, 1.0 - first
        last = self.share(second + (span.duration_ms or 0) / 1000)
        return first, max(0.0, min(1.0, last) - first)

    def ticks(self) -> list[str]:
        """Return what stands above the bars; where gaps are cut out, only the ends have a time."""
        ends = (formats.coarse(self.start_s * 1000) if self.start_s else "0", self.start_s + self.length_s)
        if self.gaps:
            return [ends[0], "", f"{len(self.gaps)} idle cut", "", formats.coarse(ends[1] * 1000)]
        places = [self.start_s + self.length_s * place / TICKS for place in range(1, TICKS + 1)]
        return [ends[0], *[formats.coarse(place * 1000) for place in places]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a waterfall; `toggle` are the changes of the address that open or fold a group.

    `fold` are those that fold a piece, or show again what is below it; None where nothing is.
    """

    item: Item
    note: str
    cost: str
    bar: Markup
    is_chosen: bool = False
    toggle: Mapping[str, str | None] | None = None
    fold: Mapping[str, str | None] | None = None

    @property
    def span(self) -> RunSpan:
        """The piece, or all of a group as one."""
        return self.item.span

    @property
    def detached(self) -> str:
        """Why the piece is detached; nothing where it is not."""
        return detached_from(self.span) if self.span.is_detached else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The pieces of a run that a view shows, the rows that they take, and their axis.

    `has_gaps` says whether something could be cut out of the view, `idle_ms` in how long of the whole nothing was at
    work.
    """

    tree: RunTree
    spans: Sequence[RunSpan]
    items: Sequence[Item]
    axis: Axis
    view: View
    has_gaps: bool
    idle_ms: float
    most_nanos: int

    @property
    def has_groups(self) -> bool:
        """Say whether any rows are grouped."""
        return any(item.group is not None for item in self.items)

    @property
    def fold_all(self) -> str | None:
        """What the address names to fold all that holds something, but for the whole; None where nothing else does."""
        return ALL if any(item.below and item.span.depth for item in self.items) else None

    def row(self, item: Item, chosen: int | None = None) -> Row:
        """Return an item as a row; `chosen` is the place of the piece whose details are shown."""
        span = item.span
        return Row(
            item=item,
            note=item.said or gist(span.note),
            cost=cost_of(span),
            bar=span_bars(self.marks(item), span.kind),
            is_chosen=item.holds(chosen),
            toggle=None if item.group is None else toggled(item, self.view.opened),
            fold=folded(item, self.view.folds, chosen) if item.below else None,
        )

    def marks(self, item: Item) -> Sequence[tuple[float, float, bool]]:
        """Return what is drawn on an item's bar: starts and lengths, as shares of the width, and what failed."""
        if item.group is None or self.view.by_cost or item.group.count > MOST_MARKS:
            return [(*self.row_place(item.span), item.span.is_failed)]
        return [(*self.row_place(member), member.is_failed) for member in item.group.members]

    def row_place(self, span: RunSpan) -> tuple[float, float]:
        """Return where a piece's bar starts and how long it is, as shares of the width."""
        if not self.view.by_cost:
            return self.axis.bar(span)
        return 0.0, (span.cost_nanos or 0) / self.most_nanos if self.most_nanos else 0.0


def waterfall(
    tree: RunTree, view: View, now: datetime, axis: Axis | None = None, *, chosen: UUID | None = None
) -> Waterfall:
    """Return what a view shows of a run, of what its filter found; `axis` is given where several runs share one.

    What is around the piece `chosen` is open, groups and folded pieces alike.
    """
    whole = axis or axis_of(tree.spans, now)
    shown = _zoomed(whole, view)
    spans: Sequence[RunSpan] = tree.spans if tree.found is None else run_tree.only(tree.spans, tree.found)
    if view.is_zoomed:
        ends = [whole.origin + timedelta(seconds=second) for second in (shown.start_s, shown.start_s + shown.length_s)]
        spans = run_tree.between(spans, *ends)
    if view.hides_short:
        spans = run_tree.without_short(spans, shown.length_s * 1000 * SHORT_SHARE)
    if view.errors_only:
        spans = run_tree.only_failed(spans)
    # Of each gap a little stays, so that it is seen.
    left = shown.length_s * IDLE_SHARE / 2
    gaps = tuple((start + left, end - left) for start, end in _idle(shown, tree.spans))
    return Waterfall(
        tree=tree,
        spans=spans,
        # Among the pieces that are left, those that follow one another may have been far apart.
        items=items_of(
            spans,
            are_grouped=view.may_group and tree.found is None,
            is_open=view.opened,
            folds=view.folds,
            shown=chosen,
        ),
        axis=replace(shown, gaps=gaps) if view.cuts_idle else shown,
        view=view,
        has_gaps=bool(gaps),
        idle_ms=sum(end - start for start, end in _idle(whole, tree.spans)) * 1000,
        most_nanos=max((span.cost_nanos or 0 for span in tree.spans), default=0),
    )


def axis_of(spans: Sequence[RunSpan], now: datetime) -> Axis:
    """Return the axis that holds all pieces; while one goes on, it reaches to the present."""
    starts = [span.started_at for span in spans if span.started_at is not None]
    ends = [end for span in spans if (end := span.ended_at) is not None]
    origin = min(starts, default=now)
    if any(span.is_running for span in spans):
        ends.append(now)
    length = (max([*ends, *starts], default=origin) - origin).total_seconds()
    return Axis(origin=origin, length_s=length if length > 0 else 1.0)


def _zoomed(whole: Axis, view: View) -> Axis:
    start = min((view.t0 or 0) / 1000, whole.length_s)
    end = whole.length_s if view.t1 is None else view.t1 / 1000
    return Axis(origin=whole.origin, start_s=start, length_s=max(end - start, 0.001))


def _idle(axis: Axis, spans: Sequence[RunSpan]) -> tuple[tuple[float, float], ...]:
    """Return the stretches in which no call and no tool was at work, where each is much of the whole."""
    busy = []
    for span in spans:
        if span.kind.is_work and span.started_at is not None:
            began = (span.started_at - axis.origin).total_seconds() - axis.start_s
            busy.append((began, axis.length_s if span.is_running else began + (span.duration_ms or 0) / 1000))
    least, gaps, reached = axis.length_s * IDLE_SHARE, [], 0.0
    for began, ended in [*sorted(busy), (axis.length_s, axis.length_s)]:
        if min(began, axis.length_s) - reached > 2 * least:
            gaps.append((reached, min(began, axis.length_s)))
        reached = max(reached, ended)
    return tuple(gaps)


def cost_of(span: RunSpan) -> str:
    """Return what a piece cost; "no price" where it made calls and none has one, nothing without calls."""
    if not span.calls:
        return ""
    return "no price" if span.cost_nanos is None else formats.money(span.cost_nanos)


def gist(note: str | None) -> str:
    """Return what a use of a tool is about, from the start of its arguments."""
    if not note:
        return ""
    found = _SAID.search(note)
    return formats.gist(note) if found is None else formats.one_line(found[1].replace("\\n", " ").replace('\\"', '"'))


def compact(found: Waterfall, first: int, count: int, chosen: UUID | None = None) -> list[list[object]]:
    """Return rows for the script that draws them.

    Each is id, kind, depth, name, note, time, tokens, cost, state (1 going on, 2 failed), what is drawn on its bar
    (start and width in percent, and 1 where it failed), for a group whether it is open, how many of it failed, and
    which groups its link has open. Where something is below it, there follows how it is (1 shown, 2 folded, 3 kept
    open by the piece `chosen`) and how much; where it is detached, then why.
    """
    place = None if chosen is None else place_of(found.spans, chosen)
    return [_compact(found, item, place) for item in found.items[first : first + count]]


def _compact(found: Waterfall, item: Item, chosen: int | None) -> list[object]:
    span, group = item.span, item.group
    told: list[object] | None = None
    if group is not None:
        told = [int(item.is_open), group.failed, toggled(item, found.view.opened)["open"] or ""]
    rest: list[object] = []
    if item.below or span.is_detached:
        state = 2 if item.is_folded else 3 if item.keeps_open(chosen) else 1
        rest = [[state, item.below] if item.below else None]
    if span.is_detached:
        rest.append(detached_from(span))
    return [
        # A group has the id of its first piece, which may be in sight below it.
        str(span.id) if group is None else f"group-{span.id}",
        span.kind,
        min(item.depth, 9),
        item.name,
        item.said or gist(span.note),
        formats.duration(span.duration_ms),
        "" if span.tokens is None else formats.number(span.tokens),
        cost_of(span),
        2 if span.is_failed else 1 if span.is_running else 0,
        [[round(start * 100, 2), round(length * 100, 2), int(failed)] for start, length, failed in found.marks(item)],
        told,
        *rest,
    ]


def detached_from(span: RunSpan) -> str:
    """Return why a piece is detached, as a title has room for."""
    if span.detached_from is None:
        return "its parents lead to no run of this tree"
    return f"the span above it, {span.detached_from}, has not come"


def page_of(items: Sequence[Item], wanted: int | None, rows: int) -> int:
    """Return the first row, from 1, of the page that shows the piece at a place; 1 if none does."""
    number = next((number for number, item in enumerate(items) if item.holds(wanted)), 0)
    return number // rows * rows + 1


def zoom(found: Waterfall, span: RunSpan) -> tuple[int, int] | None:
    """Return the stretch that a piece took, in milliseconds from the start; None if it is nothing or all."""
    if span.started_at is None or not span.duration_ms or span.depth == 0 or span.kind is SpanKind.LLM:
        return None
    start = round((span.started_at - found.axis.origin).total_seconds() * 1000)
    return max(0, start), max(0, start) + span.duration_ms


def completion(spans: Sequence[RunSpan]) -> str:
    """Return the words that pieces are filtered by, with the values that these pieces have, for the filter's script."""
    values = {
        word: sorted({span.name for span in spans if span.kind is kind})[:MOST_VALUES]
        for word, kind in (("model", SpanKind.LLM), ("tool", SpanKind.TOOL), ("agent", SpanKind.RUN))
    }
    told = [
        {"name": word.name, "help": word.help, "example": word.example, "choices": values.get(word.name, word.choices)}
        for word in SPAN_WORDS.values()
    ]
    return to_json(told).decode()
