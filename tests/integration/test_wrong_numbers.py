"""Wrong numbers that other dashboards show: each has a test that ours does not."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner
from money_record import UNPRICED
from page_fixtures import START, Filled, FixedClock, call, served, signed_in
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.dashboard import cost_tiles, formats
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.store import Store

Site = tuple[TestClient, Filled]
WEEK = "since=all"


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def text(client: TestClient, path: str) -> str:
    """Return a page's text, tags left out."""
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


def test_a_model_without_a_price_is_a_row_a_banner_and_a_field_and_every_total_says_what_it_excludes(
    site: Site,
) -> None:
    client, _ = site
    for path in (f"/?{WEEK}", f"/cost?{WEEK}"):
        shown = text(client, path)
        assert f"1 call (2,550 tokens) on {UNPRICED} has no price" in shown, path
        assert "excludes 1 call without a price" in shown, path
    assert re.search(rf"{UNPRICED} 1 500 2,000 0 50 – no price – ", text(client, f"/cost?{WEEK}"))
    assert re.search(rf"{UNPRICED} 1 2\.\dK no price", text(client, f"/?{WEEK}"))
    report = client.get("/api/usage?by=model").json()
    assert report["unpriced_models"] == [UNPRICED]
    assert report["total"]["unpriced_calls"] == 1
    assert [row["totals"]["cost_usd"] for row in report["rows"] if row["key"] == UNPRICED] == [None]
    assert text(client, "/prices").index(UNPRICED) < text(client, "/prices").index("claude-opus-4-5")
    assert f"no price {UNPRICED}: no total contains 1 call" in text(client, f"/?{WEEK}")


def test_every_command_that_tells_a_cost_says_which_calls_it_leaves_out(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    with Store(path) as store:
        session = store.sessions.create(NewSession(session_id="mixed"), user="ana").id
        run = store.runs.start(NewRun(run_id="mixed", session_uuid=session, agent_id="coder")).id
        for model in ("claude-opus-4-5", UNPRICED):
            store.llm_calls.record(
                NewLLMCall(model=model, run_uuid=run, session_uuid=session, tokens=TokenCounts(input=9, output=9))
            )
        assert "excludes 1 call without a price" in repr(store.runs.get(run))
        assert "excludes 1 call without a price" in repr(store.sessions.get(session))
    for command in ("usage", "cost", "runs", "sessions", "agents", "users", "run mixed", "session mixed",
                    "compare mixed mixed", "top --once"):  # fmt: skip
        done = CliRunner().invoke(program, ["--db", path, *command.split(), "--table"])
        assert done.exit_code == 0, (command, done.output)
        told = done.stdout if command.startswith("top") else done.stderr
        assert re.search(r"excludes 1 call|1 call without a price", told), command


def test_one_unpriced_name_at_two_hosts_is_told_apart_where_each_needs_a_price(site: Site) -> None:
    client, filled = site
    for host, calls in (("azure", 1), ("OpenAI", 2)):
        for _ in range(calls):
            tokens = TokenCounts(input=10, output=1)
            filled.store.llm_calls.record(NewLLMCall(model="nameless", host=host, tokens=tokens, timestamp=START))
    shown = text(client, f"/?{WEEK}")
    assert "nameless at OpenAI: no total contains 2 calls" in shown
    assert "nameless at azure: no total contains 1 call" in shown


def test_calls_without_token_counts_are_told_of_and_no_price_is_asked_for_them(site: Site) -> None:
    client, filled = site
    for _ in range(7):
        filled.store.llm_calls.record(NewLLMCall(model="silent-model", host="OpenAI", timestamp=START))
    for path in (f"/?{WEEK}", f"/cost?{WEEK}"):
        shown = text(client, path)
        assert f"1 call (2,550 tokens) on {UNPRICED} has no price" in shown, path
        assert "7 calls on silent-model : the source told no token counts" in shown, path
        assert "no price silent-model: " not in shown, path


def test_tokens_that_no_source_told_are_unknown_on_the_pages_of_a_session_and_not_0(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="silent")).id
    run = filled.store.runs.start(NewRun(run_id="silent-run", session_uuid=session, objective="Say nothing"))
    filled.store.llm_calls.record(NewLLMCall(model="gpt-4o", session_uuid=session, run_uuid=run.id, timestamp=START))
    assert "Tokens – 1 LLM call" in text(client, f"/s/{session}")
    assert re.search(r"Say nothing .* 1 0 – no price ", text(client, f"/s/{session}?tab=runs"))
    assert re.search(r"gpt-4o 1 – no price ", text(client, f"/s/{session}"))


def test_of_one_model_the_calls_that_a_price_would_charge_are_told_apart_from_those_without_token_counts(
    site: Site,
) -> None:
    client, filled = site
    counts: tuple[tuple[str, TokenCounts], ...] = (
        ("mixed", TokenCounts(input=5, output=5)), ("mixed", TokenCounts()), ("mixed", TokenCounts()),
        ("claude-opus-4-5", TokenCounts()),
    )  # fmt: skip
    for model, tokens in counts:
        host = "Anthropic" if model.startswith("claude") else "local"
        filled.store.llm_calls.record(NewLLMCall(model=model, host=host, tokens=tokens, timestamp=START))
    for path in (f"/?{WEEK}", f"/cost?{WEEK}"):
        shown = text(client, path)
        assert "1 call (10 tokens) on mixed" in shown, path
        assert "2 calls on mixed , 1 call on claude-opus-4-5 : the source told no token counts" in shown, path
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(client.get(f"/cost.csv?{WEEK}").text))}
    assert (rows["mixed"]["unpriced_calls"], rows["mixed"]["uncounted_calls"]) == ("3", "2")


def test_tokens_that_no_call_told_are_a_dash_and_no_zero(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(NewLLMCall(model="silent-model", host="OpenAI", timestamp=START))
    assert "silent-model 1 – – – – – no price" in text(client, f"/cost?{WEEK}")
    assert "silent-model 1 – no price" in text(client, f"/?{WEEK}")


def test_an_error_that_needs_attention_has_the_status_that_the_errors_page_tells(site: Site) -> None:
    client, filled = site
    filled.store.errors.record(
        NewError(error_type="Flood", error_message="too much", created_at=START - timedelta(days=1))
    )
    assert "new error Flood: too much" not in text(client, f"/?{WEEK}")
    assert "ongoing error Flood: too much" in text(client, f"/?{WEEK}")
    assert re.search(r"too much agent \S+ d ago \S* ?ongoing Flood", text(client, f"/errors?{WEEK}"))


def test_an_error_without_a_message_is_told_by_its_type(site: Site) -> None:
    client, filled = site
    filled.store.errors.record(NewError(error_type="Silence", error_message=""))
    assert "new error Silence" in (overview := text(client, f"/?{WEEK}"))
    assert "Silence:" not in overview
    assert "no message agent" in text(client, f"/errors?{WEEK}")


def test_one_session_id_in_two_projects_stays_two_sessions(site: Site) -> None:
    client, filled = site
    other = filled.store.scoped(project="other")
    session = other.sessions.create(NewSession(session_id="s-1", created_at=START - timedelta(days=7)), user="ana")
    other.llm_calls.record(call(None, "claude-opus-4-5", 10**6, 10**6, at=START, session=session.id))
    assert session.id != filled.session
    whole = filled.store.sessions.get("s-1", with_subtree=True)
    assert whole.subtree is not None
    shown = client.get("/s/s-1").text
    assert re.search(rf'<dt>Cost</dt><dd class="value"[^>]*>{re.escape(formats.cost(whole.subtree))}</dd>', shown)
    assert client.get(f"/s/{session.id}").status_code == 404
    assert "All 2 sessions" in text(client, "/sessions")
    # It began a week earlier there: the time from start to end here is not stretched by that.
    assert "7 d" not in text(client, "/s/s-1").partition("From start to end")[2][:40]
    assert client.get("/api/sessions/s-1").json()["id"] == str(filled.session)


def test_the_cost_of_a_session_and_of_a_run_is_that_of_all_below_them(site: Site) -> None:
    client, filled = site
    spent = [row.cost_nanos or 0 for row in filled.store.llm_calls.list(limit=50)]
    session, run = (client.get(f"/{kind}/{row}").text for kind, row in (("s", filled.session), ("r", filled.run)))
    for page in (session, run):
        assert formats.money(sum(spent)) in re.sub(r"<[^>]*>", " ", page.partition("<dt>Cost</dt>")[2][:300])
    assert len([nanos for nanos in spent if nanos]) == 2


def test_a_sessions_tokens_are_those_of_all_its_calls_not_of_its_last_turn(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(call(filled.run, "claude-opus-4-5", 7, 3, at=START, session=filled.session))
    session = filled.store.sessions.get("s-1", with_subtree=True)
    assert session.subtree is not None
    # 1,000 and 3,000 tokens with four times as many from the cache, 200 and 30 out of them; then a turn of 38.
    assert session.subtree.total_tokens == 5 * (1000 + 3000 + 7) + 200 + 30 + 3
    assert f"Tokens {formats.short(session.subtree.total_tokens)}" in text(client, "/s/s-1")


def test_without_data_nothing_is_zero_or_zero_percent_but_a_dash_and_a_sentence() -> None:
    with served(filled=False) as (client, _):
        signed_in(client)
        for path in ("/", "/cost", "/cost?by=user", "/sessions", "/runs", "/prices", "/errors", "/agents", "/users"):
            shown = text(client, path)
            assert not re.search(r"\$0(?![.\d])|\b0(\.0)? %", shown), path
    with served() as (client, _):
        signed_in(client)
        nothing = text(client, "/cost?from=2020-01-01&to=2020-01-02")
        for tile in ("Spend – no calls", "Per run – no run began", "Failed calls – no call failed"):
            assert tile in nothing
        nothing = text(client, "/?from=2020-01-01&to=2020-01-02")
        for tile in ("Runs – no run began", "Error rate – no run ended", "Spend – no call was made",
                     "p95 run time – no run ended", "Active users – nobody was active"):  # fmt: skip
            assert tile in nothing


def test_all_stuck_runs_are_counted_however_many_are_listed(site: Site) -> None:
    client, filled = site
    for number in range(12):
        run = filled.store.runs.start(NewRun(run_id=f"silent-{number}"))
        filled.store.runs.heartbeat(run.id, alive_s=1)
    cast(FixedClock, filled.store.engine.maker.clock).at += timedelta(minutes=1)
    shown = text(client, f"/?{WEEK}")
    assert "Stuck runs 12 " in shown
    assert shown.count("stuck run silent-") == 10


def test_nobody_in_particular_is_no_active_user(site: Site) -> None:
    client, filled = site
    assert "Active users 2 " in text(client, f"/?{WEEK}")
    filled.store.llm_calls.record(NewLLMCall(model="m", cost_nanos=1, timestamp=START))
    assert "unassigned" in text(client, f"/?{WEEK}")
    assert "Active users 2 " in text(client, f"/?{WEEK}")


def test_a_change_to_what_has_no_price_or_from_it_is_no_change_by_a_hundred_percent(site: Site) -> None:
    client, filled = site
    week = timedelta(days=7)
    for model, at in ((UNPRICED, START - week), ("claude-opus-4-5", START - 2 * week)):
        filled.store.llm_calls.record(call(None, model, 10, 10, at=at))
    for days, tile in (((0, 0), "Spend $"), ((7, 7), "Spend no price"), ((8, 13), "Spend –")):
        since, until = (f"{START - timedelta(days=days[::-1][place]):%Y-%m-%d}" for place in (0, 1))
        for path in ("/", "/cost"):
            shown = text(client, f"{path}?from={since}&to={until}").partition("Spend")[2][:40]
            assert shown.startswith(tile.removeprefix("Spend")), (path, days, shown)
            assert "%" not in shown, (path, days, shown)


def test_without_sub_agents_neither_their_runs_nor_their_failed_calls_count(site: Site) -> None:
    client, filled = site
    failed = replace(
        call(filled.child_run, "claude-opus-4-5", 1000, 0, at=START, session=filled.child, is_subagent=True),
        status=CallStatus.ERROR,
    )
    spent = filled.store.llm_calls.record(failed).cost_nanos
    assert f"Failed calls {formats.money(spent)}" in text(client, f"/cost?{WEEK}")
    tops = filled.store.usage.report(UsageBy.TOTAL, include_subagents=False).total.cost_nanos
    without = text(client, f"/cost?{WEEK}&subagents=without")
    assert f"Per run {formats.money(tops)} 1 run" in without
    assert "Failed calls – no call failed" in without


@pytest.mark.parametrize(
    ("tokens", "rates", "saved"),
    [
        (UsageTotals(cache_read_tokens=10**6), Rates(input=5, output=1, cache_read=1), 4),
        (UsageTotals(cache_read_tokens=10**6), Rates(input=5, output=1), 0),
        (UsageTotals(cache_write_5m_tokens=10**6), Rates(input=4, output=1, cache_write_5m=5), -1),
        (UsageTotals(cache_write_1h_tokens=10**6), Rates(input=4, output=1, cache_write_1h=8), -4),
        (UsageTotals(cache_write_1h_tokens=10**6), Rates(input=4, output=1, cache_write_5m=5), -1),
        (UsageTotals(input_tokens=10**6, output_tokens=10**6), Rates(input=4, output=1, cache_read=1), 0),
    ],
)
def test_a_cache_saves_what_reading_costs_less_than_input_and_writing_does_not_cost_more(
    tokens: UsageTotals, rates: Rates, saved: int
) -> None:
    assert cost_tiles.cache_savings(tokens, rates) == saved


def test_a_cache_that_was_only_written_to_cost_more_than_it_saved(site: Site) -> None:
    client, filled = site
    filled.store.prices.set(NewPrice(model="writer", rates=Rates(input=10**9, output=10**9, cache_write_1h=2 * 10**9)))
    tokens = TokenCounts(input=1, output=1, cache_write_1h=10**6)
    filled.store.llm_calls.record(NewLLMCall(model="writer", tokens=tokens, timestamp=START - timedelta(days=9)))
    day = f"{START - timedelta(days=9):%Y-%m-%d}"
    assert "Saved by cache −$1.00 " in text(client, f"/cost?from={day}&to={day}")


LINES = (
    "2026-03-02T09:00:00Z", "2026-03-02T09:00:01.123Z", "2026-03-02T09:00:02.123456Z", "2026-03-02T09:00:03+00:00",
    "2026-03-02T11:00:04.5+02:00", "2026-03-02T09:00:05.123456789Z", "2026-03-02T09:00:06",
)  # fmt: skip


def test_timestamps_of_every_iso_form_count_and_what_cannot_be_read_is_counted_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "projects" / "p"
    folder.mkdir(parents=True)
    rows = [
        {
            "type": "assistant", "sessionId": "s", "uuid": f"u{number}", "parentUuid": None, "timestamp": at,
            "requestId": f"r{number}", "version": "2.1.0", "cwd": "/w",
            "message": {
                "id": f"m{number}", "role": "assistant", "type": "message", "model": "claude-opus-4-5",
                "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 10, "output_tokens": 1},
            },
        }
        for number, at in enumerate((*LINES, "yesterday"))
    ]  # fmt: skip
    (folder / "s.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    path = str(tmp_path / "record.db")
    done = CliRunner().invoke(program, ["--db", path, "import", "claude-code", str(tmp_path / "projects")])
    assert done.exit_code == 0, done.output
    assert "1 line" in done.stderr + done.stdout
    with Store(path) as store:
        report = store.usage.report(UsageBy.DAY)
        assert (report.total.calls, report.total.input_tokens) == (len(LINES), 10 * len(LINES))
        assert [row.key for row in report.rows] == ["2026-03-02"]
        assert {call.timestamp.astimezone(UTC).second for call in store.llm_calls.list(limit=50)} == set(range(7))
        assert all(call.timestamp >= datetime(2026, 3, 2, 9, tzinfo=UTC) for call in store.llm_calls.list(limit=50))
        assert len(store.imports.unreadable().items) == 1
