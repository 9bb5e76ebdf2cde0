"""The command line's budgets: set, listed with how they stand, removed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.store import Store


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.db"
    with Store(str(path)) as store:
        store.llm_calls.record(NewLLMCall(model="m", cost_nanos=4_500_000_000, agent_id="coder"), user="ana")
        store.llm_calls.record(NewLLMCall(model="m", cost_nanos=500_000_000), user="ben")
    return path


def run(record: Path, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(program, ["--db", str(record), "budgets", *words])


def listed(record: Path, *words: str) -> dict[str, dict[str, Any]]:
    told = run(record, *words, "--json")
    assert told.exit_code == 0, told.output
    return {item["budget"]["name"]: item for item in json.loads(told.stdout)["items"]}


def test_budgets_are_listed_with_what_is_spent_of_each(record: Path) -> None:
    assert "No budget is set" in run(record).stderr
    assert run(record, "set", "team", "--limit", "50").exit_code == 0
    assert run(record, "set", "hers", "--limit", "5", "--period", "day", "--user", "ana").exit_code == 0
    assert run(record, "set", "its", "--limit", "4", "--period", "total", "--agent", "coder").exit_code == 0
    found = listed(record)
    assert {name: (one["spent_usd"], one["budget"]["period"]) for name, one in found.items()} == {
        "team": (5, "month"), "hers": (4.5, "day"), "its": (4.5, "total")}  # fmt: skip
    assert (found["hers"]["budget"]["user"], found["its"]["budget"]["agent_id"]) == ("ana", "coder")
    table = run(record, "--table").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["name", "hers", "its", "team"]
    assert table[1].endswith("near")
    assert "90%" in table[1]
    assert table[2].endswith("over")
    assert "agent coder" in table[2]
    assert "the project" in table[3]
    assert set(listed(record, "--user", "ben")) == {"team", "its"}


def test_one_that_is_over_is_warned_of_and_exits_4_where_that_is_asked_for(record: Path) -> None:
    run(record, "set", "small", "--limit", "4")
    told = run(record)
    assert (told.exit_code, "small is over by $1.00" in told.stderr) == (0, True)
    assert run(record, "--fail-if-over").exit_code == 4
    run(record, "set", "small", "--off")
    told = run(record, "--fail-if-over")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "off" in told.stdout


def test_a_budget_is_changed_by_what_is_named_and_the_rest_stays(record: Path) -> None:
    run(record, "set", "hers", "--limit", "5", "--period", "day", "--user", "ana", "--allow-unpriced")
    run(record, "set", "hers", "--limit", "0.000000001")
    budget = listed(record)["hers"]["budget"]
    assert (budget["limit_nanos"], budget["period"], budget["user"], budget["allow_unpriced"]) == (
        1,
        "day",
        "ana",
        True,
    )
    run(record, "set", "hers", "--refuse-unpriced", "--period", "week", "--user", "ana")
    budget = listed(record)["hers"]["budget"]
    assert (budget["limit_nanos"], budget["period"], budget["allow_unpriced"]) == (1, "week", False)
    for other in (("--user", "ben"), ("--agent", "coder")):
        told = run(record, "set", "hers", "--limit", "9", *other)
        assert (told.exit_code, "is of ana" in told.stderr) == (2, True)
    assert listed(record)["hers"]["budget"] == budget


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("set", "new"), 2), (("set", "new", "--limit", "-1"), 2), (("set", "new", "--limit", "0.0000000001"), 2),
        (("set", "new", "--limit", "1", "--period", "year"), 2), (("set", "", "--limit", "1"), 1),
        (("remove", "new"), 1), (("--fail-if-empty",), 3),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_makes_nothing(record: Path, words: tuple[str, ...], code: int) -> None:
    assert run(record, *words).exit_code == code
    assert listed(record) == {}


def test_a_removed_budget_is_gone(record: Path) -> None:
    run(record, "set", "team", "--limit", "50")
    assert run(record, "remove", "team").exit_code == 0
    assert listed(record) == {}
