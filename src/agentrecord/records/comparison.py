"""Two versions of an agent side by side."""

from dataclasses import dataclass
from enum import StrEnum

from agentrecord.records.agent import AgentVersion

FEW_RUNS = 30
"""With fewer runs than this on either side a difference says little."""


class Unit(StrEnum):
    """What a measure is counted in."""

    SHARE = "share"
    DOLLARS = "usd"
    TOKENS = "tokens"
    CALLS = "calls"
    MILLISECONDS = "ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of both versions: `n_a` and `n_b` runs told it, `delta` is b less a, between `low` and `high`.

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
        """Say whether either side has too few runs for the difference to say much."""
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
class VersionComparison:
    """Two versions of an agent, over the latest `runs_a` and `runs_b` runs of each (at most 10,000)."""

    agent_id: str
    a: AgentVersion
    b: AgentVersion
    runs_a: int
    runs_b: int
    measures: tuple[Measure, ...]
    models: tuple[ModelMix, ...]
