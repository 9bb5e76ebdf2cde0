"""The command line's agents, users and errors: listed, shown, compared, resolved."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store

LONG_AGO = datetime.now(UTC) - timedelta(days=40)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.db"
    with Store(str(path)) as store:
        for number, at in enumerate((LONG_AGO, datetime.now(UTC))):
            version = store.agents.create_version("coder", f"1.{number}")
            new = NewRun(run_id=f"r{number}", agent_id="coder", agent_version_uuid=version.id, started_at=at)
            run = store.runs.start(new, user="ana").id
            store.llm_calls.record(NewLLMCall(model="m", run_uuid=run, cost_nanos=2_000_000_000, timestamp=at))
            tool = store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=run, started_at=at))
            store.tool_calls.finish(tool.id, error_message="no")
            store.errors.record(NewError(error_type="Timeout", error_message=f"after {number} s", run_uuid=run,
                                         created_at=at, stack_trace="Traceback: here"))  # fmt: skip
            store.runs.fail(run, "it broke") if number else store.runs.finish(run)
    return path


def run(record: Path, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(program, ["--db", str(record), *words])


def read(record: Path, *words: str) -> Any:
    told = run(record, *words, "--json")
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_agents_are_listed_shown_and_compared(record: Path) -> None:
    (coder,) = read(record, "agents")["items"]
    assert (coder["agent"]["agent_id"], coder["runs"], coder["error_rate"], coder["version"]) == (
        "coder",
        2,
        0.5,
        "1.1",
    )
    assert coder["usage"]["cost_usd"] == 4
    assert read(record, "agents", "--since", "7d")["items"][0]["runs"] == 1
    assert "No agents match" in run(record, "agents", "writer").stderr
    assert len(read(record, "agents", "agent:cod*", "--since", "7d", "model:m")["items"]) == 1
    assert read(record, "agents", "-model:m", "user:ana")["items"] == []
    table = run(record, "agents", "--table").stdout.splitlines()
    assert table[-1].split()[:3] == ["1", "of", "1"]
    assert "$4.00" in table[-1]
    table = run(record, "agents", "show", "coder", "--table").stdout
    assert [title for title in ("Models", "Tools", "Versions") if f"\n{title}\n" in table] == [
        "Models",
        "Tools",
        "Versions",
    ]
    assert [one["version"]["version_number"] for one in read(record, "agents", "show", "coder")["versions"]] == [
        "1.1",
        "1.0",
    ]
    found = read(record, "agents", "compare", "coder", "1.0", "1.1")
    assert next((m["name"], m["a"], m["b"]) for m in found["measures"]) == ("error rate", 0, 1)
    compared = run(record, "agents", "compare", "coder", "--table").stdout
    assert compared.count("too few runs") == 8
    assert compared.count("too few sessions") == 1
    assert run(record, "agents", "compare", "coder", "9").exit_code == 1
    assert run(record, "agents", "show", "nobody").exit_code == 1


def test_users_are_listed_and_shown(record: Path) -> None:
    found = {one["user"]["external_id"]: one for one in read(record, "users")["items"]}
    assert (found["ana"]["runs"], found["ana"]["usage"]["cost_usd"], found["ana"]["errors"]) == (2, 4, 2)
    lines = run(record, "users", "--csv", "ANA").stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["user", "ana"]
    assert read(record, "users", "show", "ana", "--since", "7d")["figures"]["runs"] == 1
    assert "Bash" in run(record, "users", "show", "ana", "--table").stdout
    assert run(record, "users", "show", "ben").exit_code == 1


def test_the_last_days_are_the_same_whole_days_as_on_the_pages(record: Path) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with Store(str(record)) as store:
        for days in (6, 7):
            at = midnight - timedelta(days=days) + timedelta(hours=23)
            store.runs.start(NewRun(run_id=f"{days} days", agent_id="late", started_at=at), user="ben")
    (late,) = read(record, "agents", "--since", "7d", "agent:late")["items"]
    assert late["runs"] == 1
    assert read(record, "users", "show", "ben", "--since", "8d")["figures"]["runs"] == 2


def test_what_goes_on_tells_the_prices_behind_what_was_spent_lately(record: Path) -> None:
    with Store(str(record)) as store:
        store.llm_calls.record(
            NewLLMCall(model="claude-sonnet-4-5", host="Anthropic", tokens=TokenCounts(input=1000, output=10))
        )
    assert "prices: genai-prices " in run(record, "top", "--once", "--table").stdout


def test_a_group_of_errors_is_shown_resolved_and_opened_again(record: Path) -> None:
    (group,) = read(record, "errors", "--since", "7d", "--agent", "coder", "kind:agent")["items"]
    assert (group["count"], group["status"], group["users"]) == (2, "ongoing", 1)
    name = group["fingerprint"]
    shown = run(record, "error", name, "--table")
    assert "Traceback: here" in shown.stdout
    assert "1 run of 2 that met it failed; their calls cost $2.00" in shown.stdout
    assert "prices: the providers' own figures;" in shown.stderr
    assert read(record, "error", name, "--resolve")["group"]["status"] == "resolved"
    assert [(one["kind"], one["error_type"]) for one in read(record, "errors")["items"]] == [("tool", "Bash")]
    assert len(read(record, "errors", "status:resolved", "type:Time*", "count:2")["items"]) == 1
    assert len(read(record, "errors", "--status", "resolved")["items"]) == 1
    assert read(record, "error", name, "--reopen")["group"]["status"] == "ongoing"
    assert run(record, "error", "0" * 16).exit_code == 1


def test_a_user_is_deleted_only_when_one_says_yes(record: Path) -> None:
    told = run(record, "users", "delete", "ana")
    assert told.exit_code == 0
    assert "nothing was deleted" in told.stderr
    assert "ana" in told.stdout
    assert run(record, "users", "show", "ana").exit_code == 0
    done = run(record, "users", "delete", "ana", "--yes")
    assert done.exit_code == 0, done.output
    assert "rows emptied; the figures stay under erased-" in done.stdout
    assert "agentrecord db vacuum" in done.stderr
    assert run(record, "users", "show", "ana").exit_code == 1
    assert run(record, "db", "vacuum").exit_code == 0
    assert b"Traceback: here" not in record.read_bytes()
    assert run(record, "users", "delete", "unassigned", "--yes").exit_code != 0
    with Store(str(record)) as store:
        assert store.usage.recount() == ()


@pytest.mark.parametrize(
    "option", [("--since", "7d"), ("--until", "2026-01-05"), ("--status", "new"), ("--agent", "coder"), ("--resolved",),
               ("--sort", "count")],
)  # fmt: skip
def test_what_chooses_groups_of_errors_is_refused_where_occurrences_are_asked_for(
    record: Path, option: tuple[str, ...]
) -> None:
    told = run(record, "errors", "--all", *option)
    assert (told.exit_code, told.stdout) == (2, "")
    assert f"--all and {option[0]} cannot go together" in told.stderr
