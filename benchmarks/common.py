"""What all benchmarks share: interleaved repetitions, ratios of pairs, figures with their goals."""

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one unit of work took: by the clock, and of this process's CPU."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured result beside its goal; `at_least` where more is better."""

    what: str
    ours: str
    baseline: str
    result: float
    unit: str = "×"
    goal: float | None = None
    at_least: bool = False
    cpu_ratio: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.result >= self.goal if self.at_least else self.result <= self.goal

    @property
    def goal_text(self) -> str:
        """The goal in words."""
        if self.goal is None:
            return "–"
        return f"{'≥' if self.at_least else '≤'} {self.goal:g} {self.unit}"

    @property
    def verdict(self) -> str:
        """Whether the goal is reached, in a word."""
        return {True: "met", False: "**missed**", None: "–"}[self.is_met]


@dataclass(slots=True, kw_only=True)
class Section:
    """The figures of one benchmark, and what has to be known to read them."""

    title: str
    explanation: str
    causes: str = ""
    """Why goals of this section are missed, where they are."""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much to do: the full counts, or small ones for a quick look."""

    quick: bool

    def of(self, full: int, quick: int) -> int:
        """Return the count for this run."""
        return quick if self.quick else full


def timed(work: Callable[[], object], count: int = 1) -> Cost:
    """Run `work`, which does `count` units, and return what one of them took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(wall_s=(time.perf_counter() - wall) / count, cpu_s=(time.process_time() - cpu) / count)


class Samples:
    """Repetitions of several variants, taken in turn so that a slow moment of the machine meets them all."""

    def __init__(self) -> None:
        """Start without any."""
        self._costs: dict[str, list[Cost]] = {}

    def take(self, variants: Mapping[str, Callable[[], Cost]], rounds: int) -> "Samples":
        """Run every variant `rounds` times, each round in the other order than the one before."""
        names = list(variants)
        for turn in range(rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                self._costs.setdefault(name, []).append(variants[name]())
        return self

    def wall(self, name: str) -> float:
        """Return a variant's median wall time in seconds."""
        return statistics.median(cost.wall_s for cost in self._costs[name])

    def ratio(self, name: str, base: str) -> float:
        """Return the median of the wall times' ratios within each round."""
        pairs = zip(self._costs[name], self._costs[base], strict=True)
        return statistics.median(one.wall_s / other.wall_s for one, other in pairs)

    def cpu_ratio(self, name: str, base: str) -> float:
        """Return the median of the CPU times' ratios within each round."""
        pairs = zip(self._costs[name], self._costs[base], strict=True)
        return statistics.median(one.cpu_s / max(other.cpu_s, 1e-9) for one, other in pairs)

    def figure(self, what: str, name: str, base: str, *, goal: float | None = None) -> Figure:
        """Return a variant against another: how many times as long it takes."""
        return Figure(
            what=what,
            ours=micros(self.wall(name)),
            baseline=micros(self.wall(base)),
            result=self.ratio(name, base),
            goal=goal,
            cpu_ratio=self.cpu_ratio(name, base),
        )

    def gain(self, what: str, name: str, base: str, *, goal: float | None = None) -> Figure:
        """Return a variant against another: how many times as much it does in the same time."""
        return Figure(
            what=what,
            ours=f"{1 / self.wall(name):,.0f}/s",
            baseline=f"{1 / self.wall(base):,.0f}/s",
            result=1 / self.ratio(name, base),
            goal=goal,
            at_least=True,
            cpu_ratio=self.cpu_ratio(name, base),
        )


def micros(seconds: float) -> str:
    """Return a duration in the unit that reads best."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment for programs that are measured: with bytecode kept, as an installation has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **more}


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is gone afterwards; `AGENTRECORD_BENCH_DIR` says on which disk."""
    with tempfile.TemporaryDirectory(prefix="agentrecord-bench-", dir=os.environ.get("AGENTRECORD_BENCH_DIR")) as name:
        yield Path(name)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def versions() -> str:
    """Return what was measured with, in one line."""
    packages = ("sqlalchemy", "psycopg", "msgspec", "genai-prices", "uuid-utils")
    parts = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    parts += [f"{package} {_installed(package)}" for package in packages]
    parts.append(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    return ", ".join(parts)


def table(figures: Sequence[Figure]) -> list[str]:
    """Return figures as the lines of a Markdown table."""
    lines = ["| what | ours | baseline | result | CPU | goal | |", "|---|---|---|---|---|---|---|"]
    for f in figures:
        cpu = "–" if f.cpu_ratio is None else f"{f.cpu_ratio:.2f} ×"
        result = f"{f.result:,.2f} {f.unit}"
        lines.append(f"| {f.what} | {f.ours} | {f.baseline} | {result} | {cpu} | {f.goal_text} | {f.verdict} |")
    return lines
