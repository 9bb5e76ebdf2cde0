"""Two runs side by side: what each came to, and the same by model, by tool and by phase."""

from collections.abc import Iterable
from dataclasses import dataclass

from agentrecord.records.run import Run
from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanSums:
    """How many pieces there were of one kind, how many failed, and their sums; None where nothing is known.

    `cost_nanos` leaves out the `unpriced_calls`; `duration_ms` adds up pieces that went on at once.
    """

    count: int = 0
    failed: int = 0
    duration_ms: int | None = None
    tokens: int | None = None
    cost_nanos: int | None = None
    unpriced_calls: int = 0

    def plus(self, span: RunSpan) -> "SpanSums":
        """Return these sums and a piece's."""
        return SpanSums(
            count=self.count + 1,
            failed=self.failed + span.is_failed,
            duration_ms=_sum(self.duration_ms, span.duration_ms),
            tokens=_sum(self.tokens, span.tokens),
            cost_nanos=_sum(self.cost_nanos, span.cost_nanos),
            unpriced_calls=self.unpriced_calls + span.unpriced_calls,
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPart:
    """What one model, tool or phase came to in each of two runs; None where a run has none of it."""

    name: str
    a: SpanSums | None = None
    b: SpanSums | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSums:
    """What a run and all below it came to; `duration_ms` is from its start to its end."""

    duration_ms: int | None
    runs: int
    calls: SpanSums
    tools: SpanSums

    @property
    def errors(self) -> int:
        """Calls and uses of tools that failed."""
        return self.calls.failed + self.tools.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Two runs, with all below them, side by side."""

    a: Run
    b: Run
    sums_a: ComparedSums
    sums_b: ComparedSums
    models: tuple[ComparedPart, ...]
    tools: tuple[ComparedPart, ...]
    phases: tuple[ComparedPart, ...]


def compared(a: Run, tree_a: RunTree, b: Run, tree_b: RunTree) -> RunComparison:
    """Return two runs side by side, from their trees."""
    return RunComparison(
        a=a,
        b=b,
        sums_a=_run_sums(a, tree_a),
        sums_b=_run_sums(b, tree_b),
        models=_parts(tree_a, tree_b, SpanKind.LLM),
        tools=_parts(tree_a, tree_b, SpanKind.TOOL),
        phases=_parts(tree_a, tree_b, SpanKind.PHASE),
    )


def _run_sums(run: Run, tree: RunTree) -> ComparedSums:
    return ComparedSums(
        duration_ms=run.duration_ms,
        runs=sum(span.kind is SpanKind.RUN for span in tree.spans),
        calls=_all(span for span in tree.spans if span.kind is SpanKind.LLM),
        tools=_all(span for span in tree.spans if span.kind is SpanKind.TOOL),
    )


def _all(spans: Iterable[RunSpan]) -> SpanSums:
    sums = SpanSums()
    for span in spans:
        sums = sums.plus(span)
    return sums


def _parts(tree_a: RunTree, tree_b: RunTree, kind: SpanKind) -> tuple[ComparedPart, ...]:
    """Return both runs' sums by name, the costliest and then the longest first."""
    a, b = _by_name(tree_a, kind), _by_name(tree_b, kind)
    parts = [ComparedPart(name=name, a=a.get(name), b=b.get(name)) for name in {**a, **b}]
    return tuple(sorted(parts, key=lambda part: (-_most(part, "cost_nanos"), -_most(part, "duration_ms"), part.name)))


def _by_name(tree: RunTree, kind: SpanKind) -> dict[str, SpanSums]:
    found: dict[str, SpanSums] = {}
    for span in tree.spans:
        if span.kind is kind:
            # Iterations are counted, so that each would have a name of its own.
            name = span.name.rstrip("0123456789").rstrip() or span.name if kind is SpanKind.PHASE else span.name
            found[name] = found.get(name, SpanSums()).plus(span)
    return found


def _most(part: ComparedPart, figure: str) -> int:
    return max(getattr(side, figure) or 0 for side in (part.a, part.b) if side is not None)
