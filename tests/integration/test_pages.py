"""The pages: what they show, that their numbers are the store's, that every link of theirs leads somewhere."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from page_fixtures import NASTY, START, Filled, call, served, signed_in
from starlette.testclient import TestClient

from agentrecord.dashboard import charts, formats, scales
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy, UsageTotals

Site = tuple[TestClient, Filled]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


class _Reader(HTMLParser):
    """Collects links, ids, text, and elements that were not closed."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})
    SVG = frozenset({"rect", "line"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.following: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.tables: list[list[str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(found["href"] or "")
            if found.get("rel") == "next":
                self.following.append(found["href"] or "")
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag == "table":
            self.tables.append([])
        elif self.tables and (tag in ("caption", "th")):
            self.tables[-1].append(tag if tag == "caption" else f"th:{found.get('scope')}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return None

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _read(client: TestClient, path: str) -> _Reader:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return _Reader(answer.text)


def test_every_link_from_the_first_page_on_leads_to_a_whole_page(site: Site) -> None:
    client, _ = site
    waiting, seen, variants = ["/"], set(), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        # Each list leads to itself in thousands of ways: some of them do.
        if path in seen or len(seen) > 250 or variants[path.partition("?")[0]] > 8:
            continue
        seen.add(path)
        variants[path.partition("?")[0]] += 1
        answer = client.get(path)
        if answer.status_code == 303:
            waiting.append(answer.headers["location"].partition("#")[0])
            continue
        assert answer.status_code == 200, path
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        page = _Reader(answer.text)
        assert page.open == [], path
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            target, _, mark = link.partition("#")
            assert not mark or target or mark in page.ids, (path, link)
            if "theme=" in target:
                continue
            waiting.append(path.partition("?")[0] + target if target.startswith("?") else target or path)
    assert {"/", "/sessions", "/runs", "/cost", "/errors", "/prices", "/imports"} <= seen
    assert any(path.startswith("/s/") for path in seen)
    assert any(path.startswith("/r/") for path in seen)


def test_tables_have_captions_and_heads_with_a_scope(site: Site) -> None:
    client, filled = site
    for path in ("/", "/sessions", "/runs", "/cost", "/errors", "/prices", f"/s/{filled.session}", f"/r/{filled.run}"):
        for table in _read(client, path).tables:
            assert table[0] == "caption", path
            assert not [head for head in table[1:] if head not in ("th:col", "th:row")], path


def test_an_empty_record_says_how_to_begin_and_shows_no_zeros() -> None:
    with served(filled=False, command="agentrecord --db /data/my.db") as (client, _):
        signed_in(client)
        # What is typed from a page reaches the record that the page shows.
        for path in ("/", "/sessions", "/runs"):
            assert "agentrecord --db /data/my.db import claude-code" in _read(client, path).text, path
        for path in ("/sessions", "/runs", "/cost", "/errors", "/prices", "/imports", "/search"):
            text = _read(client, path).text
            assert "$0" not in text, path
            assert "0 %" not in text, path


def test_the_cost_page_shows_the_numbers_of_the_report(site: Site) -> None:
    client, filled = site
    for by in (UsageBy.MODEL, UsageBy.DAY, UsageBy.SESSION, UsageBy.AGENT, UsageBy.DIRECTORY, UsageBy.USER):
        text = _read(client, f"/cost?since=all&by={by}").text
        report = filled.store.usage.report(by)
        for row in report.rows:
            cells = f"{row.totals.calls:,} {row.totals.input_tokens:,} {row.totals.cache_read_tokens:,}"
            assert cells in text, (by, row)
            assert formats.cost(row.totals) in text
        assert formats.cost(report.total) in text


def test_without_sub_agents_the_cost_page_counts_fewer_calls(site: Site) -> None:
    client, filled = site
    without = filled.store.usage.report(UsageBy.TOTAL, include_subagents=False).total
    text = _read(client, "/cost?since=all&subagents=without").text
    assert f"Spend {formats.cost(without)}" in text
    assert "claude-haiku-4-5" not in text.partition("Prices behind these figures")[0]


def test_unpriced_calls_are_named_wherever_a_total_is_and_never_zero_dollars(site: Site) -> None:
    client, _ = site
    for path in ("/", "/cost?since=all"):
        text = _read(client, path).text
        assert "1 call (2,550 tokens) on acme-local-70b has no price: totals exclude it." in text, path
        assert "agentrecord prices set acme-local-70b" in text
    sessions = _read(client, "/sessions").text
    assert "no price" in sessions
    assert "(excludes 1 call without a price)" in sessions


def test_budgets_are_shown_with_how_they_stand_and_the_overview_warns_of_those_nearly_used_up(site: Site) -> None:
    client, filled = site
    for path in ("/", "/cost"):
        assert "udget" not in _read(client, path).text, path
    spent = filled.store.usage.report(UsageBy.TOTAL).total.cost_nanos
    limits = {"wide": spent * 2, f"edge {NASTY}": spent * 5 // 4, "over": spent - 1, "off": 1}
    for name, limit in limits.items():
        filled.store.budgets.create(
            NewBudget(name=name, period=BudgetPeriod.MONTH, limit_nanos=limit, is_active=name != "off")
        )
    filled.store.budgets.create(
        NewBudget(name="zoe's", period=BudgetPeriod.TOTAL, limit_nanos=10**9, user="zoe", agent_id="coder")
    )
    costs = _read(client, "/cost?since=24h")
    assert costs.open == []
    text = costs.text.partition("Budgets")[2]
    money = formats.money(spent)
    assert f"wide everybody {formats.money(spent * 2)} a month {money} $0 50 % ✓ ok excludes 1 call" in text
    assert f"over everybody {formats.money(spent - 1)} a month {money} $0 100 % ✕ over" in text
    assert "80 % ⚠ near" in text
    assert "zoe's zoe with coder $1.00 in total $0 $0 – ✓ ok" in text.replace("0.0 %", "–")
    first = _read(client, "/").text
    assert f"budget over is over: {money} of {formats.money(spent - 1)} a month spent" in first
    assert "is nearly used up" in first
    assert "it starts anew on 2026-04-01" in first
    assert first.count("⚠ budget") + first.count("✕ budget") == 2
    assert NASTY not in client.get("/cost").text + client.get("/").text


def test_the_sessions_page_shows_subtree_costs_and_the_sum_of_the_whole_filter(site: Site) -> None:
    client, filled = site
    text = _read(client, "/sessions").text
    session = filled.store.sessions.get("s-1", with_subtree=True)
    assert session.subtree is not None
    assert f"{session.subtree.total_tokens:,}" in text
    prices = filled.store.sessions.sums().prices
    assert f"All 2 sessions of this filter (excludes 1 call without a price) prices: {prices} 2" in text
    assert f"{filled.store.usage.report(UsageBy.TOTAL).total.total_tokens:,}" in text


def test_sessions_are_ordered_by_the_cost_that_is_shown(site: Site) -> None:
    client, filled = site
    top = filled.store.sessions.create(NewSession(session_id="cheap-alone"))
    below = filled.store.sessions.create(NewSession(session_id="costly", parent_uuid=top.id))
    filled.store.llm_calls.record(call(None, "claude-opus-4-5", 90_000, 9_000, at=START, session=below.id))
    text = _read(client, "/sessions?sort=-tree_cost").text
    assert text.index("cheap-alone") < text.index("Fix it") < text.index("Local model")
    text = _read(client, "/sessions?sort=tree_cost").text
    assert text.index("cheap-alone") > text.index("Fix it") > text.index("Local model")


def test_more_sessions_than_a_page_holds_are_reached_by_next(site: Site) -> None:
    client, filled = site
    for number in range(120):
        filled.store.sessions.create(
            NewSession(session_id=f"many-{number:03}", created_at=START + timedelta(seconds=number))
        )
    names: list[str] = []
    path: str | None = "/sessions?q=many"
    while path is not None:
        page = _read(client, path)
        names.extend(re.findall(r"many-\d{3}", page.text))
        assert "All 120 sessions" in page.text
        assert len(names) <= 120
        path = "/sessions" + page.following[0] if page.following else None
    assert len(names) == len(set(names)) == 120


def test_a_filter_that_finds_nothing_names_what_to_drop(site: Site) -> None:
    page = _read(site[0], "/sessions?q=nonsense&source=claude-code")
    assert "No session matches in this range." in page.text
    assert "?q=source%3Aclaude-code" in page.links
    assert "?q=nonsense" in page.links


@pytest.mark.parametrize(
    "path",
    ["/sessions?since=7x", "/sessions?bogus=1", "/sessions?status=odd", "/sessions?sort=odd", "/sessions?after=odd",
     "/cost?by=odd", "/cost?from=odd", "/cost?from=2026-03-02&to=2026-03-01", "/runs?errors=odd", "/search?q=x&page=0",
     "/cost?since=99999d", "/sessions.csv?since=odd", "/cost.json?by=odd"],
)  # fmt: skip
def test_a_filter_that_cannot_be_understood_shows_no_rows_and_the_reason(site: Site, path: str) -> None:
    client, filled = site
    answer = client.get(path)
    assert answer.status_code == 422
    name = path.partition("?")[2].split("&")[-1].partition("=")[0]
    assert f"<code>{name.replace('after', 'cursor')}</code>" in answer.text
    assert str(filled.session) not in answer.text


def test_a_page_that_is_not_there_says_so(site: Site) -> None:
    for path in ("/s/none", "/r/none", "/nope", "/sessions.xml", f"/m/{site[1].run}"):
        answer = site[0].get(path)
        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"].startswith("text/html")
    assert "No run &#39;nope&#39; here; it may be of another project, or be deleted." in site[0].get("/r/nope").text
    assert "may be of another project" not in site[0].get("/nope").text


def test_a_session_shows_its_conversation_turn_by_turn(site: Site) -> None:
    client, filled = site
    page = _read(client, f"/s/{filled.session}")
    order = ["Turn 1", "Please fix", "Perhaps the index.", "I look at the broken commit.", "git status", "fatal:"]
    places = [page.text.index(text, page.text.index("Turn 1")) for text in order]
    assert places == sorted(places)
    assert f"m-{filled.message}" in page.ids
    assert f"/s/{filled.child}" in page.links
    assert "Context compacted" in page.text
    session = filled.store.sessions.get("s-1", with_subtree=True)
    assert f"Cost {formats.cost(session.subtree)} {formats.cost(session.usage)} without sub-agents" in page.text


def test_a_long_session_is_shown_in_stretches_that_hold_every_message_once(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="long"))
    said = [NewMessage(role=MessageRole.USER, content=f"word-{number:04}") for number in range(450)]
    messages = filled.store.messages.append(session.id, said).messages
    words: list[str] = []
    path: str | None = "/s/long"
    while path is not None:
        page = _read(client, path)
        words.extend(re.findall(r"word-\d{4}", page.text))
        assert len(words) <= 450
        path = "/s/long" + page.following[0] if page.following else None
    assert words == [f"word-{number:04}" for number in range(450)]
    target = client.get(f"/m/{messages[333].id}").headers["location"]
    page = _read(client, target)
    assert target.partition("#")[2] in page.ids


def test_what_a_run_cost_and_what_it_comes_to_with_sub_agents_are_two_figures(site: Site) -> None:
    client, filled = site
    free = call(filled.child_run, "acme-local-70b", 500, 50, at=START, session=filled.child)
    filled.store.llm_calls.record(free)
    run = filled.store.runs.get(filled.run, with_subtree=True)
    own, whole = formats.cost(run.usage), formats.cost(run.subtree)
    assert f"{own} · {whole} ⚠ with sub-agents" in _read(client, f"/s/{filled.session}?tab=runs").text
    filled.store.tool_calls.record(NewToolCall(tool_name="Read", run_uuid=filled.child_run, started_at=START))
    tile = f"Cost {whole} {own} without sub-agents · excludes 1 call without a price"
    page = _read(client, f"/r/{filled.run}").text
    assert tile in page
    assert "Tool calls 2 ✕ 1 failed · 1 without sub-agents" in page
    alone = filled.store.runs.get(filled.child_run)
    tile = f"Cost {formats.cost(alone.usage)} excludes 1 call without a price"
    assert tile in _read(client, f"/r/{filled.child_run}").text


def test_a_run_shows_its_tree_and_its_first_failure(site: Site) -> None:
    client, filled = site
    page = _read(client, f"/r/{filled.run}")
    assert "first failure: Bash" in page.text
    assert "tool · Bash" in page.text
    for name in ("coder", "claude-opus-4-5", "explorer", "claude-haiku-4-5"):
        assert name in page.text
    chosen = _read(client, f"/r/{filled.run}?span={filled.call}")
    price = filled.store.llm_calls.price(filled.call)
    assert price is not None
    assert f"charged by {price.source}" in chosen.text
    assert f"input, uncached 1,000 {formats.rate(price.rates.input)}" in chosen.text


def test_a_run_of_many_spans_is_shown_in_pages_and_a_chosen_span_is_on_its_page(site: Site) -> None:
    client, filled = site
    calls = [
        filled.store.llm_calls.record(call(filled.run, f"model-{number:03}", 10, 10, at=START + timedelta(hours=2)))
        for number in range(450)
    ]
    names: list[str] = []
    path: str | None = f"/r/{filled.run}"
    while path is not None:
        page = _read(client, path)
        names.extend(re.findall(r"llm (model-\d{3})", page.text))
        assert len(page.ids) + len(page.links) < 3000
        assert len(names) <= 450
        path = f"/r/{filled.run}{page.following[0]}" if page.following else None
    assert sorted(names) == [f"model-{number:03}" for number in range(450)]
    chosen = calls[400]
    assert f"?span={chosen.id}#detail" in _read(client, f"/r/{filled.run}?span={chosen.id}").links


def test_idle_time_can_be_cut_out_of_a_run_so_that_its_work_is_seen(site: Site) -> None:
    client, filled = site
    run = filled.store.runs.start(NewRun(run_id="idle", started_at=START))
    for hours in (0, 10):
        at = START + timedelta(hours=hours, minutes=6)
        filled.store.llm_calls.record(replace(call(run.id, "gpt-4o", 10, 10, at=at), latency_ms=360_000))
    widths = {}
    for idle in ("shown", "cut"):
        page = client.get(f"/r/idle?idle={idle}").text
        assert "without a call or a tool" in page
        widths[idle] = [
            float(width) for width in re.findall(r'<rect class="llm" x="[\d.]+" y="2" width="([\d.]+)"', page)
        ]
    assert len(widths["shown"]) == len(widths["cut"]) == 2
    assert max(widths["shown"]) < 2
    assert min(widths["cut"]) > 5 * max(widths["shown"])
    assert client.get("/r/idle?idle=odd").status_code == 422


def test_a_search_leads_to_all_sessions_and_runs_that_have_its_words(site: Site) -> None:
    client, filled = site
    filled.store.sessions.create(NewSession(session_id="quest", title="Where is a:b, they said"))
    filled.store.runs.start(NewRun(run_id="aim", objective="Where is a:b, they asked"))
    page = client.get("/search", params={"q": 'where "a:b'}).text
    assert "looked through in the latest 5,000 sessions and runs" in page
    links = [unescape(href) for href in re.findall(r'href="(/(?:sessions|runs)\?q=[^"]*)"', page)]
    assert [path.partition("?")[0] for path in links] == ["/sessions", "/runs"]
    for path, told in zip(links, ("Where is a:b, they said", "Where is a:b, they asked"), strict=True):
        listed = client.get(path).text
        assert told in listed, path
        assert "All 1 " in listed, path


def test_search_finds_words_marks_them_and_leads_to_the_message(site: Site) -> None:
    client, filled = site
    answer = client.get("/search?q=broken")
    assert "<mark>broken</mark>" in answer.text
    link = next(link for link in _Reader(answer.text).links if link.startswith("/s/"))
    assert f"m-{filled.message}" == link.partition("#")[2]
    assert f"m-{filled.message}" in _read(client, link).ids


@pytest.mark.parametrize("shape", ["json", "jsonl", "csv"])
def test_an_export_holds_the_whole_filter(site: Site, shape: str) -> None:
    client, filled = site
    for number in range(230):
        filled.store.sessions.create(NewSession(session_id=f"=many-{number}"))
    answer = client.get(f"/sessions.{shape}?q=many")
    assert f'filename="sessions.{shape}"' in answer.headers["content-disposition"]
    if shape == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        names = [row["session_id"] for row in rows]
        assert all(name.startswith("'=") for name in names)
    else:
        items = json.loads(answer.text)["items"] if shape == "json" else map(json.loads, answer.text.splitlines())
        names = [item["session_id"] for item in items]
    assert len(names) == len(set(names)) == 230


def test_the_cost_export_adds_up_to_the_report(site: Site) -> None:
    client, filled = site
    total = filled.store.usage.report(UsageBy.TOTAL).total
    rows = list(csv.DictReader(io.StringIO(client.get("/cost.csv?since=all&by=session").text)))
    assert sum(int(row["total_tokens"]) for row in rows) == total.total_tokens
    assert client.get("/cost.json?since=all").json()["total"]["cost_nanos"] == total.cost_nanos


def test_the_theme_is_kept_in_a_cookie(site: Site) -> None:
    client, _ = site
    assert 'data-theme="auto"' in client.get("/").text
    assert 'data-theme="dark"' in client.get("/?theme=dark").text
    for path in ("/sessions", "/s/none", "/cost?by=nothing"):
        assert 'data-theme="dark"' in client.get(path).text, path
    assert 'data-theme="auto"' in client.get("/sessions?theme=%22onload").text


def test_a_model_keeps_its_colour_when_others_come(site: Site) -> None:
    _, filled = site
    before = charts.series_slots(filled.store.usage.names(UsageBy.MODEL))
    for days in (1, -500):
        filled.store.llm_calls.record(call(None, f"gpt-{days}", 10, 10, at=START + timedelta(days=days)))
    after = charts.series_slots(filled.store.usage.names(UsageBy.MODEL))
    assert {name: after[name] for name in before} == before
    assert (after["gpt-1"], after["gpt--500"]) == (3, 4)


def test_a_range_counts_what_happened_in_it_and_compares_with_the_time_before(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(call(None, "claude-opus-4-5", 10, 10, at=START - timedelta(days=5)))
    text = _read(client, "/cost?since=2d").text
    assert re.search(r"Total 3 \d", text)
    spent = filled.store.usage.report(UsageBy.TOTAL, since=START - timedelta(days=1)).total.cost_nanos
    before = filled.store.llm_calls.record(call(None, "claude-opus-4-5", 1000, 200, at=START - timedelta(days=2)))
    assert before.cost_nanos is not None
    change = formats.percent(spent - before.cost_nanos, before.cost_nanos)
    assert f"▲ {change} vs previous 2d" in _read(client, "/cost?since=2d").text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(None, "–"), (0, "$0"), (99_999, "<$0.0001"), (100_000, "$0.0001"), (12_345_678, "$0.0123"),
     (1_000_000_000, "$1.00"), (1_234_567_890_000, "$1,234.57")],
)  # fmt: skip
def test_money_is_written_by_its_size(nanos: int | None, text: str) -> None:
    assert formats.money(nanos) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "–"), (57, "57 ms"), (4020, "4.02 s"), (40_800, "40.8 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 05 m")],
)
def test_durations_are_written_by_their_size(milliseconds: float | None, text: str) -> None:
    assert formats.duration(milliseconds) == text


def test_costs_without_calls_or_prices_are_no_zeros() -> None:
    assert formats.cost(UsageTotals()) == "–"
    assert formats.cost(UsageTotals(calls=2, unpriced_calls=2)) == "no price"
    assert formats.cost(UsageTotals(calls=2, unpriced_calls=1, cost_nanos=2_000_000_000)) == "$2.00"


@pytest.mark.parametrize("highest", [1, 3, 7, 1_000_000, 14_580_000_000, 10**15])
def test_a_scale_has_few_lines_at_whole_steps_and_holds_the_highest(highest: int) -> None:
    step, top = scales.scale(highest)
    assert top >= highest
    assert top % step == 0
    assert top // step <= 5
