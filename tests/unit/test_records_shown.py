"""What records look like where Python prints them, in a notebook, and as plain dicts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from agentrecord.ids import UserId
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind
from agentrecord.records.session import Session
from agentrecord.records.usage import UsageBy, UsageReport, UsageRow, UsageTotals

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ONE = UUID(int=1)
NASTY = "<script>alert(1)</script>"
SUMS = UsageTotals(calls=3, unpriced_calls=1, input_tokens=1200, output_tokens=50, cost_nanos=31_200_000)
RUN = Run(
    id=ONE, run_id="r-1", user_uuid=UserId(ONE), user="ana", agent_id="coder", objective=NASTY,
    status=RunStatus.COMPLETED, usage=SUMS, created_at=START, updated_at=START, started_at=START,
    finished_at=START + timedelta(seconds=4.02),
)  # fmt: skip
SESSION = Session(
    id=ONE, session_id="s-1", user_uuid=UserId(ONE), user="ana", title=f"Fix\nit {NASTY}", message_count=1,
    created_at=START, updated_at=START, last_activity_at=START,
)  # fmt: skip
REPORT = UsageReport(by=UsageBy.MODEL, rows=(UsageRow(key="m", label=NASTY, totals=SUMS),), total=SUMS)
TREE = RunTree(
    root=ONE,
    spans=(
        RunSpan(id=ONE, kind=SpanKind.RUN, name="coder", started_at=START, duration_ms=2000),
        RunSpan(id=UUID(int=2), kind=SpanKind.TOOL, name=NASTY, depth=1, parent=ONE, is_failed=True,
                started_at=START + timedelta(seconds=1), duration_ms=500),
    ),
)  # fmt: skip


class _Closed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_record_is_printed_in_one_line_with_what_it_came_to() -> None:
    assert repr(RUN) == (
        "<Run r-1 completed · coder · 3 calls · $0.0312 · excludes 1 call without a price · 4.02 s>"
    )  # fmt: skip
    assert repr(SESSION) == f"<Session s-1 active · Fix it {NASTY} · 1 message · 0 calls · –>"
    told = repr(replace(SESSION, usage=SUMS))
    assert told.endswith("· 1 message · 3 calls · $0.0312 · excludes 1 call without a price>")
    assert repr(REPORT) == (
        "<UsageReport by model · 1 row · 3 calls · $0.0312 · excludes 1 call without a price>"
    )  # fmt: skip
    assert repr(TREE) == f"<RunTree {ONE} · 2 pieces · 1 failed>"


@pytest.mark.parametrize("record", [RUN, SESSION, REPORT, TREE], ids=lambda record: type(record).__name__)
def test_a_notebook_shows_a_record_as_a_table_without_scripts_or_foreign_tags(record: Any) -> None:
    text = record._repr_html_()
    read = _Closed(text)
    assert read.open == []
    assert read.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "div", "p"}
    assert NASTY not in text
    assert "&lt;script&gt;" in text


def test_a_notebook_tells_of_calls_without_a_price() -> None:
    assert "excludes 1 call without a price" in REPORT._repr_html_()
    assert "without a price" in RUN._repr_html_()


def test_the_waterfall_of_a_notebook_draws_a_piece_where_it_was() -> None:
    assert "margin-left:50.00%;width:25.00%" in TREE._repr_html_()


def test_rows_become_flat_dicts_with_their_computed_figures() -> None:
    row = REPORT.to_dicts()[0]
    assert (row["key"], row["calls"], row["input_tokens"], row["total_tokens"]) == ("m", 3, 1200, 1250)
    assert float(row["cost_usd"]) == 0.0312
    run = Page([RUN], 50).to_dicts()[0]
    assert (run["run_id"], run["usage_calls"], run["duration_ms"], run["subtree"]) == ("r-1", 3, 4020, None)
    assert [piece["name"] for piece in TREE.to_dicts()] == ["coder", NASTY]
