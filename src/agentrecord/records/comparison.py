"""Two versions of an agent side by side."""

from dataclasses import dataclass
from enum import StrEnum

from agentrecord.records.agent import AgentVersion
from agentrecord.records.run import Run

FEW_RUNS = 30
"""With fewer runs than this on either side a difference says little."""


class Unit(StrEnum):
    """What a measure is counted in."""

    SHARE = "share"
    DOLLARS = "usd"
    TOKENS = "tokens"
    CALLS = "calls"
    MILLISECONDS = "ms"
    SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of both versions: `n_a` and `n_b` runs told it, `delta` is b less a, between `low` and `high`.

    A score is told by sessions instead, each of them once.

    The interval holds the true difference in 95 of 100 cases: Newcombe's hybrid of two Wilson intervals for shares,
    Welch's for means. It is None where there is none: for percentiles, and with fewer than two runs on a side.
    """

    name: str
    unit: Unit
    a: float | None = None
    b: float | None = None
    n_a: int = 0
    n_b: int = 0
    delta: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def has_few_runs(self) -> bool:
        """Say whether either side has too few runs, or sessions, for the difference to say much."""
        return min(self.n_a, self.n_b) < FEW_RUNS

    @property
    def is_clear(self) -> bool:
        """Say whether the interval leaves no doubt that there is a difference, on enough runs."""
        return self.low is not None and self.high is not None and not self.has_few_runs and self.low * self.high > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMix:
    """How many calls to a model the runs of each version made, as a share of all their calls; None without calls."""

    model: str
    calls_a: int
    calls_b: int
    share_a: float | None
    share_b: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedUse:
    """How often something was met in the runs of each version: a tool that was used, an error that ended runs."""

    name: str
    count_a: int
    count_b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSpread:
    """How many runs of each version cost how much; only those whose calls all have a price are counted.

    `edges_nanos` are the lower bounds of the buckets, which are equally wide; the last holds whatever cost more, too.
    """

    edges_nanos: tuple[int, ...] = ()
    counts_a: tuple[int, ...] = ()
    counts_b: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPair:
    """The latest run of each version on the same input."""

    objective: str
    a: Run
    b: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionComparison:
    """Two versions of an agent, over the latest `runs_a` and `runs_b` runs of each (at most 10,000).

    `prompt_a` and `prompt_b` are the instructions that the latest call of each was given; None where none was kept.
    `tools` and `errors` (at most 20 each) are told with those first whose counts differ most. `pairs` are inputs that
    both versions met, among the latest 1,000 runs of each, on which they ended differently or whose cost differs by a
    tenth or more: at most ten, the former first. `paired` counts the inputs that both met.
    """

    agent_id: str
    a: AgentVersion
    b: AgentVersion
    runs_a: int
    runs_b: int
    measures: tuple[Measure, ...]
    models: tuple[ModelMix, ...]
    prompt_a: str | None = None
    prompt_b: str | None = None
    tools: tuple[NamedUse, ...] = ()
    errors: tuple[NamedUse, ...] = ()
    costs: CostSpread = CostSpread()
    pairs: tuple[RunPair, ...] = ()
    paired: int = 0
