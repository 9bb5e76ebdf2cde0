"""Reading back: the last messages of one session, and the cost overview, in small and in large records."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from agentrecord import Store
from agentrecord.records.usage import UsageBy
from benchmarks.bare import BareSqlite
from benchmarks.common import Figure, Scale, Section, micros, scratch
from benchmarks.turns import prepare, turn_inputs

SESSIONS = 2000
TURNS_A_BATCH = 500
EXPLANATION = """\
Records filled with the rows of whole turns, two messages and a call each. `messages.recent` reads the last 50
messages of one session out of all. The overview reads what the first page shows of costs: the sums by day and by model
of the last 30 days and the counts beside them, from figures that were kept with every write, not from the calls. Times
are medians within the process, over readings of different sessions; `flat` compares the large record with the small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Medians in one record."""

    last_50_s: float
    overview_s: float


def fill(path: Path, turns: int) -> list[UUID]:
    """Fill a record with `turns` turns over its sessions, and return the sessions' ids."""
    sessions = min(SESSIONS, turns // 50)
    store, ids = prepare(str(path), sessions)
    store.close()
    bare = BareSqlite(path, indexed=False)
    # Only while it is filled: how the rows got there is not what is measured.
    bare.driver.execute("PRAGMA synchronous=OFF")
    made = [turn for turn, _ in zip(turn_inputs(), range(TURNS_A_BATCH), strict=False)]
    each = max(1, turns // sessions)
    for start in range(0, turns, each):
        bare.append_many((start // each) % sessions, made[: min(each, turns - start)])
    bare.close()
    return ids


def _median(work: Callable[[int], object], rounds: int) -> float:
    times = []
    for place in range(rounds):
        began = time.perf_counter()
        work(place)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _overview(store: Store) -> None:
    since = datetime.now(UTC) - timedelta(days=30)
    store.usage.report(UsageBy.DAY, since=since)
    store.usage.report(UsageBy.MODEL, since=since)
    store.usage.activity(since=since)


def _read(path: Path, ids: list[UUID], rounds: int) -> Reading:
    with Store(str(path)) as store:
        store.messages.recent(ids[0], limit=50)
        _overview(store)
        return Reading(
            last_50_s=_median(lambda place: store.messages.recent(ids[place * 37 % len(ids)], limit=50), rounds),
            overview_s=_median(lambda place: _overview(store), rounds),
        )


def run(scale: Scale) -> Section:
    """Measure reading."""
    section = Section(title="Reading", explanation=EXPLANATION)
    large, small = scale.of(1_000_000, 50_000), scale.of(10_000, 5_000)
    with scratch() as folder:
        found: list[Reading] = []
        for turns in (small, large):
            path = folder / f"{turns}.db"
            ids = fill(path, turns)
            found.append(_read(path, ids, scale.of(301, 51)))
            section.notes.append(f"{2 * turns:,} messages and {turns:,} calls: {path.stat().st_size / 1e6:,.0f} MB.")
    few, many = found
    for what, name, goal_ms in (
        (f"the last 50 messages of one session among {2 * large:,}", "last_50_s", 1),
        (f"the cost overview over {large:,} calls", "overview_s", 50),
    ):
        ours, base = getattr(many, name), getattr(few, name)
        section.figures += [
            Figure(what=what, ours=micros(ours), baseline="–", result=ours * 1000, unit="ms", goal=goal_ms),
            Figure(what="flat: the same in the small record", ours=micros(ours), baseline=micros(base),
                   result=ours / base, goal=1.5),
        ]  # fmt: skip
    return section
