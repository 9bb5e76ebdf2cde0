"""The benchmarks' bare side is only a baseline if it writes what the record writes."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.bare import BareSqlite
from benchmarks.common import Cost, Figure, Samples
from benchmarks.many_calls import CALLS_A_RUN, MODELS, RUNS_A_SESSION, USERS, fill
from benchmarks.turns import append, prepare, turn_inputs

from agentrecord import Store
from agentrecord.records.usage import UsageBy

TABLES = (
    "ar_sessions", "ar_messages", "ar_llm_calls", "ar_usage_hours", "ar_usage_days", "ar_activity_days",
    "ar_latency_days", "ar_search",
)  # fmt: skip


def contents(path: Path, table: str) -> list[str]:
    """Return a table's rows without ids and instants, in no order."""
    driver = sqlite3.connect(path)
    driver.row_factory = sqlite3.Row
    found = [
        {name: "id" if isinstance(value, bytes) else value for name, value in dict(row).items() if name[-3:] != "_at"}
        for row in driver.execute(f"SELECT * FROM {table}")
    ]
    driver.close()
    return sorted(str({name: value for name, value in row.items() if name != "timestamp"}) for row in found)


def test_the_baseline_writes_the_rows_that_the_record_writes(tmp_path: Path) -> None:
    store, ids = prepare(str(tmp_path / "ours.db"), 3)
    prepare(str(tmp_path / "bare.db"), 3)[0].close()
    bare = BareSqlite(tmp_path / "bare.db", indexed=True)
    for place, (one, same) in enumerate(zip(turn_inputs(), turn_inputs(), strict=True)):
        append(store, ids[place % 3], one, indexed=True)
        bare.append(place % 3, same)
        if place == 8:
            break
    bare.append_many(1, [next(turn_inputs())] * 5)
    for _ in range(5):
        append(store, ids[1], next(turn_inputs()), indexed=True)
    store.close()
    bare.close()
    for table in TABLES:
        assert contents(tmp_path / "ours.db", table) == contents(tmp_path / "bare.db", table), table
    with Store(str(tmp_path / "bare.db")) as opened:
        assert not opened.usage.recount()
        assert opened.messages.search("please").items


def test_the_record_of_many_calls_has_exact_figures(tmp_path: Path) -> None:
    filled = fill(tmp_path / "many.db", 500, datetime(2026, 3, 2, 12, tzinfo=UTC))
    with Store(str(tmp_path / "many.db")) as store:
        assert store.usage.recount() == ()
        assert store.usage.report(UsageBy.TOTAL).total.calls == 500 + USERS * len(MODELS)
        assert store.sessions.get(filled.session).usage.calls == CALLS_A_RUN * RUNS_A_SESSION
        assert store.runs.get(filled.run).usage.calls == CALLS_A_RUN
        assert store.users.find(filled.user) is not None
        assert filled.agent in [agent.agent_id for agent in store.agents.list()]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    walls = {"ours": iter([2.0, 30.0, 8.0]), "bare": iter([1.0, 10.0, 2.0])}
    samples = Samples().take(
        {name: (lambda name=name: Cost(wall_s=next(walls[name]), cpu_s=1.0)) for name in walls}, rounds=3
    )
    assert samples.ratio("ours", "bare") == pytest.approx(3.0)
    assert samples.wall("ours") == pytest.approx(8.0)


def test_a_goal_is_met_on_its_own_side() -> None:
    def figure(result: float, *, at_least: bool) -> Figure:
        return Figure(what="x", ours="", baseline="", result=result, goal=2, at_least=at_least)

    assert [figure(1, at_least=False).is_met, figure(3, at_least=False).is_met] == [True, False]
    assert [figure(1, at_least=True).is_met, figure(3, at_least=True).is_met] == [False, True]
