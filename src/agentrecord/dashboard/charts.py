"""Charts as SVG text, drawn on the server: no script, printable, every number in a title and a table."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from markupsafe import Markup, escape

from agentrecord.records.price import ModelUse
from agentrecord.records.usage import UsageBy, UsageRow

SLOTS = 6
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 230, 58, 24, 10
WIDE = 1240
LABEL_SPACE = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a bar: its series, the colour slot, what it measures, and that in words."""

    series: str
    slot: int
    value: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar: a moment or a name, and its parts from below."""

    label: str
    parts: tuple[Part, ...] = ()

    @property
    def value(self) -> int:
        """The whole bar's height."""
        return sum(part.value for part in self.parts)


def series_slots(uses: Iterable[ModelUse]) -> dict[str, int]:
    """Return each model's colour slot: first used, first served, so that it never changes; later ones share grey."""
    slots: dict[str, int] = {}
    for use in sorted(uses, key=lambda use: (use.first_at, use.model)):
        slots.setdefault(use.model, min(len(slots), SLOTS))
    return slots


def bars_of(
    rows: Sequence[UsageRow], slots: Mapping[str, int], by: UsageBy, *, measure: Callable[[UsageRow], int],
    text: Callable[[int], str],
) -> tuple[Bar, ...]:  # fmt: skip
    """Return a bar for each period from the first to the last, those without calls included."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        parts = found.setdefault(row.key, {})
        parts[row.split or row.label] = parts.get(row.split or row.label, 0) + measure(row)
    bars = []
    for label in _filled(sorted(found), by):
        ordered = sorted(found.get(label, {}).items(), key=lambda item: (slots.get(item[0], SLOTS), item[0]))
        parts_of_bar = [
            Part(series=name, slot=slots.get(name, SLOTS), value=value, text=text(value))
            for name, value in ordered
            if value
        ]
        bars.append(Bar(label=label, parts=tuple(parts_of_bar)))
    return tuple(bars)


def _filled(labels: Sequence[str], by: UsageBy) -> Sequence[str]:
    if not labels or by is UsageBy.MONTH:
        return labels
    if by is UsageBy.HOUR:
        start, end = (datetime.fromisoformat(label) for label in (labels[0], labels[-1]))
        hours = int((end - start).total_seconds() // 3600)
        return [(start + timedelta(hours=n)).strftime("%Y-%m-%d %H:%M") for n in range(hours + 1)]
    step = 7 if by is UsageBy.WEEK else 1
    first, last = date.fromisoformat(labels[0]), date.fromisoformat(labels[-1])
    return [(first + timedelta(days=n)).isoformat() for n in range(0, (last - first).days + 1, step)]


def scale(highest: int) -> tuple[int, int]:
    """Return the step between grid lines and the top of the scale: at most five lines, at round numbers."""
    if highest <= 0:
        return 1, 1
    rough = highest / 4
    power = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = next(int(power * factor) for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough and power * factor >= 1)
    return step, step * math.ceil(highest / step)


def stacked_bars(bars: Sequence[Bar], *, title: str, tick: Callable[[int], str], width: int = WIDTH) -> Markup:
    """Return a chart of stacked bars."""
    if not bars:
        return Markup("")
    step, top = scale(max(bar.value for bar in bars))
    plot = HEIGHT - BOTTOM - TOP
    lines = []
    for value in range(0, top + 1, step):
        y = TOP + plot - plot * value / top
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{width}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(tick(value))}</text>'
        )
    space = (width - LEFT) / len(bars)
    thick = max(1.0, min(72.0, space * 0.78))
    every = math.ceil(LABEL_SPACE / space)
    for place, bar in enumerate(bars):
        middle = LEFT + space * (place + 0.5)
        lines.append(_bar(bar, middle - thick / 2, thick, plot / top))
        if place % every == 0:
            lines.append(_label(bar.label, middle, width))
    head = f'<svg class="bars w{width}" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Markup(head + f"<title>{escape(title)}</title>" + "".join(lines) + "</svg>")


def _label(label: str, middle: float, width: int) -> str:
    # A label in the middle of the last bar would reach over the edge.
    x, anchor = (width, "end") if middle + LABEL_SPACE / 3 > width else (middle, "middle")
    return f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{_short(label)}</text>'


def _bar(bar: Bar, x: float, width: float, unit: float) -> str:
    drawn, floor = [], HEIGHT - BOTTOM
    y = float(floor)
    for part in bar.parts:
        height = part.value * unit
        y -= height
        drawn.append(
            f'<rect class="s{part.slot}" x="{x:.1f}" y="{y:.2f}" width="{width:.1f}" height="{height:.2f}">'
            f"<title>{escape(bar.label)} · {escape(part.series)}: {escape(part.text)}</title></rect>"
        )
    return "".join(drawn)


def _short(label: str) -> str:
    return str(escape(label[11:] if len(label) > 10 else label[5:] if len(label) == 10 else label))


def share_bar(share: float, slot: int) -> Markup:
    """Return a small bar that is `share` (0–1) full."""
    filled = max(0.0, min(1.0, share)) * 100
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8" rx="2"/>'
        f'<rect class="s{slot}" width="{filled:.1f}" height="8" rx="2"/>'
        "</svg>"
    )


def span_bar(start: float, length: float, kind: str, *, failed: bool) -> Markup:
    """Return a row's bar in a waterfall: where it starts and how long it is, as shares (0–1) of the whole."""
    x = max(0.0, min(1.0, start)) * 100
    width = max(0.35, min(1.0 - x / 100, length) * 100)
    x = min(x, 100 - width)
    fill = "failed" if failed else escape(kind)
    mark = f'<rect class="hatch" x="{x:.2f}" width="{width:.2f}" y="2" height="8"/>' if failed else ""
    return Markup(
        '<svg class="span" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{fill}" x="{x:.2f}" y="2" width="{width:.2f}" height="8"/>{mark}</svg>'
    )
