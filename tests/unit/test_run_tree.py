"""Views of a run's tree: what failed, what took long, what went on in a stretch of time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from agentrecord.records.run_tree import RunSpan, RunTree, SpanKind, between, only_failed, without_short

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def span(
    name: str, parent: RunSpan | None = None, *, kind: SpanKind = SpanKind.LLM, failed: bool = False, at_ms: int = 0,
    took_ms: int | None = 1000, is_running: bool = False,
) -> RunSpan:  # fmt: skip
    return RunSpan(
        id=uuid4(), kind=kind, name=name, parent=None if parent is None else parent.id,
        depth=0 if parent is None else parent.depth + 1, started_at=START + timedelta(milliseconds=at_ms),
        duration_ms=took_ms, is_failed=failed, is_running=is_running,
    )  # fmt: skip


def names(spans: list[RunSpan]) -> list[str]:
    return [one.name for one in spans]


def test_only_what_failed_is_kept_and_what_it_is_in() -> None:
    top = span("top", kind=SpanKind.RUN)
    bad = span("bad", top, kind=SpanKind.RUN)
    found = [top, span("fine", top), bad, span("tool", bad, kind=SpanKind.TOOL, failed=True), span("after", top)]
    assert names(only_failed(found)) == ["top", "bad", "tool"]
    assert only_failed(found[:3]) == []


def test_short_pieces_go_but_not_those_that_failed_nor_those_of_unknown_length() -> None:
    top = span("top", kind=SpanKind.RUN, took_ms=1)
    found = [top, span("short", top, took_ms=5), span("long", top, took_ms=10), span("unknown", top, took_ms=None),
             span("failed", top, took_ms=1, failed=True)]  # fmt: skip
    assert names(without_short(found, 10)) == ["top", "long", "unknown", "failed"]


def test_a_stretch_of_time_holds_what_was_going_on_in_it() -> None:
    top = span("top", kind=SpanKind.RUN, took_ms=10_000)
    found = [top, span("before", top, took_ms=100), span("into", top, took_ms=2500), span("in", top, at_ms=2500),
             span("after", top, at_ms=9000), span("going", top, took_ms=None, is_running=True)]  # fmt: skip
    shown = between(found, START + timedelta(seconds=2), START + timedelta(seconds=4))
    assert names(shown) == ["top", "into", "in", "going"]


def test_the_first_failure_is_work_and_else_the_deepest_run() -> None:
    top = span("top", kind=SpanKind.RUN, failed=True)
    low = span("low", top, kind=SpanKind.RUN, failed=True)
    tool = span("tool", top, kind=SpanKind.TOOL, failed=True)
    root: UUID = top.id
    assert RunTree(root=root, spans=(top, low, tool)).first_failure == tool
    assert RunTree(root=root, spans=(top, low)).first_failure == low
    assert RunTree(root=root, spans=(top,)).first_failure is None
