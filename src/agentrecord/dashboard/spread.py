"""Two spreads on one scale: how many runs of each of two versions cost how much, as pairs of bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import HEIGHT, TOP, WIDTH
from agentrecord.dashboard.readings import BETWEEN, Reading, data_of
from agentrecord.dashboard.scales import BOTTOM, LEFT, framed, scale
from agentrecord.records.comparison import CostSpread

SLOT_A, SLOT_B = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Runs that cost about as much: from where to where, and how many there are of each version, also as shares."""

    label: str
    count_a: int
    count_b: int
    share_a: float | None
    share_b: float | None


def buckets(found: CostSpread) -> list[Bucket]:
    """Return a spread as rows, each with its bounds in words."""
    all_a, all_b = sum(found.counts_a), sum(found.counts_b)
    rows = zip(found.edges_nanos, found.counts_a, found.counts_b, strict=True)
    return [
        Bucket(
            label=_label(found.edges_nanos, place),
            count_a=a,
            count_b=b,
            share_a=a / all_a if all_a else None,
            share_b=b / all_b if all_b else None,
        )
        for place, (_, a, b) in enumerate(rows)
    ]


def _label(edges: Sequence[int], place: int) -> str:
    if place == len(edges) - 1:
        return f"{formats.round_money(edges[place])} and more"
    return f"{formats.round_money(edges[place])} to {formats.round_money(edges[place + 1])}"


def paired_bars(found: CostSpread, *, title: str, a: str, b: str) -> Markup:
    """Return a chart of two spreads, each as shares of its own runs, so that versions of unlike many runs compare."""
    rows = buckets(found)
    plot = HEIGHT - BOTTOM - TOP
    step, top = scale(max(round(1000 * (share or 0)) for row in rows for share in (row.share_a, row.share_b)))
    drawn: list[str] = []
    levels: list[tuple[float, str]] = []
    for value in range(0, top + 1, step):
        y = TOP + plot - plot * value / top
        drawn.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}"/>')
        levels.append((y, f"{value / 10:g} %"))
    space = (WIDTH - LEFT) / len(rows)
    thick = space * 0.38
    for place, row in enumerate(rows):
        left = LEFT + space * (place + 0.5) - thick
        for x, slot, name, share, count in (
            (left, SLOT_A, a, row.share_a, row.count_a), (left + thick, SLOT_B, b, row.share_b, row.count_b),
        ):  # fmt: skip
            height = plot * 1000 * (share or 0) / top
            said = f"{row.label}{BETWEEN}{name}: {formats.counted(count, 'run')}, {formats.percent(share)}"
            drawn.append(
                f'<rect class="s{slot}" x="{x:.1f}" y="{TOP + plot - height:.2f}" width="{thick:.1f}" '
                f'height="{height:.2f}"><title>{escape(said)}</title></rect>'
            )
        if place % 2 == 0:
            drawn.append(
                f'<text class="tick" x="{LEFT + space * place:.1f}" y="{HEIGHT - 6}" '
                f'text-anchor="middle">{formats.round_money(found.edges_nanos[place])}</text>'
            )
    head = f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    drawing = Markup(head + f"<title>{escape(title)}</title>" + "".join(drawn) + "</svg>")
    data = data_of([Reading(label=row.label) for row in rows], left=LEFT / WIDTH, right=1)
    return framed(drawing, levels, width=WIDTH, height=HEIGHT, data=data)
