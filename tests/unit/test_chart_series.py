"""Which series of a chart are told apart, and by which colour and mark."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agentrecord.dashboard import charts, formats, periods, scales
from agentrecord.dashboard.filters import Range
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageBy, UsageRow, UsageTotals

NAMES = [f"model-{number}" for number in range(40)]


def row(period: str, name: str | None, cost: int) -> UsageRow:
    return UsageRow(key=period, label=period, split=name, totals=UsageTotals(calls=1, cost_nanos=cost))


def bars(rows: list[UsageRow]) -> list[dict[str, tuple[int, int]]]:
    found = charts.bars_of(
        rows, charts.series_slots(NAMES), UsageBy.DAY, measure=lambda row: row.totals.cost_nanos, text=formats.money
    )
    return [{part.series: (part.slot, part.value) for part in bar.parts} for bar in found]


def test_a_name_keeps_its_slot_whatever_comes_later() -> None:
    slots = charts.series_slots(NAMES)
    assert charts.series_slots(NAMES[:9]) == {name: slots[name] for name in NAMES[:9]}
    assert charts.SLOTS not in slots.values()


def test_eighteen_names_have_looks_of_their_own_and_the_first_six_no_mark() -> None:
    slots = charts.series_slots(NAMES)
    assert len({slots[name] for name in NAMES[:18]}) == 18
    assert [charts.mark_of(slots[name]) for name in NAMES[:19:6]] == [None, "striped", "dotted", None]


def test_the_costliest_has_a_colour_however_late_it_came() -> None:
    rows = [row("2026-03-02", name, 1 + 1000 * (name == "model-39")) for name in NAMES]
    (found,) = bars(rows)
    assert found["model-39"] == (charts.series_slots(NAMES)["model-39"], 1001)
    assert found["other"] == (charts.SLOTS, 40 - charts.MOST_APART)
    assert sum(value for _, value in found.values()) == 1040


def test_two_of_one_look_are_never_told_apart_in_one_chart() -> None:
    alike = ["model-2", "model-20"]
    found = bars([row("2026-03-02", "model-2", 1), row("2026-03-03", "model-20", 2), row("2026-03-03", "model-4", 1)])
    slots = charts.series_slots(NAMES)
    assert slots[alike[0]] == slots[alike[1]]
    assert found == [{"model-2": (charts.SLOTS, 1)}, {"model-4": (4, 1), "model-20": (2, 2)}]


def test_what_was_summed_up_before_is_the_grey_series_on_top() -> None:
    (found,) = bars([row("2026-03-02", None, 5), row("2026-03-02", "model-8", 1)])
    assert list(found.items()) == [("model-8", (9, 1)), ("other", (charts.SLOTS, 5))]


def test_a_name_beyond_those_that_are_told_in_order_has_the_same_look_each_time() -> None:
    sums = {"somebody": 2, "unknown": 1, "anna": 3}
    first, later = charts.drawn_apart(sums, {"anna": 0}), charts.drawn_apart(sums | {"ben": 1}, {"anna": 0, "ben": 5})
    assert first["somebody"] == later["somebody"] != charts.SLOTS
    assert first["unknown"] == charts.SLOTS


@pytest.mark.parametrize(("slot", "drawn"), [(3, 1), (10, 2), (17, 2), (charts.SLOTS, 1)])
def test_a_dot_shows_the_mark_of_its_series(slot: int, drawn: int) -> None:
    found = charts.dot(slot)
    assert f'class="s{slot}"' in found
    assert found.count("<rect") + found.count("<path") + found.count("<circle") == drawn


def test_every_month_between_the_first_and_the_last_has_its_place_in_a_chart() -> None:
    assert periods.filled(["2025-11", "2026-02"], UsageBy.MONTH) == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert periods.filled(["2026-02"], UsageBy.MONTH) == ["2026-02"]
    assert periods.filled(["1970-01", "2026-02"], UsageBy.MONTH) == ["1970-01", "2026-02"]


NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "by", "ends"),
    [
        (NOON - timedelta(days=3), None, UsageBy.DAY, ("2026-03-01", "2026-03-04")),
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC), UsageBy.DAY, ("2026-03-01", "2026-03-02")),
        (NOON - timedelta(hours=2), NOON + timedelta(days=1), UsageBy.HOUR, ("2026-03-04 10:00", "2026-03-04 12:00")),
        (NOON - timedelta(days=9), None, UsageBy.WEEK, ("2026-02-23", "2026-03-02")),
        (NOON - timedelta(days=40), None, UsageBy.MONTH, ("2026-01", "2026-03")),
        (None, NOON, UsageBy.DAY, None),
    ],
)
def test_a_chart_of_a_range_reaches_from_its_first_period_to_its_last_or_to_now(
    since: datetime | None, until: datetime | None, by: UsageBy, ends: tuple[str, str] | None
) -> None:
    assert periods.ends_of(Range(name="custom", since=since, until=until), by, NOON) == ends
    assert periods.filled([], by, ends) == []
    if ends is not None:
        assert periods.filled([ends[1]], by, ends)[0] == ends[0]


def test_a_script_is_told_each_bars_name_sum_and_stretch_of_time() -> None:
    rows = [row("2026-03-02 09:00", "a", 5), row("2026-03-02 10:00", "a", 10**9)]
    drawn = charts.stacked_bars(
        charts.bars_of(rows, {"a": 0}, UsageBy.HOUR, measure=lambda row: row.totals.cost_nanos, text=formats.money),
        title="Spend", tick=formats.money,
    )  # fmt: skip
    (told,) = re.findall(r' data-chart="([^"]*)"', drawn)
    assert json.loads(html.unescape(told)) == {
        "left": round(58 / 760, 4), "right": 1.0, "spans": True,
        "bars": [["2026-03-02 09:00", "<$0.0001", "2026-03-02T09:00", "2026-03-02T10:00"],
                 ["2026-03-02 10:00", "$1.00", "2026-03-02T10:00", "2026-03-02T11:00"]],
    }  # fmt: skip
    for by, label, span in (
        (UsageBy.DAY, "2026-03-02", ("2026-03-02", "2026-03-02")),
        (UsageBy.WEEK, "2026-03-02", ("2026-03-02", "2026-03-08")),
        (UsageBy.MONTH, "2026-02", ("2026-02-01", "2026-02-28")),
    ):
        assert periods.span_of(label, by) == span


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("2026-01-31", "2026-02-01"), ("01-31", "02-01")),
        (("2025-12-31", "2026-01-01"), ("2025-12-31", "2026-01-01")),
        (("2026-01-31 23:00", "2026-02-01 00:00"), ("23:00", "00:00")),
        (("2026-01-30 18:00", "2026-01-31 18:00", "2026-02-01 18:00"), ("01-30 18:00", "01-31 18:00", "02-01 18:00")),
        (("2025-12", "2026-01"), ("2025-12", "2026-01")),
    ],
)
def test_moments_are_told_as_short_as_they_are_told_apart(labels: tuple[str, ...], told: tuple[str, ...]) -> None:
    drawn = charts.stacked_bars([charts.Bar(label=label) for label in labels], title="Runs", tick=str)
    assert re.findall(r'<text class="tick" [^>]*>([^<]*[-:][^<]*)</text>', drawn) == list(told)


@pytest.mark.parametrize("power", range(16))
@pytest.mark.parametrize("first", [1, 4, 9])
def test_the_lines_of_a_scale_of_money_are_told_exactly(first: int, power: int) -> None:
    step, top = scales.scale(first * 10**power)
    told = [formats.round_money(nanos) for nanos in range(0, top + 1, step)]
    assert [Decimal(text.strip("$").replace(",", "")) * NANOS_PER_DOLLAR for text in told] == [*range(0, top + 1, step)]
    assert max(map(len, told)) <= len("$0.000000001")


@pytest.mark.parametrize(
    ("dollars", "told"),
    [
        ((0, 2, 4, 6), ["$0", "$2", "$4", "$6"]),
        ((0, 0.5, 1), ["$0", "$0.50", "$1.00"]),
        ((0, 5, 10), ["$0", "$5", "$10"]),
    ],
)
def test_the_lines_of_one_scale_have_cents_all_or_none(dollars: tuple[float, ...], told: list[str]) -> None:
    texts = [formats.round_money(round(amount * NANOS_PER_DOLLAR)) for amount in dollars]
    assert scales.alike(texts) == told


def test_round_amounts_have_as_many_decimals_as_they_need() -> None:
    told = [formats.round_money(nanos * 1_000) for nanos in (0, 25, 250_000, 1_000_000, 7_500_000, 10**7, 10**12)]
    assert told == ["$0", "$0.000025", "$0.25", "$1.00", "$7.50", "$10", "$1,000,000"]
