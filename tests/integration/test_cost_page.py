"""The page of costs: its rows lead to the work behind them, and what is split leaves as it is shown."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from page_fixtures import START, Filled, call, served, signed_in
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.dashboard import cost, formats
from agentrecord.dashboard.figures import GROUPED
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy, UsageTotals
from agentrecord.store import AsyncStore, Store

Site = tuple[TestClient, Filled]
NONE = "No run matches"
BEHIND = {
    "by=model": {"claude-opus-4-5": "1 run", "claude-haiku-4-5": "1 run", "acme-local-70b": NONE},
    "by=user": {"ana": "3 runs", "bob": NONE},
    "by=agent": {"coder": "2 runs", "explorer": "1 run", "unknown": None},
    "by=version": {"coder 1.0": "1 run", "no version": None},
    "by=tool": {"Bash": "1 run", "Look up": "1 run", "no tool": None},
    "by=session": {"Local model": "Local model"},
    "by=directory": {"/home/ana/work": "1 session", "unknown": None},
    "by=project": {"default": None},
    "by=host": {"Anthropic": None, "local": None},
    "by=day": {"2026-03-02": "1 run"},
    "by=week": {"2026-03-02": "3 runs"},
    "by=month": {"2026-03": "3 runs"},
    "by=model&split=agent": {"claude-haiku-4-5": "1 run", "acme-local-70b": None},
    "by=day&split=model": {"2026-03-02": NONE},
    "by=model&split=host": {"claude-haiku-4-5": None},
    "by=version&split=model": {"coder 1.0": "1 run", "no version": None},
    "by=user&split=version": {"ana": None},
}
"""How many runs or sessions are behind the first row of a name; None where no list can be asked for them."""


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        version = filled.store.agents.create_version("coder", "1.0").id
        new = NewRun(run_id="versioned", agent_id="coder", agent_version_uuid=version, started_at=START)
        run = filled.store.runs.start(new, user="ana").id
        filled.store.llm_calls.record(call(run, "claude-sonnet-4-5", 10, 10, at=START))
        filled.store.tool_calls.record(NewToolCall(tool_name="Look up", run_uuid=run, started_at=START))
        yield signed_in(client), filled


def rows_of(page: str) -> dict[str, str | None]:
    """Return the names of a page's rows, each with the address that its first one leads to."""
    (body,) = re.findall(r"<tbody>((?:(?!<tbody>).)*?)</tbody>\s*<tfoot>", page, re.DOTALL)
    found: dict[str, str | None] = {}
    for cell in re.findall(r'<th scope="row" class="main">(.*?)</th>', body, re.DOTALL):
        link = re.search(r'href="([^"]*)"', cell)
        found.setdefault(unescape(re.sub("<.*?>", "", cell)).strip(), None if link is None else unescape(link[1]))
    return found


def test_each_row_leads_to_the_work_behind_it(site: Site) -> None:
    client, _ = site
    assert {way.partition("&")[0].removeprefix("by=") for way in BEHIND} == set(GROUPED)
    for way, rows in BEHIND.items():
        found = rows_of(client.get(f"/cost?since=all&{way}").text)
        for name, behind in rows.items():
            assert (found[name] is None) == (behind is None), (way, name)
            if behind is not None:
                page = client.get(found[name] or "")
                assert page.status_code == 200, (way, name)
                shown = " ".join(re.sub("<.*?>", " ", page.text).split())
                assert (f"All {behind} " in shown) if behind[0].isdigit() else (behind in shown), (way, name)


def test_a_part_of_a_bar_leads_to_the_runs_of_its_days_and_its_name(site: Site) -> None:
    client, _ = site
    day = "/runs?from=2026-03-02&to=2026-03-02"
    for of, words in (
        ("model", "model%3Aclaude-sonnet-4-5"), ("agent", "agent%3Acoder"), ("user", "user%3Aana"),
        ("version", "agent%3Acoder+version%3A1.0"),
    ):  # fmt: skip
        chart = client.get(f"/cost?since=all&by={of}").text.partition("<figure")[2].partition("</figure>")[0]
        drawing, _, table = chart.partition("</svg>")
        links = {unescape(link) for link in re.findall(r'href="([^"]*)"', drawing)}
        told = {unescape(link) for link in re.findall(r'<td><a href="([^"]*)"', table)}
        # What is of no version has no words for it: its part leads where its bar does.
        assert links == told | ({day} if of == "version" else set()), of
        asked = f"{day}&q={words}"
        assert asked in links, of
        assert "All 1 run " in " ".join(re.sub("<.*?>", " ", client.get(asked).text).split()), of
        assert ("<title>2026-03-02 · coder 1.0: " in drawing) == (of == "version")


def test_what_is_split_leaves_as_it_is_shown_in_every_shape_over_rest_and_on_the_command_line(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    with Store(path) as store:
        for user, model, cost in (("ana", "m1", 1), ("ana", "m2", 10), ("ben", "m1", 100), ("ben", "m1", 1000)):
            store.scoped(user=user).llm_calls.record(NewLLMCall(model=model, cost_nanos=cost, timestamp=START))
    run = ["--db", path, "cost", "--by", "model", "--split", "user", "--since", "all"]
    told = json.loads(CliRunner().invoke(program, [*run, "--json"]).stdout)
    expected = [("m1", "ben", 2, 1.1e-6), ("m2", "ana", 1, 1e-8), ("m1", "ana", 1, 1e-9)]
    assert [(row["model"], row["by_user"], row["calls"], row["cost_usd"]) for row in told["rows"]] == expected
    assert (told["split"], told["total"]["calls"]) == ("user", 4)
    rows = csv.DictReader(io.StringIO(CliRunner().invoke(program, [*run, "--csv"]).stdout))
    assert [(row["model"], row["by_user"], int(row["calls"])) for row in rows] == [one[:3] for one in expected]
    refused = CliRunner().invoke(program, ["--db", path, "cost", "--by", "session", "--split", "user"])
    assert refused.exit_code == 2


def test_an_export_of_what_is_split_holds_the_rows_of_the_page(site: Site) -> None:
    client, _ = site
    asked = "?since=all&by=day&split=model"
    lines = [json.loads(line) for line in client.get(f"/cost.jsonl{asked}").text.splitlines()]
    assert [(row["key"], row["split"]) for row in lines][:2] == [
        ("2026-03-02", "claude-opus-4-5"), ("2026-03-02", "claude-haiku-4-5"),
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(client.get(f"/cost.csv{asked}").text)))
    page = client.get(f"/cost{asked}").text
    assert f'href="/cost.csv{asked.replace("&", "&amp;")}"' in page
    assert {(row["day"], row["by_model"], row["cost_usd"] or "None") for row in rows} == {
        (row["key"], row["split"], str(row["totals"]["cost_usd"])) for row in lines
    }
    for wrong in ("by=session&split=model", "by=model&split=model", "by=model&split=odd"):
        assert client.get(f"/cost.csv?{wrong}").status_code == 422, wrong


def test_a_change_is_measured_against_the_days_before_and_told_in_times_where_it_is_large(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(call(None, "claude-opus-4-5", 1, 1, at=START - timedelta(days=2)))
    shown = re.sub("<.*?>", " ", client.get("/cost?from=2026-03-01&to=2026-03-02").text)
    assert re.search(r"▲ × \d[\d,]+ vs the 2 days before", shown)
    assert [formats.delta(change) for change in (0.0, 0.5, -0.25, 8.0, 9.0)] == [
        "▲ 0.0 %", "▲ 50 %", "▼ 25 %", "▲ 800 %", "▲ × 10",
    ]  # fmt: skip


def test_where_a_total_is_stands_what_priced_it_and_many_models_are_told_in_few_lines(site: Site) -> None:
    client, filled = site
    for path in ("/?since=all", "/cost?since=all"):
        page = client.get(path).text
        assert re.search(r"Prices behind these figures: genai-prices [0-9.]+<", page), path
        assert re.search(r"<li>claude-haiku-4-5: genai-prices [0-9.]+</li>", page), path
    for number in range(140):
        filled.store.llm_calls.record(NewLLMCall(model=f"model {number}", timestamp=START))
    for path in ("/?since=all", "/cost?since=all"):
        page = client.get(path).text
        told = page.partition("Prices behind these figures")[2].partition("</details>")[0]
        assert told.count("<li>") == 100, path
        assert "And 44 models more." in told, path


@pytest.mark.parametrize("by", [UsageBy.MODEL, UsageBy.USER, UsageBy.SESSION, UsageBy.VERSION, UsageBy.DAY])
def test_rows_come_to_their_total_while_somebody_writes(tmp_path: Path, by: UsageBy) -> None:
    record = f"sqlite:///{tmp_path}/record.db"
    writer, reader = Store(record), AsyncStore(record)
    new = NewLLMCall(model="gpt-4o", host="OpenAI", tokens=TokenCounts(input=100, output=10))
    writer.llm_calls.record(new, user="ana")

    def write(sql: str) -> None:
        writer.llm_calls.record(new, user="ana")

    reader.engine.observer = write
    page = asyncio.run(cost.cost(reader, {"by": str(by), "since": "all"}, datetime.now(UTC)))
    assert page.total == sum((row.usage.totals for row in page.rows), start=UsageTotals())
    assert page.total.calls < writer.usage.total().calls
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("since=7d", "whole UTC days"), ("since=36h", "whole hours"), ("since=all", None),
        ("from=2026-03-01&to=2026-03-02", "whole UTC days"),
        ("from=2026-03-01T10:23&to=2026-03-03", "whole hours"), ("to=2026-03-02T23:10", "whole UTC days"),
        ("to=2026-03-02T03:07", "whole hours"),
    ],
)  # fmt: skip
def test_a_range_of_figures_says_that_it_counts_whole_hours_or_days(site: Site, asked: str, told: str | None) -> None:
    for path in ("/", "/cost"):
        page = site[0].get(f"{path}?{asked}").text
        found = re.findall(r'<span class="note">(whole [^<]+)</span>', page)
        assert found == ([] if told is None else [told]), path
