"""The page that holds two versions of an agent side by side: measures, costs, instructions, tools, the same inputs."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any  # `Any`: what is told of a version is plain JSON

from markupsafe import Markup

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import series_slots
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.line_diff import TextDiff, diff
from agentrecord.dashboard.listing import completion_of
from agentrecord.dashboard.portraits import days_of
from agentrecord.dashboard.spread import Bucket, buckets, paired_bars
from agentrecord.records.agent import AgentDetails, AgentVersion
from agentrecord.records.comparison import Measure, NamedUse, RunPair, Unit, VersionComparison
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageBy
from agentrecord.store import AsyncStore
from agentrecord.store.words import RUN_WORDS

TEXTS = ("prompt", "system_prompt", "instructions")
"""Members of what a version says of itself that are texts of their own, to be compared line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRow:
    """A measure in words: both sides, the difference and its interval; `look` says how it is to be taken."""

    measure: Measure
    a: str
    b: str
    delta: str
    interval: str
    look: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """An input that both versions met, how each of their runs ended, and by how much the cost differs, in words."""

    pair: RunPair
    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """Two versions of an agent side by side; `found` is None where the agent has no two.

    `spread` is None where no run of either has a price. `texts` are what the versions were told, and what is told of
    them, line by line.
    """

    details: AgentDetails
    found: VersionComparison | None
    rows: Sequence[MeasureRow]
    slots: Mapping[str, int]
    stretch: Range
    completion: str = ""
    spread: Markup | None = None
    buckets: Sequence[Bucket] = ()
    texts: Sequence[TextDiff] = ()
    pairs: Sequence[PairRow] = ()

    @property
    def tools(self) -> Sequence[NamedUse]:
        """The tools that either used."""
        return () if self.found is None else self.found.tools

    @property
    def errors(self) -> Sequence[NamedUse]:
        """The errors with which runs of either ended."""
        return () if self.found is None else self.found.errors


async def compare(store: AsyncStore, name: str, asked: Asked, now: datetime) -> ComparePage:
    """Return two versions of an agent side by side, the last two unless the address names others."""
    stretch = days_of(asked, now)
    details, names = await asyncio.gather(store.agents.details(name), store.usage.names(UsageBy.MODEL))
    found = None
    if len(details.versions) > 1:
        found = await store.agents.compare(
            details.figures.agent.agent_id, asked.get("a"), asked.get("b"), since=stretch.since, until=stretch.until,
            query=asked.get("q"),
        )  # fmt: skip
    base = ComparePage(
        details=details, found=found, rows=(), slots=series_slots(names), stretch=stretch,
        completion=completion_of(RUN_WORDS),
    )  # fmt: skip
    return base if found is None else _filled(base, found)


def _filled(page: ComparePage, found: VersionComparison) -> ComparePage:
    a, b = found.a.version_number, found.b.version_number
    title = f"Runs of {a} and of {b} by what they cost, as shares of each"
    has_costs = any((*found.costs.counts_a, *found.costs.counts_b))
    return replace(
        page,
        rows=[_row(measure) for measure in found.measures],
        spread=paired_bars(found.costs, title=title, a=a, b=b) if has_costs else None,
        buckets=buckets(found.costs),
        texts=[diff("Instructions in their calls", found.prompt_a, found.prompt_b), *_told(found.a, found.b)],
        pairs=[PairRow(pair=pair, delta=_cost_delta(pair)) for pair in found.pairs],
    )


def _told(a: AgentVersion, b: AgentVersion) -> Iterator[TextDiff]:
    """Yield what is told of both versions: long texts each on their own, the rest as one."""
    old, new = _members(a.changes), _members(b.changes)
    for name in sorted({*old, *new}):
        texts = [told.pop(name, None) for told in (old, new)] if _is_text(name, old, new) else None
        if texts is not None:
            yield diff(f"“{name}”, as recorded with the versions", *texts)
    yield diff("Recorded with the versions", _written(old), _written(new))


def _members(changes: str | None) -> dict[str, Any]:
    """Return what a version tells of itself by name; what is no JSON object has one name, `changes`."""
    if changes is None:
        return {}
    told = json.loads(changes)
    return dict(told) if isinstance(told, dict) else {"changes": told}


def _is_text(name: str, *sides: Mapping[str, Any]) -> bool:
    told = [side[name] for side in sides if name in side]
    return all(isinstance(one, str) for one in told) and (name in TEXTS or any("\n" in one for one in told))


def _written(told: Mapping[str, Any]) -> str | None:
    return json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) if told else None


def _cost_delta(pair: RunPair) -> str:
    sides = (pair.a.usage, pair.b.usage)
    if any(usage.calls == usage.unpriced_calls for usage in sides):
        return formats.UNKNOWN
    change = pair.b.usage.cost_nanos - pair.a.usage.cost_nanos
    share = f" ({formats.percent(abs(change), pair.a.usage.cost_nanos)})" if pair.a.usage.cost_nanos and change else ""
    return f"{formats.signed_money(change)}{share}"


def _row(measure: Measure) -> MeasureRow:
    interval = formats.UNKNOWN
    if measure.low is not None and measure.high is not None:
        interval = f"{signed(measure.low, measure.unit)} to {signed(measure.high, measure.unit)}"
    look = "muted" if measure.has_few_runs else ""
    if measure.is_clear and measure.unit is not Unit.CALLS:
        # More of everything is worse, but for what people thought of it.
        is_better = ((measure.delta or 0) > 0) == (measure.unit is Unit.SCORE)
        look = "ok" if is_better else "bad"
    return MeasureRow(
        measure=measure,
        a=written(measure.a, measure.unit),
        b=written(measure.b, measure.unit),
        delta=formats.UNKNOWN if measure.delta is None else signed(measure.delta, measure.unit),
        interval=interval,
        look=look,
    )


def written(value: float | None, unit: Unit) -> str:
    """Return a measure's value in words."""
    if value is None:
        return formats.UNKNOWN
    match unit:
        case Unit.SHARE:
            return f"{100 * value:.1f} %"
        case Unit.DOLLARS:
            return formats.money(round(value * NANOS_PER_DOLLAR))
        case Unit.MILLISECONDS:
            return formats.duration(value)
        case Unit.TOKENS:
            return f"{value:,.0f}"
        case Unit.CALLS:
            return f"{value:,.1f}"
        case Unit.SCORE:
            return f"{value:,.2f}"


def signed(value: float, unit: Unit) -> str:
    """Return a difference of a measure in words, with its direction."""
    told, none = (f"{100 * size:.1f} points" if unit is Unit.SHARE else written(size, unit) for size in (abs(value), 0))
    # What is nothing as it is written has no direction either.
    return ("±" if told == none else "+" if value > 0 else "−") + told
