"""The lists of runs and sessions: filters, ranges, facets, columns, totals and exports of the whole filter."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import cast
from urllib.parse import parse_qs, quote

import pytest
from page_fixtures import START, Filled, FixedClock, call, served, signed_in
from starlette.testclient import TestClient
from test_pages import _read

from agentrecord.dashboard import scales
from agentrecord.dashboard.filters import Range
from agentrecord.dashboard.stretches import moves_of, range_of, stretch_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.lengths import DAY
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.session import NewSession
from agentrecord.store.words import RUN_WORDS, SESSION_WORDS

Site = tuple[TestClient, Filled]
NOW = START + timedelta(days=1)


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def test_a_filter_in_words_finds_the_same_on_the_page_over_rest_and_in_the_export(site: Site) -> None:
    client, filled = site
    for text, found in (("has:error", {"r-1"}), ("model:claude-haiku-*", {"r-1/a"}), ("-agent:coder", {"r-1/a"})):
        asked = quote(text)
        page = _read(client, f"/runs?q={asked}&cols=run")
        assert f"All {len(found)} run" in page.text
        assert {name for name in ("r-1", "r-1/a") if f"{name} " in page.text} == found
        listed = client.get(f"/api/runs?q={asked}").json()
        assert {run["run_id"] for run in listed["items"]} == found
        assert client.get(f"/api/runs/sums?q={asked}").json()["runs"] == len(found)
        rows = list(csv.DictReader(io.StringIO(client.get(f"/runs.csv?q={asked}").text)))
        assert {row["run_id"] for row in rows} == found
        assert {run.run_id for run in filled.store.runs.list(RunFilter(query=text))} == found


def test_the_totals_of_the_runs_are_those_of_the_whole_filter_and_name_what_they_leave_out(site: Site) -> None:
    client, filled = site
    for number in range(60):
        run = filled.store.runs.start(NewRun(run_id=f"n-{number}", objective="many"))
        filled.store.llm_calls.record(
            call(run.id, "acme-local-70b" if number % 2 else "claude-opus-4-5", 100, 10, at=NOW)
        )
    page = _read(client, "/runs?q=many")
    assert "All 60 runs of this filter (excludes 30 calls without a price)" in page.text
    sums = filled.store.runs.sums(RunFilter(query="many"))
    assert f"{sums.totals.total_tokens:,}" in page.text
    assert client.get("/api/runs/sums?q=many").json()["totals"]["cost_nanos"] == sums.totals.cost_nanos
    assert len(json.loads(client.get("/runs.json?q=many").text)["items"]) == 60
    assert len(client.get("/runs.jsonl?q=many").text.splitlines()) == 60


def test_the_first_failure_of_a_run_leads_to_its_span(site: Site) -> None:
    client, filled = site
    page = _read(client, "/runs")
    assert f"/r/{filled.run}?span={filled.failed_tool}" in page.links
    other = filled.store.runs.start(NewRun(run_id="broken")).id
    failed = NewLLMCall(model="m", run_uuid=other, status=CallStatus.ERROR, error_message="overloaded")
    span = filled.store.llm_calls.record(failed).id
    page = _read(client, "/runs")
    assert f"/r/{other}?span={span}" in page.links
    assert "✕ m: overloaded" in page.text


def test_the_totals_of_failures_say_what_they_count(site: Site) -> None:
    client, filled = site
    for number in range(3):
        run = filled.store.runs.start(NewRun(run_id=f"broken-{number}", objective="in vain")).id
        filled.store.llm_calls.record(NewLLMCall(model="m", run_uuid=run, status=CallStatus.ERROR))
        filled.store.runs.fail(run, "overloaded")
    assert "✕ 3 runs, 3 LLM calls failed" in _read(client, "/runs?q=vain").text
    assert "✕ 3 runs, 3 LLM calls, 1 tool call failed" in _read(client, "/runs").text


def test_versions_stand_beside_agents_and_versions_and_environments_can_be_chosen(site: Site) -> None:
    client, filled = site
    version = filled.store.agents.create_version("coder", "2.5").id
    session = filled.store.sessions.create(NewSession(session_id="tried", metadata='{"env": "staging"}')).id
    filled.store.runs.start(
        NewRun(run_id="versioned", agent_id="coder", agent_version_uuid=version, session_uuid=session)
    )
    assert "coder 2.5" in _read(client, "/runs").text
    for path in ("/runs", "/sessions"):
        links = _read(client, path).links
        assert {"?q=version%3A2.5", "?q=env%3Astaging"} <= set(links), path
        assert client.get(f"/api{path}?q=version:2.5%20env:staging").json()["total"] == 1
    assert client.get("/api/runs/versioned").json()["agent_version"] == "2.5"


def test_a_range_that_begins_with_time_itself_has_none_before_it(site: Site) -> None:
    client, filled = site
    for number in ("1", "2"):
        filled.store.agents.create_version("coder", number)
    for path in ("/", "/cost", "/sessions", "/runs", "/agents", "/users", "/errors", "/agents/coder",
                 "/agents/coder/compare", "/u/ana"):  # fmt: skip
        for asked in ("from=0001-01-01", "from=0001-01-01&to=9999-12-31", "from=0001-01-02&to=0001-01-03"):
            answer = client.get(f"{path}?{asked}")
            assert answer.status_code in (200, 422), (path, asked)
            assert 'data-key="["' not in answer.text or asked.endswith("03"), (path, asked)


def test_pages_of_figures_move_by_their_own_range_and_can_be_fixed(site: Site) -> None:
    client, filled = site
    for number in ("1", "2"):
        filled.store.agents.create_version("coder", number)
    for path in ("/", "/cost", "/agents/coder", "/agents/coder/compare", "/u/ana"):
        page = client.get(f"{path}?since=24h").text
        earlier = unescape(re.findall(r'<a href="([^"]+)" rel="prev" data-key="\["', page)[0])
        assert 'rel="next"' not in page, path
        assert re.search(r'<a class="note" href="[^"]+" data-fixed data-key="y">fixed link', page), path
        before = client.get(path + earlier).text
        assert re.search(r'<a href="[^"]+" rel="next" data-key="\]"', before), path
        assert "UTC" in before.partition("Range of time")[2][:2_000], path
        assert 'rel="prev"' not in client.get(f"{path}?since=all").text, path


def test_what_is_called_like_a_word_of_an_address_is_found_by_its_row_id_and_its_page_by_name(site: Site) -> None:
    client, filled = site
    for name in ("sums", "facets", "values", "x/compare"):
        filled.store.runs.start(NewRun(run_id=name, agent_id=name), user=name)
        for kind, page in (("agent", "agents"), ("user", "u"), ("run", "r")):
            found = client.get(f"/api/{kind}s", params={"q": f'{kind}:"{name}"'}).json()["items"]
            assert len(found) == 1, (kind, name)
            row = found[0].get(kind, found[0])
            told = client.get(f"/api/{kind}s/{row['id']}").json()
            assert f'"{name}"' in str(told).replace("'", '"'), (kind, name)
            assert client.get(f"/{page}/{quote(name, safe='')}").status_code == 200, (kind, name)
    assert "is asked for by its row id" in client.get("/api/openapi.json").json()["info"]["description"]


def test_facets_add_a_term_and_active_terms_are_dropped(site: Site) -> None:
    client, _ = site
    page = _read(client, "/runs")
    assert "?q=agent%3Acoder" in page.links
    assert "?q=model%3Aclaude-opus-4-5" in page.links
    page = _read(client, "/runs?q=agent%3Acoder+fix&sort=cost")
    assert "?q=fix&sort=cost" in page.links
    assert "?q=agent%3Acoder&sort=cost" in page.links
    assert "?q=agent%3Acoder+fix+status%3Acompleted&sort=cost" in page.links


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/runs?q=statsu:error", "is no word here; there are status"),
        ("/runs?q=cost:much", "write dollars"),
        ("/runs?cols=odd", "is no column"),
        ("/runs?sort=odd", "must be one of"),
        ("/sessions?q=%22open", "a quote that does not end"),
    ],
)
def test_a_filter_that_is_not_understood_shows_the_reason_and_no_rows(site: Site, path: str, says: str) -> None:
    client, filled = site
    answer = client.get(path)
    assert answer.status_code == 422
    assert says in answer.text
    assert 'role="alert"' in answer.text
    assert str(filled.run) not in answer.text
    assert str(filled.session) not in answer.text
    assert client.get("/api" + path.partition("?")[0] + "?q=statsu:error").status_code == 422


def test_the_list_begins_with_a_week_unless_nothing_happened_in_it(site: Site) -> None:
    client, filled = site
    assert "started in this range" in _read(client, "/runs").text
    assert "last active in this range" in _read(client, "/sessions").text
    clock = filled.store.engine.maker.clock
    vars(clock)["at"] = NOW + timedelta(days=30)
    assert "in this range" not in _read(client, "/runs").text
    assert "All 2 sessions" in _read(client, "/sessions").text
    page = _read(client, "/runs?since=7d")
    assert "No run matches in this range. There are 2 outside of it: show all times" in page.text


def test_columns_are_chosen_by_the_address_and_every_one_of_them_is_shown(site: Site) -> None:
    client, _ = site
    few = client.get("/runs?cols=cost&cols=started").text
    head = few[few.index("cards list") : few.index("</thead>", few.index("cards list"))]
    assert head.count("<th ") == 3
    assert "LLM calls" not in head
    both = {"/runs": ("run", "error", "user"), "/sessions": ("id", "source", "created", "status", "directory")}
    for path, names in both.items():
        shown = _read(client, f"{path}?cols={','.join(names)}")
        assert "All 2" in shown.text


def test_the_words_of_the_filter_are_offered_with_what_was_seen(site: Site) -> None:
    client, _ = site
    assert client.get("/api/runs/values?word=model&prefix=claude-h").json() == {"items": ["claude-haiku-4-5"]}
    assert client.get("/api/sessions/values?word=directory").json() == {"items": ["/home/ana/work"]}
    assert client.get("/api/sessions/values?word=odd").status_code == 422
    text = client.get("/runs").text
    assert all(f"&#34;name&#34;:&#34;{word}&#34;" in text for word in RUN_WORDS.known)
    assert all(f"&#34;name&#34;:&#34;{word}&#34;" in client.get("/sessions").text for word in SESSION_WORDS.known)


def test_ranges_are_moved_by_their_own_length_and_fixed_for_a_link() -> None:
    hour = stretch_of({"since": "1h"}, NOW)
    assert hour == Range(name="1h", since=NOW - timedelta(hours=1))
    moves = moves_of({"since": "1h", "q": "x", "after": "c"}, hour, NOW)
    assert moves.later is None
    assert parse_qs((moves.earlier or "")[1:]) == {
        "q": ["x"], "from": ["2026-03-03T07:00:00"], "to": ["2026-03-03T08:00:00"],
    }  # fmt: skip
    earlier = stretch_of({name: value[0] for name, value in parse_qs((moves.earlier or "")[1:]).items()}, NOW)
    back = moves_of({}, earlier, NOW)
    assert parse_qs((back.later or "")[1:]) == parse_qs((moves_of({}, hour, NOW).fixed or "")[1:])
    day = stretch_of({"from": "2026-01-31", "to": "2026-01-31"}, NOW)
    assert (day.since, day.until) == (datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    for asked in ({"since": "1y"}, {"from": "x"}, {"from": "2026-01-02", "to": "2026-01-01"}, {"since": "99999w"}):
        with pytest.raises(InvalidFilter):
            stretch_of(asked, NOW)


def test_ranges_of_figures_are_whole_hours_or_whole_days_and_end_with_the_present_one() -> None:
    now, first = datetime(2026, 3, 3, 9, 30, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    for asked, since, until in (
        ({"since": "7d"}, first - timedelta(days=7), first),
        ({"since": "36h"}, first - timedelta(days=2), first),
        ({"from": "2026-03-01T10:00", "to": "2026-03-02T00:00"}, datetime(2026, 3, 1, tzinfo=UTC), first - DAY - DAY),
    ):
        found = stretch_of(asked, now, whole=DAY)
        assert (found.since, found.until) == (since, until)
        moves = moves_of(asked, found, now)
        fixed = stretch_of(
            {name: value[0] for name, value in parse_qs((moves.fixed or "")[1:]).items()}, now, whole=DAY
        )
        assert (fixed.since, fixed.until) == (since, until)
    hours = range_of({"since": "36h"}, now)
    assert (hours.since, hours.until) == (datetime(2026, 3, 1, 22, tzinfo=UTC), datetime(2026, 3, 3, 10, tzinfo=UTC))
    assert range_of({"since": "7d"}, now) == stretch_of({"since": "7d"}, now, whole=DAY)


def test_an_export_is_in_an_order_that_nothing_changes_while_it_is_written(site: Site) -> None:
    """A session that becomes active meanwhile would leap over the page that is read next, and be left out."""
    client, filled = site
    for name in ("older", "newer"):
        filled.store.sessions.create(NewSession(session_id=name))
    filled.store.engine.maker.clock.at += timedelta(hours=1)
    said = [NewMessage(role=MessageRole.USER, content="here again")]
    filled.store.messages.append(filled.store.sessions.get("older").id, said)
    lines = client.get("/sessions.jsonl?since=all").text.splitlines()
    names = [json.loads(line)["session_id"] for line in lines]
    assert names.index("newer") < names.index("older")
    by_activity = client.get("/sessions.jsonl?since=all&sort=-last_activity_at").text.splitlines()
    assert json.loads(by_activity[0])["session_id"] == "older"


def test_the_chart_of_runs_has_a_line_of_how_long_they_took_and_its_numbers_as_a_table(site: Site) -> None:
    client, filled = site
    clock = cast(FixedClock, filled.store.engine.maker.clock)
    for name, days, seconds in (("a", 5, 10), ("b", 5, 30), ("c", 3, 3600), ("d", 2, None)):
        clock.at = NOW - timedelta(days=days)
        run = filled.store.runs.start(NewRun(run_id=name))
        if seconds is not None:
            clock.at += timedelta(seconds=seconds)
            filled.store.runs.finish(run.id)
    clock.at = NOW
    page = client.get("/runs?since=7d&q=-has:session").text
    chart = page.partition("<figure")[2].partition("</figure>")[0]
    text = " ".join(unescape(re.sub(r"<[^>]*>", " ", chart)).split())
    assert "by status, and how long they took" in text
    assert "from completed running p50 duration p95 duration 2026-02-26" in text
    assert re.search(r"2026-02-26 \S+ 2 – 20\.0 s 29\.0 s", text)
    assert re.search(r"2026-02-28 \S+ 1 – 1 h 00 m 1 h 00 m", text)
    assert re.search(r"2026-03-01 \S+ – 1 – –", text)
    # Between two periods in which runs ended nothing is drawn where none did; each point says what it is.
    assert chart.count("<circle") == 4
    assert "p95 duration: 29.0 s</title>" in chart
    # It reaches over the whole range, though nothing began at its ends, and a script is told what asks for each bar.
    told = json.loads(unescape(re.findall(r' data-chart="([^"]*)"', chart)[0]))
    assert (told["bars"][0][0][:10], told["bars"][-1][0][:10]) == ("2026-02-24", "2026-03-03")
    assert [bar[1] for bar in told["bars"] if bar[1]] == ["2 runs", "1 run", "1 run"]
    assert {len(bar) for bar in told["bars"]} == {4}
    asked = {"q": "-has:session", "bucket_s": 86_400}
    rest = client.get("/api/runs/series", params=asked).json()["items"]
    assert [(one["timed_runs"], one["p50_ms"], one["p95_ms"]) for one in rest] == [
        (2, 20_000.0, 29_000.0), (1, 3_600_000.0, 3_600_000.0), (0, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lowest", "highest", "lines"),
    [(500, 400_000, [100, 1_000, 10_000, 60_000, 600_000]), (0.2, 0.4, [1, 10]), (1_000, 1_000, [1_000, 10_000]),
     (9e12, 9e12, [864_000_000, 8_640_000_000])],
)  # fmt: skip
def test_a_scale_of_times_holds_them_all_with_lines_at_times_that_people_know(
    lowest: float, highest: float, lines: list[int]
) -> None:
    assert list(scales.time_scale(lowest, highest)) == lines
