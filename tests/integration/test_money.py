"""Every total on every page, in the API and on the command line is the sum over the calls behind it."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from money_record import CALLS, NOW, UNPRICED, Made, Record, Sums, fresh
from page_fixtures import HOME, SECRET, TOKEN, FixedClock, signed_in
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.dashboard import formats
from agentrecord.dashboard.figures import GROUPED
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.store import AsyncStore, Store
from counts import count, is_long
from databases import Databases

CHECKED = settings(
    max_examples=count(4, 150),
    deadline=None,
    phases=tuple(Phase) if is_long() else (Phase.explicit, Phase.generate),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ATTRIBUTE = re.compile(r'data-(nanos|calls|unpriced)="(-?\d+)"')


class Page:
    """A page of the dashboard, read for its figures."""

    def __init__(self, client: TestClient, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text[:1000])
        self.path = path
        self.html = answer.text

    def tile(self, name: str) -> tuple[str, int | None]:
        """Return what a tile says, and its exact amount if it tells one."""
        found = re.search(rf"<dt>{name}</dt><dd class=\"value\"([^>]*)>(.*?)</dd>", self.html)
        assert found, (self.path, name)
        nanos = re.search(r'data-nanos="(-?\d+)"', found[1])
        return unescape(re.sub("<.*?>", "", found[2])), None if nanos is None else int(nanos[1])

    def total(self) -> dict[str, int]:
        """Return the exact amounts of the row of totals."""
        foot = re.search(r"<tfoot>(.*?)</tfoot>", self.html, re.DOTALL)
        return {} if foot is None else {name: int(value) for name, value in ATTRIBUTE.findall(foot[1])}

    def list_total(self) -> str:
        """Return the cost in the row of totals of a list."""
        foot = re.search(r"<tfoot>(.*?)</tfoot>", self.html, re.DOTALL)
        found = foot and re.search(r'data-label="cost"[^>]*>([^<]*)<', foot[1])
        assert found, self.path
        return unescape(found[1])

    def cell(self, name: str, label: str) -> str:
        """Return what a list's row of a name says in one column."""
        row = re.search(rf'<tr data-name="{name}">(.*?)</tr>', self.html, re.DOTALL)
        found = row and re.search(rf'data-label="{label}"[^>]*>(.*?)</td>', row[1])
        assert found, (self.path, name, label)
        return unescape(re.sub("<.*?>|⚠", "", found[1]))

    def rows(self) -> list[int]:
        """Return the exact costs of the rows of the page's first table with a row of totals."""
        body = re.search(r"<tbody>(?:(?!<tbody>).)*?</tbody>\s*<tfoot>", self.html, re.DOTALL)
        return [] if body is None else [int(value) for name, value in ATTRIBUTE.findall(body[0]) if name == "nanos"]


@contextmanager
def served(record: Record) -> Iterator[TestClient]:
    """Yield a client that is signed in to a server over a record."""
    store = AsyncStore(engine=record.store.engine)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, identity=IdentitySettings(requests_per_minute=0))
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield signed_in(client)


def text_of(sums: Sums) -> str:
    """Return how a page writes what calls cost."""
    if not sums.calls:
        return formats.UNKNOWN
    return "no price" if sums.unpriced == sums.calls else formats.money(sums.nanos)


def check_pages(client: TestClient, record: Record) -> None:
    """Hold every page's totals against the calls."""
    whole = record.whole()
    for path in ("/?since=all", "/cost?since=all"):
        page = Page(client, path)
        assert page.tile("Spend") == (text_of(whole), whole.nanos if whole.calls else None), path
        excluded = formats.counted(whole.unpriced, "call")
        assert (f"excludes {excluded} without a price" in page.html) == bool(whole.unpriced), path
        named = bool(record.of(lambda _, model, call: model == UNPRICED).calls)
        assert (f"on <strong>{UNPRICED}</strong>" in page.html) == named, path
    check_cost(client, record)
    runs, sessions = Page(client, "/runs?since=all"), Page(client, "/sessions?since=all")
    for name, session in record.sessions.items():
        below = {name, "below"} if name == "one" else {name}
        subtree = record.of(lambda at, _, call, below=below: at in below)
        own = record.of(lambda at, _, call, name=name: at == name)
        assert runs.cell(f"run-{name}", "cost") == text_of(own), name
        said = text_of(subtree) if name == "one" else formats.UNKNOWN
        assert runs.cell(f"run-{name}", "with sub-agents") == said, name
        assert name == "below" or sessions.cell(name, "cost") == text_of(subtree), name
        assert Page(client, f"/s/{session}").tile("Cost")[0] == text_of(subtree), name
        assert Page(client, f"/r/{record.runs[name]}").tile("Cost")[0] == text_of(subtree), name
    in_runs = record.of(lambda at, _, call: at is not None)
    for path in ("/runs?since=all", "/sessions?since=all"):
        page = Page(client, path)
        assert page.list_total() == text_of(in_runs), path
        excluded = formats.counted(in_runs.unpriced, "call")
        assert (f"excludes {excluded} without a price" in page.html) == bool(in_runs.unpriced), path
    for user in ("ana", "ben"):
        theirs = record.of(lambda at, _, call, user=user: record.user_of(at) == user)
        assert Page(client, f"/u/{user}?since=all").tile("Spend")[0] == text_of(theirs), user
    agents = {agent.agent_id: agent.id for agent in record.store.agents.list().items}
    for agent, row in agents.items():
        its = record.of(lambda _, model, call, row=row: call.agent_uuid == row)
        assert Page(client, f"/agents/{agent}?since=all").tile("Spend")[0] == text_of(its), agent


def check_cost(client: TestClient, record: Record) -> None:
    """Hold the page of costs against the calls, by everything that it can be by, and crossed."""
    whole = record.whole()
    crossed = ["by=model&split=user", "by=day&split=version", "by=user&split=host", "by=version&split=model"]
    by_tool = ["by=tool&split=model", "by=day&split=tool"]
    for way in [*[f"by={by}" for by in GROUPED], *crossed, *by_tool]:
        page = Page(client, f"/cost?since=all&{way}")
        if not whole.calls:
            assert page.total() == {}
            assert "No calls in this range." in page.html
            continue
        assert page.total() == {"calls": whole.calls, "nanos": whole.nanos, "unpriced": whole.unpriced}, way
        assert sum(page.rows()) == whole.nanos, way
    for way in crossed:
        rows = list(csv.DictReader(io.StringIO(client.get(f"/cost.csv?since=all&{way}").text)))
        told = client.get(f"/cost.json?since=all&{way}").json()
        assert sum(int(row["calls"]) for row in rows) == whole.calls == told["total"]["calls"], way
        assert sum(row["totals"]["cost_nanos"] for row in told["rows"]) == whole.nanos, way
        assert {(row["key"], row["split"]) for row in told["rows"]} == {tuple(row.values())[::2][:2] for row in rows}
    tops = record.of(lambda at, _, call: not call.is_subagent)
    without = Page(client, "/cost?since=all&subagents=without")
    assert without.tile("Spend")[0] == text_of(tops)
    failed = Page(client, "/cost?since=all").tile("Failed calls")[1]
    assert (failed or 0) == whole.failed_nanos


def check_api(client: TestClient, record: Record) -> None:
    """Hold the API's reports and exports against the calls."""
    whole = record.whole()
    for by in UsageBy:
        report = client.get("/api/usage", params={"by": by}).json()
        total = report["total"]
        assert (total["calls"], total["unpriced_calls"], total["cost_nanos"]) == whole.told, by
        assert (total["input_tokens"], total["output_tokens"]) == (whole.input, whole.output), by
        # A call is among those of each tool that it asked for.
        counts = () if by is UsageBy.TOOL else ("calls", "unpriced_calls")
        for name in (*counts, "cost_nanos", "total_tokens"):
            assert sum(row["totals"][name] for row in report["rows"]) == total[name], (by, name)
        assert report["unpriced_models"] == ([UNPRICED] if whole.unpriced else []), by
    by_tool = client.get("/api/usage", params={"by": "tool"}).json()["rows"]
    assert {row["key"]: row["totals"]["cost_nanos"] for row in by_tool} == record.by_tool()
    by_day = client.get("/api/usage/series", params={"by": "day", "split": "tool"}).json()["items"]
    for tool, cost in record.by_tool().items():
        assert sum(row["totals"]["cost_nanos"] for row in by_day if row["split"] == tool) == cost, tool
    check_versions(client, record)
    crossed = client.get("/api/usage/series", params={"by": "model", "split": "user"}).json()["items"]
    assert sum(row["totals"]["cost_nanos"] for row in crossed) == whole.nanos
    for name, session in record.sessions.items():
        shown = client.get(f"/api/sessions/{session}").json()["usage"]
        own = record.of(lambda at, _, call, name=name: at == name)
        assert (shown["calls"], shown["unpriced_calls"], shown["cost_nanos"]) == own.told, name
    its = record.of(lambda at, _, call: at in ("one", "below"))
    for kind, top in (("runs", "run-one"), ("sessions", "one")):
        listed = {row[f"{kind[:-1]}_id"]: row["subtree"] for row in client.get(f"/api/{kind}").json()["items"]}
        told = listed.pop(top)
        assert (told["calls"], told["unpriced_calls"], told["cost_nanos"]) == its.told, kind
        assert set(listed.values()) == {None}, kind
    exported = {row["run_id"]: row for row in csv.DictReader(io.StringIO(client.get("/runs.csv?since=all").text))}
    assert int(exported["run-one"]["tree_calls"]) == its.calls
    assert int(exported["run-two"]["tree_calls"]) == int(exported["run-two"]["calls"])
    rows = list(csv.DictReader(io.StringIO(client.get("/cost.csv?since=all&by=session").text)))
    assert sum(int(row["calls"]) for row in rows) == whole.calls


def check_versions(client: TestClient, record: Record) -> None:
    """Hold what the API tells of versions, alone and crossed with days both ways, against the calls."""
    expected: dict[tuple[str, str], Sums] = {}
    days = {call.timestamp.strftime("%Y-%m-%d") for _, _, call in record.calls}
    for day in days:
        for key in ("agent:bot version:1.0", "no version"):
            sums = record.of(lambda at, _, call, day=day, key=key: (
                version_of(at) == key and call.timestamp.strftime("%Y-%m-%d") == day
            ))  # fmt: skip
            if sums.calls:
                expected[day, key] = sums
    by_day = client.get("/api/usage/series", params={"by": "day", "split": "version"}).json()["items"]
    assert {(row["key"], row["split"]): told(row) for row in by_day} == {
        key: sums.told for key, sums in expected.items()
    }
    whole = {key: record.of(lambda at, _, call, key=key: version_of(at) == key) for _, key in expected}
    alone = client.get("/api/usage", params={"by": "version"}).json()["rows"]
    crossed = client.get("/api/usage/series", params={"by": "version", "split": "project"}).json()["items"]
    for rows in (alone, crossed):
        assert {row["key"]: told(row) for row in rows} == {key: sums.told for key, sums in whole.items()}


def version_of(session: str | None) -> str:
    """Return the version that the calls in a session are of."""
    return "agent:bot version:1.0" if session == "two" else "no version"


def told(row: dict[str, Any]) -> tuple[int, int, int]:
    """Return what a row of a report tells of its calls, as `Sums.told`."""
    return row["totals"]["calls"], row["totals"]["unpriced_calls"], row["totals"]["cost_nanos"]


def check_command_line(path: Path, record: Record) -> None:
    """Hold what the command line prints against the calls."""
    whole = record.whole()
    for command, by in (("usage", "session"), ("usage", "day"), ("cost", "version"), ("cost", "tool")):
        done = CliRunner().invoke(program, ["--db", str(path), command, "--by", by, "--since", "all", "--json"])
        assert done.exit_code == 0, done.output
        total = json.loads(done.stdout)["total"]
        assert (total["calls"], total["unpriced_calls"], total["total_tokens"]) == (
            whole.calls, whole.unpriced, whole.tokens,
        )  # fmt: skip
        cost = None if whole.calls and whole.unpriced == whole.calls else whole.nanos / 10**9
        assert total["cost_usd"] == cost
        assert (f"on {UNPRICED}" in done.stderr) == bool(whole.unpriced)
    done = CliRunner().invoke(program, ["--db", str(path), "runs", "--csv"])
    spent = {row["run_id"]: row["tree_cost_usd"] for row in csv.DictReader(io.StringIO(done.stdout))}
    its = record.of(lambda at, _, call: at in ("one", "below"))
    assert float(spent["run-one"] or 0) == its.nanos / 10**9
    assert bool(spent["run-one"]) == (its.calls > its.unpriced)


@CHECKED
@given(made=st.lists(CALLS, max_size=14))
def test_every_total_is_the_sum_over_its_calls_and_a_call_without_a_price_changes_none(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made]
) -> None:
    path = tmp_path_factory.mktemp("money") / "record.db"
    with Store(str(path), clock=FixedClock(NOW)) as store:
        record = fresh(store)
        for one in made:
            record.make(one)
        with served(record) as client:
            check_pages(client, record)
            check_api(client, record)
            check_command_line(path, record)
            before = record.whole()
            record.make(Made(UNPRICED, "two", 5, TokenCounts(input=9, output=9)))
            after = record.whole()
            assert (after.nanos, after.unpriced) == (before.nanos, before.unpriced + 1)
            check_pages(client, record)


FIXED = (
    Made("claude-opus-4-5", "one", 0, TokenCounts(input=1000, output=50, cache_read=301), tools=("Read", "Bash")),
    Made("claude-haiku-4-5", "below", 26, TokenCounts(input=9, output=5, cache_write_1h=3), failed=True),
    Made(UNPRICED, "two", 30, TokenCounts(input=10, output=50)),
    Made("named-its-price", None, 50, TokenCounts(input=1, output=5)),
    Made("claude-opus-4-5", None, 50, TokenCounts(input=1, output=5), elsewhere=True),
)


def test_on_postgresql_every_total_is_the_sum_over_its_calls(databases: Databases) -> None:
    url = databases.create("postgresql")
    try:
        with Store(url, clock=FixedClock(NOW)) as store:
            record = fresh(store)
            for one in FIXED:
                record.make(one)
            with served(record) as client:
                check_pages(client, record)
                check_api(client, record)
    finally:
        databases.drop(url)
