"""The command line over a record filled from the packaged sample."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import COMMANDS, SECTIONS, program
from agentrecord.ingest.load import import_sample
from agentrecord.ingest.registry import SOURCES
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

SAMPLE = Path(str(files("agentrecord") / "samples"))
SESSION = "acdd84ab-e724-42c8-925d-420b2a4f1861"
SESSION_RUN = f"{SESSION}:7ac8a6cf-9823-40ee-87e7-fc2c86323d70"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "record.db"
    with Store(str(path)) as store:
        import_sample(store, SAMPLE, SOURCES)
    return path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    path = tmp_path / "fresh.db"
    Store(str(path)).close()
    return path


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTRECORD_URL", str(tmp_path / "nothing.db"))
    for name in ("NO_COLOR", "FORCE_COLOR", "LC_ALL", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)


def run(*words: object, db: Path | None = None, width: int = 100) -> Result:
    before = [] if db is None else ["--db", str(db)]
    return CliRunner(env={"COLUMNS": str(width)}).invoke(program, [*before, *map(str, words)])


def process(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentrecord.cli.main", *map(str, words)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_every_command_is_in_one_section_of_the_help() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    told = run("--help").output
    assert all(f"  {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_what_it_does_and_how_to_use_it(name: str) -> None:
    told = run(name, "--help")
    assert told.exit_code == 0
    assert "Example" in told.output


def test_version_and_help_do_not_wait_for_the_database_layer() -> None:
    code = (
        "import sys\nfrom agentrecord.cli.main import program\n"
        "try:\n program.main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('sqlalchemy', 'fastapi', 'genai_prices', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_usage_report_in_json_is_one_object_with_every_token_class(record: Path) -> None:
    told = json.loads(run("usage", "--by", "day", "--json", db=record).stdout)
    with Store(str(record), read_only=True) as store:
        total = store.usage.report(UsageBy.TOTAL).total
    assert told["by"] == "day"
    assert told["total"]["cost_usd"] == pytest.approx(float(total.cost_usd or 0), abs=1e-12)
    assert told["total"]["total_tokens"] == total.total_tokens
    for name in ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
                 "output_tokens", "reasoning_tokens", "calls", "unpriced_calls"):  # fmt: skip
        assert sum(row[name] for row in told["rows"]) == told["total"][name] == getattr(total, name)
    assert all(row["day"] == row["key"] for row in told["rows"])


def test_dollars_in_json_keep_every_digit(record: Path) -> None:
    text = run("usage", "--by", "total", "--json", db=record).stdout
    with Store(str(record), read_only=True) as store:
        cost = store.usage.report(UsageBy.TOTAL).total.cost_usd
    assert json.loads(text, parse_float=Decimal)["total"]["cost_usd"] == cost


def test_a_model_without_a_price_has_no_cost_and_a_command_that_mends_it(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        store.llm_calls.record(NewLLMCall(model="home-made", tokens=TokenCounts(input=1_000_000, output=0)))
    told = run("usage", "--by", "model", "--json", db=fresh)
    assert json.loads(told.stdout)["rows"][0]["cost_usd"] is None
    assert json.loads(told.stdout)["unpriced_models"] == ["home-made"]
    assert "agentrecord prices set home-made --input 1 --output 5" in told.stderr
    assert "no price" in run("usage", "--by", "model", "--table", db=fresh).stdout


def test_a_price_that_is_set_charges_the_past_only_when_it_is_applied(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        store.llm_calls.record(NewLLMCall(model="home-made", tokens=TokenCounts(input=1_000_000, output=0)))
    assert run("prices", "set", "home-made", "--input", "1.5", "--output", "5", db=fresh).exit_code == 0
    preview = json.loads(run("reprice", "--json", db=fresh).stdout)
    assert (preview["applied"], preview["changed_calls"], preview["change_usd"]) == (False, 1, 1.5)
    assert json.loads(run("usage", "--json", db=fresh).stdout)["total"]["cost_usd"] is None
    assert json.loads(run("reprice", "--apply", "--json", db=fresh).stdout)["changed_calls"] == 1
    assert json.loads(run("usage", "--json", db=fresh).stdout)["total"]["cost_usd"] == 1.5
    again = run("reprice", "--apply", db=fresh)
    assert "No change" in again.stderr


def test_a_price_with_a_tier_is_shown_by_check(fresh: Path) -> None:
    run("prices", "set", "home-*", "--input", "3", "--output", "15", "--tier", "200000:input=6,output=22.5", db=fresh)
    found = run("prices", "check", "home-made", "--csv", db=fresh)
    row = next(csv.DictReader(io.StringIO(found.stdout)))
    assert row["tiers"] == "200000:input=6,output=22.5"
    assert row["source"] == "user"
    assert run("prices", "check", "unheard-of", db=fresh).exit_code == 1


def test_a_retired_price_charges_nothing_more(fresh: Path) -> None:
    run("prices", "set", "home-made", "--input", "1", "--output", "5", db=fresh)
    row = next(csv.DictReader(io.StringIO(run("prices", "--own", "--csv", db=fresh).stdout)))
    assert run("prices", "retire", row["id"], db=fresh).exit_code == 0
    assert run("prices", "check", "home-made", db=fresh).exit_code == 1


@pytest.mark.parametrize("rate", ["-1", "NaN", "0.0000000001", "much"])
def test_a_price_that_is_no_exact_amount_is_refused(fresh: Path, rate: str) -> None:
    assert run("prices", "set", "home-made", f"--input={rate}", "--output", "5", db=fresh).exit_code == 2


def test_more_than_the_budget_exits_4(record: Path) -> None:
    assert run("usage", "--budget", "1", db=record).exit_code == 4
    assert run("usage", "--budget", "100000", db=record).exit_code == 0


def test_five_hour_windows_add_up_to_the_total(record: Path) -> None:
    blocks = json.loads(run("usage", "--blocks", "--json", db=record).stdout)["rows"]
    total = json.loads(run("usage", "--json", db=record).stdout)["total"]
    assert sum(block["total_tokens"] for block in blocks) == total["total_tokens"]
    assert sum(block["calls"] for block in blocks) == total["calls"]


def test_a_report_in_another_time_zone_moves_calls_to_its_days(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        session = store.sessions.create(NewSession(session_id="late"))
        call = NewLLMCall(model="m", session_uuid=session.id, tokens=TokenCounts(input=1, output=1))
        at = store.engine.maker.clock.now().replace(year=2026, month=1, day=5, hour=23)
        store.llm_calls.record(NewLLMCall(model=call.model, tokens=call.tokens, timestamp=at))
    days = {
        zone: json.loads(run("usage", "--timezone", zone, "--json", db=fresh).stdout)["rows"][0]["key"]
        for zone in ("UTC", "+02:00", "-02:00")
    }
    assert days == {"UTC": "2026-01-05", "+02:00": "2026-01-06", "-02:00": "2026-01-05"}


def test_a_date_as_until_includes_that_day(record: Path) -> None:
    day = "2025-09-03"
    told = json.loads(run("usage", "--since", day, "--until", day, "--json", db=record).stdout)
    assert [row["day"] for row in told["rows"]] == [day]


def test_nothing_matched_exits_3_only_where_that_is_asked_for(record: Path) -> None:
    assert run("sessions", "no such words", db=record).exit_code == 0
    assert run("sessions", "no such words", "--fail-if-empty", db=record).exit_code == 3


def test_all_formats_of_a_list_hold_the_same_rows(record: Path) -> None:
    ids = [item["session_id"] for item in json.loads(run("sessions", "--json", db=record).stdout)["items"]]
    lines = [json.loads(line)["session_id"] for line in run("sessions", "--jsonl", db=record).stdout.splitlines()]
    by_csv = [row["session_id"] for row in csv.DictReader(io.StringIO(run("sessions", "--csv", db=record).stdout))]
    plain = [line.split("\t")[0] for line in run("sessions", "--plain", db=record).stdout.splitlines()[1:]]
    assert ids
    assert ids == lines == by_csv == plain


def test_a_cursor_goes_on_where_a_list_ended(record: Path) -> None:
    whole = json.loads(run("sessions", "--all", "--json", db=record).stdout)["items"]
    first = json.loads(run("sessions", "--limit", 5, "--json", db=record).stdout)
    rest = json.loads(run("sessions", "--all", "--cursor", first["next_cursor"], "--json", db=record).stdout)
    assert [item["id"] for item in first["items"] + rest["items"]] == [item["id"] for item in whole]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_table_keeps_within_the_terminal_and_never_cuts_an_id(record: Path, width: int) -> None:
    lines = run("sessions", "--table", db=record, width=width).stdout.splitlines()
    assert all(len(line) <= width for line in lines)
    assert any(SESSION in line for line in lines)


def test_a_session_reads_as_a_conversation_with_its_tools_folded(record: Path) -> None:
    told = run("session", SESSION, db=record).stdout
    assert "## user" in told
    assert "wingman.lock and wingman-state.json should be added to gitignore?" in told
    assert "▸ Grep  ✓ success" in told
    assert "No matches found" not in told
    assert "No matches found" in run("session", SESSION, "--full", db=record).stdout


def test_a_run_shows_its_subagent_below_it(record: Path) -> None:
    told = run("run", SESSION_RUN, db=record).stdout
    assert "✓ run Claude Code" in told
    assert "  ✓ run Explore" in told
    assert "    ✓ tool Grep" in told
    assert re.fullmatch(r"http://127\.0\.0\.1:8321/r/[0-9a-f-]{36}", told.splitlines()[-1])


def test_errors_of_a_run_are_shown_with_their_message_and_the_runs_they_are_in(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        top = store.runs.start(NewRun(run_id="top", agent_id="boss"))
        below = store.runs.start(NewRun(run_id="below", agent_id="helper", parent_uuid=top.id))
        store.runs.start(NewRun(run_id="fine", agent_id="other", parent_uuid=top.id))
        store.runs.fail(below.id, "the disk is full")
    told = run("run", "top", "--errors", db=fresh).stdout
    assert "run boss" in told
    assert "✕ run helper" in told
    assert "the disk is full" in told
    assert "run other" not in told


def test_pieces_of_a_run_are_found_with_what_they_are_in(record: Path) -> None:
    found = [json.loads(line) for line in run("run", SESSION_RUN, "--find", "tool:Grep", "--jsonl", db=record)
             .stdout.splitlines()]  # fmt: skip
    assert {span["name"] for span in found if span["kind"] == "tool"} == {"Grep"}
    assert found[0]["kind"] == "run"
    told = run("run", SESSION_RUN, "--find", "nothing-like-it", db=record).stdout
    assert "Nothing in this run matches." in told
    for wrong in (("--find", "colour:red"), ("--find", "kind:tool", "--json")):
        assert run("run", SESSION_RUN, *wrong, db=record).exit_code == 2, wrong


def test_two_runs_are_compared_figure_by_figure(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        for name, calls in (("one", 1), ("two", 3)):
            made = store.runs.start(NewRun(run_id=name, agent_id="boss"))
            for _ in range(calls):
                store.llm_calls.record(NewLLMCall(model="m", run_uuid=made.id, cost_nanos=1_000_000_000))
            store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=made.id))
    told = json.loads(run("compare", "one", "two", "--json", db=fresh).stdout)
    assert (told["sums_a"]["calls"]["count"], told["sums_b"]["calls"]["count"]) == (1, 3)
    assert [part["name"] for part in told["models"] + told["tools"]] == ["m", "Bash"]
    table = run("compare", "one", "two", "--table", db=fresh).stdout
    assert re.search(r"run +cost +\$1\.00 +\$3\.00 +\+\$2\.00", table)
    rows = [json.loads(line) for line in run("compare", "one", "two", "--jsonl", db=fresh).stdout.splitlines()]
    assert {"part": "model m", "figure": "count", "a": 1, "b": 3, "delta": 2} in rows


def test_search_shows_where_the_words_are(record: Path) -> None:
    found = json.loads(run("search", "wingman", "--json", db=record).stdout)["items"]
    assert found
    assert all("wingman" in "".join(hit["excerpt"]).lower() for hit in found)


def test_equal_errors_are_one_group_and_all_lists_each(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        for number in (1, 2):
            store.errors.record(NewError(error_type="Timeout", error_message=f"gave up after {number} s"))
    groups = json.loads(run("errors", "--json", db=fresh).stdout)["items"]
    assert [group["count"] for group in groups] == [2]
    assert len(json.loads(run("errors", "--all", "--json", db=fresh).stdout)["items"]) == 2


def test_tail_prints_the_last_events_one_per_line(record: Path) -> None:
    lines = run("tail", "-n", 3, "--no-follow", "--jsonl", db=record).stdout.splitlines()
    assert len(lines) == 3
    assert run("tail", "-n", 5, "--no-follow", "--jsonl", db=record).stdout.splitlines()[2:] == lines
    assert len({json.loads(line)["id"] for line in lines}) == 3


def test_tail_takes_the_words_of_a_filter(record: Path) -> None:
    told = [json.loads(line) for line in run("tail", "kind:llm_call,tool_call", "-status:success", "--no-follow",
                                             "-n", 200, "--jsonl", db=record).stdout.splitlines()]  # fmt: skip
    assert told
    assert all(one["kind"] in ("llm_call", "tool_call") and one["status"] != "success" for one in told)
    nothing = run("tail", "user:nobody", "--no-follow", db=record)
    assert (nothing.stdout, nothing.stderr.strip()) == ("", "Nothing that arrived fits these words yet.")
    refused = run("tail", "colour:red", db=record)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "colour" in refused.stderr


@pytest.mark.parametrize(("name", "word"), [("runs", "-status:completed"), ("sessions", "-status:inactive")])
def test_an_excluding_word_is_no_option(name: str, word: str, record: Path) -> None:
    every = run(name, "--all", "--jsonl", db=record).stdout.splitlines()
    left = run(name, word, "--all", "--jsonl", db=record)
    assert left.exit_code == 0, left.stderr
    assert 0 <= len(left.stdout.splitlines()) < len(every)


def test_tail_follows_what_is_written_and_sums_it_up_at_the_end(fresh: Path) -> None:
    # Whoever runs the tests in the background may have had Ctrl-C ignored, which a child inherits.
    program = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        " runpy.run_module('agentrecord.cli.main', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, "--db", str(fresh), "tail", "--kind", "llm_call", "--jsonl"]
    with Store(str(fresh)) as store:
        store.llm_calls.record(NewLLMCall(model="first", tokens=TokenCounts(input=1, output=1)))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            try:
                assert json.loads(running.stdout.readline())["line"] == "first"
                store.errors.record(NewError(error_type="Timeout", error_message="gave up"))
                store.llm_calls.record(NewLLMCall(model="second", tokens=TokenCounts(input=1, output=1)))
                assert json.loads(running.stdout.readline())["line"] == "second"
                running.send_signal(signal.SIGINT)
                assert running.wait(30) == 0
                assert "2 llm calls" in running.stderr.read()
            finally:
                running.kill()


def test_tail_does_not_repeat_what_was_there_before_it_began(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        store.errors.record(NewError(error_type="Timeout", error_message="long ago"))
        for number in range(5):
            store.llm_calls.record(NewLLMCall(model=f"m{number}", tokens=TokenCounts(input=1, output=1)))
        last = store.feed.changes(limit=2)
        assert [change.line for change in last.items] == ["m3", "m4"]
        assert store.feed.changes(last.place).items == ()


def test_control_characters_in_a_transcript_do_not_reach_the_terminal(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        store.sessions.create(NewSession(session_id="evil", title="\x1b]0;owned\x07\x1b[31mred\tx"))
    for form in ("--table", "--plain"):
        assert "\x1b" not in run("sessions", form, db=fresh).stdout


def test_wide_characters_take_two_columns(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        store.sessions.create(NewSession(session_id="a", title="日本語"))
        store.sessions.create(NewSession(session_id="b", title="123456"))
    rows = run("sessions", "--table", db=fresh, width=200).stdout.splitlines()[1:3]
    column = {line[0]: line.index("ago") for line in rows}
    assert column["b"] - column["a"] == 3


def test_options_of_the_program_may_follow_the_command(record: Path) -> None:
    before = run("usage", "--json", db=record).stdout
    assert run("usage", "--json", "--db", record).stdout == before
    assert run("db", "info", "--json", "--db", record).exit_code == 0


@pytest.mark.parametrize("kind", ["run", "session", "error"])
def test_what_is_not_there_is_said_in_plain_words(record: Path, kind: str) -> None:
    told = run(kind, "nope", db=record)
    assert (told.exit_code, told.stdout) == (1, "")
    assert re.fullmatch(r"error: no (run|session|error group) 'nope' here\n", told.stderr)


def test_days_of_half_an_hour_ahead_are_refused_by_the_option_that_asks_for_them(record: Path) -> None:
    told = run("usage", "--timezone", "+05:30", db=record)
    assert (told.exit_code, told.stdout) == (2, "")
    assert "Invalid value for --timezone: days must begin with an hour of UTC" in told.stderr
    assert run("usage", "--timezone", "+05:30", "--blocks", db=record).exit_code == 0


def test_a_project_that_is_not_there_is_an_error_and_is_not_made(record: Path) -> None:
    told = run("--project", "nowhere", "usage", db=record)
    assert (told.exit_code, "no project 'nowhere'" in told.stderr) == (1, True)
    with Store(str(record), read_only=True) as store:
        assert [project.name for project in store.projects.list()] == ["default"]


def test_reading_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "no" / "record.db"
    told = run("usage", db=path)
    assert (told.exit_code, "there is no record at" in told.stderr) == (1, True)
    assert not path.parent.exists()


def test_a_pipe_gets_tabs_and_no_colour(record: Path) -> None:
    done = process("--db", record, "usage", "--by", "model")
    head, *rows = done.stdout.splitlines()
    assert head.split("\t")[:2] == ["model", "calls"]
    assert rows
    assert "\x1b" not in done.stdout


def test_colour_can_be_forced_and_forbidden(record: Path) -> None:
    asked = ("--db", record, "usage", "--table")
    assert "\x1b[" in process(*asked, FORCE_COLOR="1").stdout
    assert "\x1b[" not in process(*asked).stdout
    assert "\x1b[" not in process(*asked, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" not in process(*asked, "--no-color", FORCE_COLOR="1").stdout


def test_signs_are_ascii_where_the_locale_is(record: Path) -> None:
    told = process("--db", record, "runs", "--table", LC_ALL="C", COLUMNS="200").stdout
    assert "+ completed" in told
    assert "✓" not in told


def test_a_reader_that_has_had_enough_is_no_error(record: Path) -> None:
    command = [sys.executable, "-m", "agentrecord.cli.main", "--db", str(record), "session", SESSION, "--full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(60) == 0
        assert running.stderr.read() == b""


def test_exit_codes_tell_usage_errors_from_others(record: Path) -> None:
    assert process("--db", record, "usage", "--by", "colour").returncode == 2
    assert process("--db", record, "no-such-command").returncode == 2
    assert process("--db", record, "session", "no-such-session").returncode == 1


def test_an_unexpected_error_is_one_line_unless_the_traceback_is_asked_for(record: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    told = process("--db", folder, "usage")
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 1


def test_completion_prints_a_script_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_AGENTRECORD_COMPLETE" in run("completion", shell).stdout


def test_plan_windows_have_a_total_that_a_budget_can_be_held_against(record: Path) -> None:
    told = json.loads(run("--db", record, "usage", "--blocks", "--json").stdout)
    whole = json.loads(run("--db", record, "usage", "--by", "total", "--json").stdout)["total"]
    assert told["total"] == whole
    assert sum(row["calls"] for row in told["rows"]) == whole["calls"]
    assert run("--db", record, "usage", "--blocks", "--budget", "0.0001").exit_code == 4
    assert "unpriced_calls" in run("--db", record, "usage", "--blocks", "--csv").stdout.splitlines()[0]


def test_a_session_and_a_run_come_as_csv_too(record: Path) -> None:
    session = json.loads(run("sessions", "--json", "--limit", "1", db=record).stdout)
    key = (session.get("rows") or session.get("items"))[0]["session_id"]
    rows = list(csv.reader(io.StringIO(run("session", key, "--csv", db=record).stdout)))
    assert rows[0][:3] == ["sequence", "role", "created_at"]
    assert len(rows) > 2
    found = json.loads(run("runs", "--json", "--limit", "1", db=record).stdout)
    name = (found.get("rows") or found.get("items"))[0]["run_id"]
    spans = list(csv.reader(io.StringIO(run("run", name, "--csv", db=record).stdout)))
    assert spans[0][:3] == ["depth", "kind", "name"]
    assert spans[1][1] == "run"


def test_the_errors_of_a_session_are_those_that_its_list_is_filtered_and_sorted_by(fresh: Path) -> None:
    with Store(str(fresh)) as store:
        for name in ("calm", "wild"):
            session = store.sessions.create(NewSession(session_id=name))
            if name == "wild":
                used = store.tool_calls.record(NewToolCall(tool_name="look", session_uuid=session.id))
                store.tool_calls.finish(used.id, error_message="gone")
                store.errors.record(NewError(error_type="Timeout", error_message="slow", session_uuid=session.id))
    found = list(csv.DictReader(io.StringIO(run("sessions", "errors:>0", "--csv", db=fresh).stdout)))
    assert [(row["session_id"], row["errors"]) for row in found] == [("wild", "2")]
    assert run("sessions", "--table", db=fresh, width=160).stdout.splitlines()[-1].split()[-3] == "2"
