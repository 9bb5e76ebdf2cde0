"""How much went on: runs by how they ended, who was active, and how long runs took."""

from dataclasses import dataclass

TIMED_RUNS = 2_000
"""Of how many runs of a stretch of time, the last ones, the percentile of `Activity` is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """One period: the runs that began in it, by how they ended, and how many users with a name were active.

    `users` is None for months, whose users are not counted apart.
    """

    key: str
    runs: int = 0
    completed_runs: int = 0
    failed_runs: int = 0
    users: int | None = None

    @property
    def other_runs(self) -> int:
        """Runs that go on, wait or were cancelled."""
        return self.runs - self.completed_runs - self.failed_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A stretch of time: its periods and their sums; sessions count where they were last active.

    `run_p95_ms` is exact over the `timed_runs` last runs that ended, at most `TIMED_RUNS`; None without any.
    `failed_nanos` is what failed calls cost.
    """

    rows: tuple[ActivityRow, ...]
    runs: int = 0
    completed_runs: int = 0
    failed_runs: int = 0
    users: int = 0
    sessions: int = 0
    run_p95_ms: float | None = None
    timed_runs: int = 0
    failed_nanos: int = 0

    @property
    def failed_share(self) -> float | None:
        """Failed runs as a share of those that completed or failed, 0–1; None before any did."""
        ended = self.completed_runs + self.failed_runs
        return self.failed_runs / ended if ended else None
