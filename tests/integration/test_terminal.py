"""The rules of the terminal hold for every command: none is left out, because the tree of them is walked."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.cli.terminal import cells
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store

FORMS = ("--json", "--jsonl", "--csv", "--plain", "--table", "--fail-if-empty")
WIDTHS = (80, 100, 160)
SESSION = "a-session-whose-id-is-never-cut-0123456789"
RUN = "a-run-whose-id-is-never-cut-0123456789"
GOING_ON = "a-run-that-goes-on-0123456789"
ESCAPE = "\x1b["

LOOKS: dict[str, tuple[str, ...]] = {
    "unreadable": (), "sessions": (), "session": (SESSION,), "search": ("refund",), "runs": (), "run": (RUN,),
    "compare": (RUN, "other-run"), "agents": (), "agents show": ("support-bot",), "users": (), "users show": ("ana",),
    "users delete": ("ana",),
    "errors": (), "sql": ("SELECT session_id, title FROM ar_sessions",), "tail": ("--no-follow",), "usage": (),
    "top": ("--once",), "cost": (), "prices": (), "prices check": ("gpt-4o",), "budgets": (), "accounts": (),
    "keys": (), "reprice": (), "db info": (), "db check": (), "db doctor": (), "db verify": (),
}  # fmt: skip
"""How each command that shows rows is asked for some."""

ELSEWHERE = {
    "agents compare": "needs two versions", "error": "needs a fingerprint", "check-samples": "needs a folder",
    "import": "writes", "prices set": "writes", "budgets set": "writes", "accounts create": "writes",
    "accounts disable": "writes", "accounts enable": "writes", "accounts role": "writes", "keys create": "writes",
    "keys revoke": "writes",
}  # fmt: skip
"""Commands that show rows, but are tried by the tests of what they do."""

NO_ROWS = {
    "": "the program", "db": "a group", "export": "spans, in formats of their own", "serve": "serves",
    "completion": "a script", "prices retire": "says that it is done", "budgets remove": "says that it is done",
    "accounts password": "says that it is done", "db backup": "says that it is done",
    "db grant": "says that it is done", "db migrate": "says that it is done",
    "db restore": "says that it is done", "db vacuum": "says that it is done",
}  # fmt: skip

TEXTS = ("session", "run")
"""What reads as a text: it goes into a pipe as one."""

PROSE = ("session", "db doctor", "db check", "db verify", "db info")
"""Where whole sentences and addresses stand, which a terminal wraps and nobody wants cut."""

EMPTY = ("unreadable", "sessions", "search", "runs", "agents", "users", "errors", "usage", "cost", "budgets", "keys",
         "accounts", "tail", "top", "sql")  # fmt: skip
"""What finds nothing in an empty record."""


def walked(
    command: click.Command, context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walked(found, click.Context(found, parent=context, info_name=name), (*path, name))


COMMANDS = dict(walked(program, click.Context(program, info_name="agentrecord")))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("terminal") / "record.db"
    with Store(str(path)) as whole:
        store = whole.scoped(user="ana")
        session = store.sessions.create(
            NewSession(session_id=SESSION, title="A refund that took rather long, " * 4, agent_id="support-bot")
        )
        for name in (RUN, "other-run"):
            run = store.runs.start(NewRun(run_id=name, agent_id="support-bot", session_uuid=session.id,
                                          objective="Refund order 17"))  # fmt: skip
            store.messages.append(
                session.id, [NewMessage(role=MessageRole.USER, content="please refund order 17", run_uuid=run.id)],
                calls=[NewLLMCall(model=model, tokens=TokenCounts(input=9, output=9), run_uuid=run.id)
                       for model in ("gpt-4o", "a-model-of-no-price")],
            )  # fmt: skip
            tool = store.tool_calls.record(NewToolCall(tool_name="refund", run_uuid=run.id))
            store.tool_calls.finish(tool.id, error_message="no such order")
            store.errors.record(NewError(error_type="Timeout", error_message="it took too long", run_uuid=run.id))
            store.runs.fail(run.id, error_message="no such order")
        store.runs.start(NewRun(run_id=GOING_ON, agent_id="support-bot", objective="Refund order 18"))
    return path


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NO_COLOR", "FORCE_COLOR", "LC_ALL", "AGENTRECORD_URL"):
        monkeypatch.delenv(name, raising=False)


def ask(record: Path, name: str, *options: str, width: int = 100, **environ: str) -> Result:
    words = ["--db", str(record), *name.split(), *LOOKS[name], *options]
    return CliRunner(env={"COLUMNS": str(width), **environ}).invoke(program, words)


def ago(text: str) -> str:
    """Return a text without what changes while the tests run: how long ago something was, and how full the disk is.

    The time at the head of what goes on is the present one.
    """
    timeless = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= · \d+ runs? )", "now", re.sub(" +", " ", text))
    return re.sub(r"[\d.]+( ms|s ago| [kMG]B)", r"\1", timeless)


def test_every_command_is_known_here() -> None:
    assert {*LOOKS, *ELSEWHERE, *NO_ROWS} == set(COMMANDS)
    assert len(LOOKS) + len(ELSEWHERE) + len(NO_ROWS) == len(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_and_refuses_what_it_does_not_know(name: str) -> None:
    told = CliRunner().invoke(program, [*name.split(), "--help"], terminal_width=80)
    assert told.exit_code == 0
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert re.search(r"^\s*Examples?:\n\s+\S*.*agentrecord", told.stdout, re.MULTILINE), told.stdout
    wrong = CliRunner().invoke(program, [*name.split(), "--no-such-option"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "--no-such-option" in wrong.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in NO_ROWS])
def test_every_command_with_rows_has_every_form(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {*FORMS} <= options


@pytest.mark.parametrize("name", LOOKS)
def test_programs_read_what_a_command_prints(name: str, record: Path) -> None:
    piped = ask(record, name)
    assert piped.exit_code in (0, 1), piped.output
    plain = ask(record, name, "--plain").stdout
    assert name in TEXTS or ago(plain) == ago(piped.stdout)
    assert ESCAPE not in piped.stdout + ask(record, name, "--table").stdout
    json.loads(ask(record, name, "--json").stdout)
    for line in ask(record, name, "--jsonl").stdout.splitlines():
        json.loads(line)
    widths = {len(row) for row in csv.reader(io.StringIO(ask(record, name, "--csv").stdout))}
    assert len(widths) <= 1
    assert {row.count("\t") + 1 for row in plain.splitlines()} <= widths


@pytest.mark.parametrize("name", LOOKS)
def test_colour_is_for_terminals_and_for_who_asks(name: str, record: Path) -> None:
    forced = ask(record, name, "--table", FORCE_COLOR="1")
    bare = ask(record, name, "--table")
    assert ago(re.sub(r"\x1b\[[0-9;]*m", "", forced.stdout)) == ago(bare.stdout)
    for quiet in (ask(record, name, "--table", "--no-color", FORCE_COLOR="1"),
                  ask(record, name, "--table", FORCE_COLOR="1", NO_COLOR="1")):  # fmt: skip
        assert ESCAPE not in quiet.stdout + quiet.stderr


@pytest.mark.parametrize("name", LOOKS)
def test_a_terminal_without_unicode_gets_ascii(name: str, record: Path) -> None:
    told = ask(record, name, "--table", LC_ALL="C")
    assert told.stdout.isascii(), [line for line in told.stdout.splitlines() if not line.isascii()]


@pytest.mark.parametrize("name", LOOKS)
def test_a_table_fits_and_never_cuts_an_id(name: str, record: Path) -> None:
    wide = ask(record, name, "--table", width=400).stdout
    ids = {one for one in (SESSION, RUN) if one in wide and name not in ("sql", "compare")}
    for width in WIDTHS:
        told = ask(record, name, "--table", width=width).stdout
        lines = [line for line in told.splitlines() if not line.startswith("http")]
        assert name in PROSE or [line for line in lines if cells(line) > width] == []
        assert {one for one in ids if re.search(rf"{one[:12]}\S*", told) and one not in told} == set()


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_found_is_told_beside_the_data_and_by_the_exit_code(name: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    Store(str(empty)).close()
    quiet = ask(empty, name)
    assert quiet.exit_code == 0, quiet.output
    assert len(quiet.stdout.splitlines()) <= 1
    assert quiet.stderr
    assert ask(empty, name, "--fail-if-empty").exit_code == 3
    assert ask(tmp_path / "none.db", name).exit_code == 1


@pytest.mark.parametrize("name", ["usage", "cost"])
def test_a_budget_that_is_crossed_is_an_exit_code(name: str, record: Path) -> None:
    assert ask(record, name, "--budget", "50").exit_code == 0
    over = ask(record, name, "--budget", "0")
    assert over.exit_code == 4
    assert "over budget" in over.stderr
    assert "a-model-of-no-price" in over.stderr


@pytest.mark.parametrize("options", [(), ("--blocks",), ("--no-subagents",), ("--by", "session")])
def test_the_calls_without_a_price_that_are_told_are_those_of_the_range(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path, now = tmp_path / "record.db", datetime.now(UTC)
    with Store(str(path)) as store:
        for days, models in ((0, ("mine", "mine", "ours")), (40, ("mine", "ours", "theirs", "theirs"))):
            for model in models:
                store.llm_calls.record(
                    NewLLMCall(model=model, tokens=TokenCounts(input=1, output=1), timestamp=now - timedelta(days=days))
                )
    told = ask(path, "usage", "--since", "7d", *options).stderr
    assert told.count("excludes") == 2
    assert "excludes 2 calls on mine:" in told
    assert "excludes 1 call on ours:" in told


def test_many_models_without_a_price_are_told_five_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with Store(str(path)) as store:
        for number in range(12):
            for _ in range(number + 1):
                tokens = TokenCounts(input=1, output=1)
                store.llm_calls.record(NewLLMCall(model=f"nobody-knows-{number:02}", tokens=tokens))
    told = ask(path, "cost").stderr
    assert told.count("excludes") == 5
    assert "12 calls on nobody-knows-11" in told
    assert "7 more models" in told
