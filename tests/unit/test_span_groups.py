"""What is grouped in a run: tries, what overlaps, and uses of a tool in a row; everything else stays apart."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from agentrecord.dashboard.run_items import items_of
from agentrecord.records.run_tree import RunSpan, SpanKind
from agentrecord.records.span_groups import Together, grouped

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROOT = UUID(int=1000)


def span(number: int, name: str, second: float, took: float | None = 1, **more: Any) -> RunSpan:
    given = {"kind": SpanKind.TOOL, "parent": ROOT, "depth": 1, **more}
    return RunSpan(
        id=UUID(int=number), name=name, started_at=START + timedelta(seconds=second),
        duration_ms=None if took is None else round(took * 1000), is_running=took is None, **given,
    )  # fmt: skip


def told(spans: list[RunSpan]) -> list[tuple[int, int, str, int]]:
    return [(group.first, group.count, group.together, group.failed) for group in grouped(spans).values()]


def test_what_failed_and_was_tried_again_is_one_group_with_its_sums() -> None:
    spans = [
        span(1, "fetch", 0, is_failed=True, calls=1, tokens=5, cost_nanos=7),
        span(2, "fetch", 2, is_failed=True, calls=1, tokens=None, cost_nanos=None, unpriced_calls=1),
        span(3, "fetch", 4, calls=1, tokens=6, cost_nanos=8),
        span(4, "store", 6),
    ]
    (group,) = grouped(spans).values()
    assert (group.together, group.count, group.failed, group.end) == (Together.TRIES, 3, 2, 3)
    whole = group.span
    assert (whole.id, whole.started_at, whole.duration_ms) == (UUID(int=1), START, 5000)
    assert (whole.calls, whole.unpriced_calls, whole.tokens, whole.cost_nanos) == (3, 1, 11, 15)
    assert not whole.is_failed


def test_a_group_of_which_all_failed_has_failed_and_one_that_goes_on_has_no_end() -> None:
    failed = [span(1, "fetch", 0, is_failed=True), span(2, "fetch", 2, is_failed=True)]
    assert [group.span.is_failed for group in grouped(failed).values()] == [True]
    going = [span(1, "fetch", 0, took=None), span(2, "fetch", 2)]
    (group,) = grouped(going).values()
    assert (group.together, group.span.is_running, group.span.duration_ms) == (Together.PARALLEL, True, None)


def test_what_overlaps_is_parallel_whatever_its_kind() -> None:
    for kind in (SpanKind.TOOL, SpanKind.LLM, SpanKind.RUN):
        spans = [span(1, "look", 0, 5, kind=kind), span(2, "look", 1, 5, kind=kind), span(3, "look", 2, 2, kind=kind)]
        assert told(spans) == [(0, 3, Together.PARALLEL, 0)]


def test_three_uses_of_a_tool_in_a_row_are_grouped_and_two_are_not_nor_are_steps_and_phases() -> None:
    row = [span(1, "Read", 0), span(2, "Read", 2), span(3, "Read", 4)]
    assert told(row) == [(0, 3, Together.ROW, 0)]
    assert told(row[:2]) == []
    for kind in (SpanKind.LLM, SpanKind.RUN):
        assert told([span(number, "m", number * 2, kind=kind) for number in range(3)]) == []
    phases = [span(number, "planning", 0, 9, kind=SpanKind.PHASE, is_failed=True) for number in range(3)]
    assert told(phases) == []


def test_only_what_follows_directly_below_the_same_piece_is_grouped() -> None:
    between = [span(1, "Read", 0, is_failed=True), span(2, "Write", 2), span(3, "Read", 4)]
    assert told(between) == []
    elsewhere = [span(1, "Read", 0, is_failed=True), span(2, "Read", 2, parent=UUID(int=7), depth=2)]
    assert told(elsewhere) == []


def test_groups_stand_within_groups_and_are_folded_and_opened_each_on_its_own() -> None:
    below = {"parent": UUID(int=2), "depth": 2}
    spans = [
        span(1, "explorer", 0, 9, kind=SpanKind.RUN),
        span(2, "explorer", 1, 9, kind=SpanKind.RUN),
        span(3, "Read", 2, is_failed=True, **below),
        span(4, "Read", 4, **below),
        span(5, "Write", 12),
    ]
    assert told(spans) == [(0, 2, Together.PARALLEL, 0), (2, 2, Together.TRIES, 1)]

    def shown(is_open: set[int], chosen: int | None = None) -> list[tuple[str, int, bool]]:
        ids = {UUID(int=one) for one in is_open}
        items = items_of(spans, are_grouped=True, is_open=ids, shown=None if chosen is None else UUID(int=chosen))
        return [(item.name, item.depth, item.is_open) for item in items]

    assert shown(set()) == [("explorer ×2", 1, False), ("Write", 1, False)]
    assert shown({1}) == [
        ("explorer ×2", 1, True), ("explorer", 2, False), ("explorer", 2, False), ("Read ×2", 3, False),
        ("Write", 1, False),
    ]  # fmt: skip
    everything = [
        ("explorer ×2", 1, True), ("explorer", 2, False), ("explorer", 2, False), ("Read ×2", 3, True),
        ("Read", 4, False), ("Read", 4, False), ("Write", 1, False),
    ]  # fmt: skip
    assert shown({1, 3}) == everything
    assert shown(set(), chosen=4) == everything
    apart = items_of(spans, are_grouped=False, is_open=set(), shown=None)
    assert [(item.span.id.int, item.depth) for item in apart] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 1)]


def test_thousands_of_pieces_are_grouped_without_losing_any() -> None:
    spans = [span(number, f"tool-{number // 50}", number * 2) for number in range(5000)]
    items = items_of(spans, are_grouped=True, is_open=set(), shown=None)
    assert len(items) == 100
    assert sum(item.group.count for item in items if item.group) == 5000
