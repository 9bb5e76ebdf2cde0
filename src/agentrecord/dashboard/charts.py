"""Charts as SVG text, drawn on the server: no script, printable, every number in a title and a table."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from markupsafe import Markup, escape

from agentrecord.dashboard.filters import with_changes
from agentrecord.dashboard.formats import duration
from agentrecord.dashboard.periods import days_of, filled, span_of
from agentrecord.dashboard.readings import BETWEEN, Reading, data_of
from agentrecord.dashboard.scales import BOTTOM, LEFT, RIGHT, TIMES_MS, alike, framed, scale, share_of, time_scale
from agentrecord.records.usage import UsageBy, UsageRow
from agentrecord.store.usage_by_tool import NO_TOOL
from agentrecord.store.usage_by_version import NO_VERSION
from agentrecord.store.usage_sums import NO_NAME

SLOTS = 6
"""How many colours there are; the slot of this number is grey, and of what is not told apart."""

MARKS = (None, "striped", "dotted")
"""What is drawn over the colour of slots 0 to 5, 7 to 12, and 14 to 19."""

MOST_APART = 8
"""So many series of a chart are told apart, those with the highest sums."""

WIDTH, HEIGHT, TOP = 760, 230, 10
WIDE = 1240
LABEL_SPACE = 62
DATE_SPACE = 80
SHORT_LABEL = 7
"""How much room a label takes that is a time, a day or a month, and a longer one."""

MOST_ABOVE = 3
"""How many times the highest bar a limit may be to be drawn."""

SPARK_WIDTH, SPARK_HEIGHT = 120, 24
OTHER = "other"
_OF_NONE = (NO_NAME, NO_VERSION, NO_TOOL)
"""What is grey, as what is not told apart is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a bar: its series, the colour slot, what it measures, and that in words; what is bad is hatched.

    `label` is what people read of a series whose name is not for them. A click on the part leads to `href`; where it
    has none, to that of its bar.
    """

    series: str
    slot: int
    value: int
    text: str
    is_bad: bool = False
    href: str | None = None
    label: str | None = None

    @property
    def told(self) -> str:
        """What people read of its series."""
        return self.label or self.series


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A level line across a chart, such as a budget's limit."""

    value: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line over bars, on a scale of times of its own: a point for each bar in milliseconds, None where none is."""

    name: str
    look: str
    points: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar: a moment or a name, its parts from below, and where a click on it leads, if anywhere.

    `total` is the whole in words; `span` is the `from` and `to` by which an address asks for the bar's stretch of time.
    """

    label: str
    parts: tuple[Part, ...] = ()
    href: str | None = None
    total: str = ""
    span: tuple[str, str] | None = None

    @property
    def value(self) -> int:
        """The whole bar's height."""
        return sum(part.value for part in self.parts)

    @property
    def texts(self) -> Mapping[str, str]:
        """What each part says, by its series."""
        return {part.series: part.text for part in self.parts}


def series_slots(names: Iterable[str]) -> dict[str, int]:
    """Return the slot of each of the names of a kind, which come in the order in which they were first stored.

    A name keeps its slot on every page and in every range, whatever comes later. Six names differ by colour, the next
    six have the same colours with stripes, the next with dots, and from then on looks come again.
    """
    return {name: _slot(place) for place, name in enumerate(dict.fromkeys(names))}


def _slot(place: int) -> int:
    return place % SLOTS + place % (SLOTS * len(MARKS)) // SLOTS * (SLOTS + 1)


def mark_of(slot: int) -> str | None:
    """Return what is drawn over a slot's colour: stripes, dots or nothing."""
    return MARKS[slot // (SLOTS + 1)]


def drawn_apart(sums: Mapping[str, int], slots: Mapping[str, int]) -> dict[str, int]:
    """Return the slots of the names that a chart tells apart: those with the highest sums, no two of one look."""
    found: dict[str, int] = {}
    for name in sorted(sums, key=lambda name: (-sums[name], name)):
        # Only so many names are told in their order; what comes after them has the look that its letters make.
        slot = slots[name] if name in slots else SLOTS if name in _OF_NONE else _slot(crc32(name.encode()))
        if slot != SLOTS and slot not in found.values():
            found[name] = slot
        if len(found) == MOST_APART:
            break
    rest = sums.keys() - found.keys()
    # All in one grey cannot be told apart, so that many are one part; one alone keeps its name.
    return found | dict.fromkeys(rest, SLOTS) if len(rest) == 1 else found


def bars_of(
    rows: Sequence[UsageRow], slots: Mapping[str, int], by: UsageBy, *, measure: Callable[[UsageRow], int],
    text: Callable[[int], str], path: str | None = None, words: Callable[[str], str | None] = lambda _: None,
    ends: tuple[str, str] | None = None,
) -> tuple[Bar, ...]:  # fmt: skip
    """Return a bar for each period from the first to the last, those of the `ends` and without calls included.

    Rows are split by what `slots` names; those that are not told apart are one series, "other". With `path`, that of a
    list, each bar leads to what the list holds of the bar's days, and each part to what of it has the `words` of the
    part's name.
    """
    sums: dict[str, int] = {}
    for row in rows:
        if row.split is not None:
            sums[row.split] = sums.get(row.split, 0) + measure(row)
    apart = drawn_apart(sums, slots)
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        parts = found.setdefault(row.key, {})
        series = row.split if row.split in apart else OTHER
        parts[series] = parts.get(series, 0) + measure(row)
    asked = {name: words(name) for name in {*apart, OTHER}}
    labels = {row.split: row.split_label for row in rows}
    bars = []
    for label in filled(sorted(found), by, ends):
        days = days_of(label, by)
        ordered = sorted(found.get(label, {}).items(), key=lambda item: (_from_below(apart.get(item[0])), item[0]))
        parts_of_bar = [
            Part(
                series=name, slot=apart.get(name, SLOTS), value=value, text=text(value),
                href=None if path is None or asked[name] is None else path + with_changes(days, q=asked[name]),
                label=labels.get(name),
            )
            for name, value in ordered
            if value
        ]  # fmt: skip
        href = None if path is None else path + with_changes(days)
        total = text(sum(part.value for part in parts_of_bar)) if parts_of_bar else ""
        bars.append(Bar(label=label, parts=tuple(parts_of_bar), href=href, total=total, span=span_of(label, by)))
    return tuple(bars)


def _from_below(slot: int | None) -> tuple[bool, int]:
    """Return what orders the parts of a bar: by slot, the grey one on top."""
    return slot is None or slot == SLOTS, slot or 0


def stacked_bars(
    bars: Sequence[Bar],
    *,
    title: str,
    tick: Callable[[int], str],
    width: int = WIDTH,
    height: int = HEIGHT,
    limits: Sequence[Limit] = (),
    over: Sequence[Line] = (),
) -> Markup:
    """Return a chart of stacked bars; limits far above all bars are left out, so that these stay readable.

    Lines `over` the bars have a scale of times at the right.
    """
    if not bars:
        return Markup("")
    right = width - RIGHT if over else width
    highest = max(bar.value for bar in bars)
    shown = [limit for limit in limits if 0 < limit.value <= MOST_ABOVE * highest]
    step, top = scale(max([highest, *(limit.value for limit in shown)]))
    plot = height - BOTTOM - TOP
    values = range(0, top + 1, step)
    levels = [
        (TOP + plot - plot * value / top, said)
        for value, said in zip(values, alike([tick(value) for value in values]), strict=True)
    ]
    lines = [f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>' for y, _ in levels]
    space = (right - LEFT) / len(bars)
    thick = max(1.0, min(72.0, space * 0.78))
    told = _told([bar.label for bar in bars])
    every = math.ceil((DATE_SPACE if max(map(len, told)) > SHORT_LABEL else LABEL_SPACE) / space)
    for place, bar in enumerate(bars):
        middle = LEFT + space * (place + 0.5)
        lines.append(_bar(bar, middle - thick / 2, thick, plot / top, height - BOTTOM))
        if place % every == 0:
            lines.append(_label(told[place], middle, right, height))
    times = _times_over(over)
    if times:
        lines.extend(_drawn_over(over, bars, space, plot, times))
    lines.extend(_limit(limit, TOP + plot - plot * limit.value / top, right) for limit in shown)
    # What holds links is a group: nothing inside an image could be reached.
    role = "group" if any(bar.href for bar in bars) else "img"
    marks = {"hatched" if part.is_bad else mark_of(part.slot) for bar in bars for part in bar.parts}
    patterns = "".join(pattern for mark, pattern in _PATTERNS.items() if mark in marks)
    defined = f"<defs>{patterns}</defs>" if patterns else ""
    head = f'<svg class="bars" viewBox="0 0 {width} {height}" role="{role}" aria-label="{escape(title)}">'
    drawing = Markup(head + f"<title>{escape(title)}</title>" + defined + "".join(lines) + "</svg>")
    at_right = [(TOP + plot - plot * share_of(at, times), TIMES_MS[at]) for at in times]
    readings = [Reading(label=bar.label, total=bar.total, span=bar.span) for bar in bars]
    data = data_of(readings, left=LEFT / width, right=right / width)
    return framed(drawing, levels, at_right, width=width, height=height, look="over-time", data=data)


_PATTERNS = {
    "hatched": '<pattern id="hatched" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="stripe" width="1.6" height="5"/></pattern>',
    "striped": '<pattern id="striped" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect class="stripe" width="1.6" height="6"/></pattern>',
    "dotted": '<pattern id="dotted" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<circle class="stripe" cx="3" cy="3" r="1.5"/></pattern>',
}


def _limit(limit: Limit, y: float, width: int) -> str:
    return (
        f'<line class="limit" x1="{LEFT}" y1="{y:.1f}" x2="{width}" y2="{y:.1f}"/>'
        f'<text class="tick limit-text" x="{width}" y="{y - 4:.1f}" text-anchor="end">{escape(limit.text)}</text>'
    )


def _times_over(over: Sequence[Line]) -> Sequence[int]:
    """Return the scale that the points of lines are drawn on; empty without a point."""
    points = [point for line in over for point in line.points if point is not None]
    return time_scale(min(points), max(points)) if points else ()


def _drawn_over(
    over: Sequence[Line], bars: Sequence[Bar], space: float, plot: int, scale: Sequence[int]
) -> list[str]:  # fmt: skip
    """Return lines over bars, on a scale of times; without a point a line breaks."""
    drawn = []
    for line in over:
        pieces: list[list[tuple[float, float]]] = [[]]
        for place, (bar, point) in enumerate(zip(bars, line.points, strict=True)):
            if point is None:
                pieces.append([])
                continue
            x, y = LEFT + space * (place + 0.5), TOP + plot - plot * share_of(point, scale)
            pieces[-1].append((x, y))
            told = f"{bar.label}{BETWEEN}{line.name}: {duration(point)}"
            drawn.append(
                f'<circle class="{line.look}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{escape(told)}</title></circle>'
            )
        drawn.extend(
            f'<polyline class="{line.look}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in piece)}"/>'
            for piece in pieces
            if len(piece) > 1
        )
    return drawn


def sparkline(values: Sequence[float], *, title: str) -> Markup:
    """Return small bars of a figure over time, as high as the highest allows; `title` says in words what they show."""
    highest, step = max(values, default=0) or 1, SPARK_WIDTH / max(1, len(values))
    drawn = "".join(
        f'<rect x="{place * step:.1f}" y="{SPARK_HEIGHT - height:.1f}" width="{max(1.0, step - 1):.1f}" '
        f'height="{height:.1f}"/>'
        for place, value in enumerate(values)
        if value and (height := max(1.5, SPARK_HEIGHT * value / highest))
    )
    told = escape(title)
    return Markup(
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{told}"><title>{told}</title>{drawn}</svg>'
    )


def _label(text: str, middle: float, width: int, height: int) -> str:
    # A label in the middle of the last bar would reach over the edge.
    x, anchor = (width, "end") if middle + 0.4 * DATE_SPACE > width else (middle, "middle")
    return f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{escape(text)}</text>'


@lru_cache(maxsize=1024)
def _escaped(text: str) -> str:
    """Return text for a chart; each name and each label stands in it many times."""
    return str(escape(text))


def _bar(bar: Bar, x: float, width: float, unit: float, floor: int) -> str:
    drawn = []
    y = float(floor)
    for part in bar.parts:
        height = part.value * unit
        y -= height
        shape = (
            f'<rect class="s{part.slot}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" height="{height:.2f}">'
            f"<title>{_escaped(bar.label)}{BETWEEN}{_escaped(part.told)}: {_escaped(part.text)}</title></rect>"
        )
        mark = "hatched" if part.is_bad else mark_of(part.slot)
        if mark is not None:
            shape += (
                f'<rect class="over" fill="url(#{mark})" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" '
                f'height="{height:.2f}"/>'
            )
        href = part.href or bar.href
        # Out of the order of tabs, since the table below has the same links.
        label = f"{_escaped(bar.label)} {_escaped(part.told)}" if part.href else _escaped(bar.label)
        drawn.append(
            shape if href is None else f'<a href="{_escaped(href)}" tabindex="-1" aria-label="{label}">{shape}</a>'
        )
    return "".join(drawn)


def _told(labels: Sequence[str]) -> Sequence[str]:
    """Return moments as short as they are told apart: days with their year if of several, times with their day."""
    whole = [label for label in labels if len(label) >= 10]
    many_years = len({label[:4] for label in whole}) > 1
    # The hours of the last 24 are of two days, and no time stands there twice.
    many_days = len({label[:10] for label in whole}) > 2
    return [
        (label[5:] if many_days else label[11:]) if len(label) > 10
        else label[5:] if len(label) == 10 and not many_years
        else label
        for label in labels
    ]  # fmt: skip


def dot(slot: int) -> Markup:
    """Return the small square that tells a series by its slot's colour and mark."""
    over = {
        "striped": '<path class="stripe" d="M2.4 0v10h1.7V0zM6 0v10h1.7V0z"/>',
        "dotted": '<circle class="stripe" cx="5" cy="5" r="2.2"/>',
    }.get(mark_of(slot) or "", "")
    return Markup(
        '<svg class="dot" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="s{slot}" width="10" height="10" rx="2"/>{over}</svg>'
    )


def share_bar(share: float, slot: int) -> Markup:
    """Return a small bar that is `share` (0–1) full."""
    filled = max(0.0, min(1.0, share)) * 100
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8" rx="2"/>'
        f'<rect class="s{slot}" width="{filled:.1f}" height="8" rx="2"/>'
        "</svg>"
    )


def span_bars(marks: Sequence[tuple[float, float, bool]], kind: str) -> Markup:
    """Return a row's bars in a waterfall: where each starts and how long it is, as shares (0–1), and what failed."""
    return Markup(
        '<svg class="span" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        + "".join(_mark(start, length, kind, failed=failed) for start, length, failed in marks)
        + "</svg>"
    )


def _mark(start: float, length: float, kind: str, *, failed: bool) -> str:
    x = max(0.0, min(1.0, start)) * 100
    width = max(0.35, min(1.0 - x / 100, length) * 100)
    place = f'x="{min(x, 100 - width):.2f}" y="2" width="{width:.2f}" height="8"'
    hatch = f'<rect class="hatch" {place}/>' if failed else ""
    return f'<rect class="{"failed" if failed else escape(kind)}" {place}/>{hatch}'
