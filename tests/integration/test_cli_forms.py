"""What the command line makes of words: times, amounts, widths and tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrecord.cli import words
from agentrecord.cli.moments import Zone, bounds, parse_moment
from agentrecord.cli.output import Column, Listing, encode, fitting, plain, table
from agentrecord.cli.prices import TierType, nanos
from agentrecord.cli.terminal import Terminal, cells, clip, one_line, pad
from agentrecord.records.lengths import DAY, HOUR

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PLAIN = Terminal(is_tty=True, width=40, color=False, unicode=True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("36h", NOW - timedelta(hours=36)),
        ("15m", NOW - timedelta(minutes=15)),
        ("2w", NOW - timedelta(days=14)),
        ("all", None),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2026-01-05T12:30+02:00", datetime(2026, 1, 5, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_time_can_be_a_span_a_date_or_an_instant(text: str, meant: datetime | None) -> None:
    assert parse_moment(text, now=NOW) == meant


def test_a_date_is_one_of_the_time_zone_and_its_end_is_the_next_days_start() -> None:
    zone = timezone(timedelta(hours=2))
    assert parse_moment("2026-01-05", now=NOW, zone=zone) == datetime(2026, 1, 4, 22, tzinfo=UTC)
    assert parse_moment("2026-01-05", now=NOW, is_end=True) == datetime(2026, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "7", "7y", "2026-13-01", "-3d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_moment(text, now=NOW)


def test_a_range_that_ends_before_it_starts_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError):
        bounds("2026-01-05", "2026-01-01", now=NOW)


@pytest.mark.parametrize(("text", "minutes"), [("UTC", 0), ("+02:00", 120), ("-05:30", -330), ("+9", 540)])
def test_a_time_zone_is_minutes_ahead_of_utc(text: str, minutes: int) -> None:
    assert Zone().convert(text, None, None) == minutes


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("0.05"), "$0.0500"),
        (Decimal("0.00001"), "<$0.0001"),
        (Decimal(0), "$0.00"),
        (None, "no price"),
    ],
)
def test_money_is_shown_as_fine_as_it_matters(dollars: Decimal | None, shown: str) -> None:
    assert words.money(dollars) == shown


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(57, "57 ms"), (4020, "4.02 s"), (192_000, "3 m 12 s"), (18_420_000, "5 h 07 m"), (None, "–")],
)
def test_durations_are_read_at_a_glance(milliseconds: float | None, shown: str) -> None:
    assert words.duration(milliseconds) == shown


def test_a_wide_character_takes_two_columns_and_a_combining_one_none() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert clip("日本語", 5) == "日本…"
    assert pad("日本", 6) == "日本  "


@given(st.text(max_size=60), st.integers(min_value=1, max_value=30))
def test_a_clipped_text_is_never_wider_than_asked(text: str, width: int) -> None:
    assert cells(clip(one_line(text), width)) <= width


@given(st.text(max_size=80))
def test_text_on_one_line_holds_nothing_that_steers_a_terminal(text: str) -> None:
    shown = one_line(text)
    assert not any(character in shown for character in "\n\r\t\x1b\x07\x9b\u202e")


def _columns() -> list[Column[dict[str, str]]]:
    return [
        Column(name="id", value=lambda row: row["id"]),
        Column(name="title", value=lambda row: row["title"], flexible=True),
        Column(name="rare", value=lambda row: row["rare"], priority=2),
        Column(name="common", value=lambda row: row["common"], priority=1),
    ]


def test_a_narrow_table_drops_the_least_important_columns_first() -> None:
    widths = {"id": 10, "title": 30, "rare": 10, "common": 10}

    def kept(room: int) -> list[str]:
        return [column.name for column in fitting(_columns(), dict(widths), room)]

    assert kept(100) == ["id", "title", "rare", "common"]
    assert kept(40) == ["id", "title", "common"]
    assert kept(25) == ["id", "title"]


def test_a_row_of_a_table_is_one_line_whatever_its_text_holds() -> None:
    row = {"id": "x" * 10, "title": "two\nlines " * 9, "rare": "r", "common": "c"}
    lines = list(table(Listing(columns=_columns(), rows=[row]), PLAIN))
    assert len(lines) == 2
    assert all(cells(line) <= PLAIN.width for line in lines)


def test_bars_are_as_long_as_their_share() -> None:
    assert PLAIN.bar(0.5, 8) == "████"
    assert PLAIN.bar(0, 8) == ""
    assert PLAIN.bar(1, 8) == "█" * 8
    assert Terminal(is_tty=True, width=80, color=False, unicode=False).bar(0.5, 8) == "####"


def test_values_for_programs_are_exact() -> None:
    assert plain(Decimal("0.00000001")) == "0.00000001"
    assert plain(datetime(2026, 1, 5, tzinfo=UTC)) == "2026-01-05T00:00:00.000000Z"
    assert plain(None) == ""
    assert encode({"cost": Decimal("1E-9"), "none": None}) == '{"cost":0.000000001,"none":null}'


def test_a_price_becomes_whole_nano_dollars_or_is_refused() -> None:
    assert nanos("input", Decimal("0.075")) == 75_000_000
    with pytest.raises(click.UsageError):
        nanos("input", Decimal("0.0000000001"))


@pytest.mark.parametrize("text", ["200000", "x:input=1", "200000:", "200000:speed=1", "200000:input=-1"])
def test_a_tier_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        TierType().convert(text, None, None)


def test_a_long_name_gives_way_to_figures_and_what_no_row_has_takes_no_room() -> None:
    columns: list[Column[str]] = [
        Column(name="agent", value=str, flexible=True, least=28),
        Column(name="version", value=lambda _: None, priority=1),
        Column(name="runs", value=lambda _: 1_000, right=True, priority=2),
    ]
    name = "a-reviewer-of-everything-with-a-very-long-name"
    assert list(table(Listing(columns=columns, rows=[name]), replace(PLAIN, width=36))) == [
        "agent                           runs", f"{name[:29]}…  1000",
    ]  # fmt: skip
    assert list(table(Listing(columns=columns, rows=[name]), replace(PLAIN, width=30)))[1] == f"{name[:29]}…"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (None, "–"),
        (NOW - timedelta(hours=3), "3h ago"),
        (datetime(2026, 1, 31, tzinfo=UTC), "today"),
        (datetime(2026, 1, 29, tzinfo=UTC), "2026-01-29"),
    ],
)
def test_what_is_known_by_the_day_is_told_by_the_day(at: datetime | None, told: str) -> None:
    assert words.seen(at, NOW) == told


@pytest.mark.parametrize(
    ("text", "minutes", "meant"),
    [
        ("7d", 0, datetime(2026, 1, 25, tzinfo=UTC)),
        ("1w", 0, datetime(2026, 1, 25, tzinfo=UTC)),
        ("36h", 0, datetime(2026, 1, 30, 1, tzinfo=UTC)),
        ("1d", 13 * 60, datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("1d", -13 * 60, datetime(2026, 1, 30, 13, tzinfo=UTC)),
        ("2026-01-05", 0, datetime(2026, 1, 5, tzinfo=UTC)),
    ],
)
def test_what_is_spent_is_counted_over_whole_days_of_the_time_zone_or_whole_hours(
    text: str, minutes: int, meant: datetime
) -> None:
    assert bounds(text, None, now=NOW, zone_minutes=minutes, whole=HOUR) == (meant, None)


@pytest.mark.parametrize(("text", "days"), [("24h", 0), ("36h", 1), ("3d", 2), ("1w", 6)])
def test_what_an_agent_or_a_user_did_is_counted_over_whole_days_only(text: str, days: int) -> None:
    first = NOW.replace(hour=0) - timedelta(days=days)
    assert bounds(text, None, now=NOW, whole=DAY) == (first, None)
