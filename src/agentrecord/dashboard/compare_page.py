"""The page that holds two runs side by side: figures, models, tools, phases, texts, and waterfalls on one axis."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agentrecord.dashboard import formats
from agentrecord.dashboard.filters import Asked
from agentrecord.dashboard.line_diff import TextDiff, diff
from agentrecord.dashboard.run_rows import Axis, Row, View, axis_of, waterfall
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.run import Run
from agentrecord.records.run_comparison import ComparedPart, RunComparison, SpanSums, compared
from agentrecord.records.run_tree import RunTree
from agentrecord.store import AsyncStore

COMPARE_FILTERS = ("a", "b")
MOST_ROWS = 60
CANDIDATES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of both runs, in words, and by how much the second differs; None where that cannot be said."""

    name: str
    a: str
    b: str
    delta: str | None
    is_worse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """A model, a tool or a phase with its figures in both runs."""

    name: str
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSide:
    """A run's waterfall, on the axis that both share; `hidden` more rows are on its own page."""

    run: Run
    rows: Sequence[Row]
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """Two runs side by side, or one and what it could be compared with."""

    a: Run
    candidates: Sequence[Run] = ()
    found: RunComparison | None = None
    figures: Sequence[Figure] = ()
    parts: Sequence[tuple[str, Sequence[PartRow]]] = ()
    texts: Sequence[TextDiff] = ()
    sides: Sequence[ShownSide] = ()
    ticks: Sequence[str] = ()


async def compare_page(store: AsyncStore, asked: Asked, now: datetime) -> ComparePage:
    """Return the runs `a` and `b` side by side; without `b`, the runs that `a` could be compared with."""
    if "a" not in asked:
        raise InvalidFilter("a", "", "must name a run: a run's page leads here")
    a = await store.runs.get(asked["a"], with_subtree=True)
    if "b" not in asked:
        return ComparePage(a=a, candidates=await store.runs.alike(a.id, limit=CANDIDATES))
    b = await store.runs.get(asked["b"], with_subtree=True)
    trees = [await store.pages.run_tree(run.id) for run in (a, b)]
    found = compared(a, trees[0], b, trees[1])
    sides, axis = _sides(((a, trees[0]), (b, trees[1])), now)
    kinds = (("Models", found.models), ("Tools", found.tools), ("Phases", found.phases))
    return ComparePage(
        a=a,
        found=found,
        figures=list(_figures(found)),
        parts=[(name, [_part(part, name != "Tools") for part in parts]) for name, parts in kinds if parts],
        texts=[
            diff("Input", a.objective, b.objective),
            diff("Output", a.final_synthesis_output, b.final_synthesis_output),
        ],
        sides=sides,
        ticks=axis.ticks(),
    )


def _sides(runs: Sequence[tuple[Run, RunTree]], now: datetime) -> tuple[list[ShownSide], Axis]:
    """Return both waterfalls on an axis as long as the longer of them."""
    axes = [axis_of(tree.spans, now) for _, tree in runs]
    longest = max(axis.length_s for axis in axes)
    sides = []
    for (run, tree), own in zip(runs, axes, strict=True):
        fall = waterfall(tree, View(is_apart=True), now, replace(own, length_s=longest))
        rows = [fall.row(item) for item in fall.items[:MOST_ROWS]]
        sides.append(ShownSide(run=run, rows=rows, hidden=len(fall.items) - len(rows) + tree.hidden))
    return sides, replace(axes[0], length_s=longest)


Write = Callable[[int | None], str]


def _figure(name: str, a: int | None, b: int | None, write: Write, *, with_share: bool = True) -> Figure:
    if a is None or b is None:
        return Figure(name=name, a=write(a), b=write(b), delta=None)
    change = b - a
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    said = f"{sign}{write(abs(change))}" if change else "±0"
    if change and a and with_share:
        said += f" ({'+' if change > 0 else '−'}{formats.percent(abs(change), a)})"
    return Figure(name=name, a=write(a), b=write(b), delta=said, is_worse=change > 0)


def _figures(found: RunComparison) -> Iterator[Figure]:
    a, b = found.sums_a, found.sums_b
    yield _figure("Duration", a.duration_ms, b.duration_ms, formats.duration)
    whole_a, whole_b = (run.subtree or run.usage for run in (found.a, found.b))
    costs = [None if usage.calls == usage.unpriced_calls else usage.cost_nanos for usage in (whole_a, whole_b)]
    cost = _figure("Cost", costs[0], costs[1], formats.money)
    yield replace(cost, a=formats.cost(whole_a), b=formats.cost(whole_b))
    told = [usage.total_tokens or usage.uncounted_calls < usage.calls for usage in (whole_a, whole_b)]
    tokens = [usage.total_tokens if is_told else None for usage, is_told in zip((whole_a, whole_b), told, strict=True)]
    yield _figure("Tokens", tokens[0], tokens[1], formats.number)
    yield _figure("LLM calls", whole_a.calls, whole_b.calls, formats.number)
    yield _figure("Tool calls", a.tools.count, b.tools.count, formats.number)
    yield _figure("Runs below", a.runs - 1, b.runs - 1, formats.number)
    yield _figure("Failed calls", a.errors, b.errors, formats.number)


def _cost(sums: SpanSums) -> str:
    return "no price" if sums.cost_nanos is None and sums.unpriced_calls else formats.money(sums.cost_nanos)


def _part(part: ComparedPart, has_tokens: bool) -> PartRow:
    a, b = part.a or SpanSums(), part.b or SpanSums()
    figures = [
        _figure("times", a.count, b.count, formats.number, with_share=False),
        _figure("failed", a.failed, b.failed, formats.number, with_share=False),
        _figure("duration", a.duration_ms, b.duration_ms, formats.duration, with_share=False),
    ]
    if has_tokens:
        figures.append(_figure("tokens", a.tokens, b.tokens, formats.number, with_share=False))
        cost = _figure("cost", a.cost_nanos, b.cost_nanos, formats.money, with_share=False)
        figures.append(replace(cost, a=_cost(a), b=_cost(b)))
    return PartRow(name=part.name, figures=figures)
