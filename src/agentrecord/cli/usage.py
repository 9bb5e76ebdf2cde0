"""`agentrecord usage`: tokens and costs, by whatever people ask for."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, TypeVar, Unpack  # `Any`: decorators keep whatever they decorate

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import tell_prices
from agentrecord.cli.moments import Zone, bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import LEAST_NAME, Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.terminal import hint, out
from agentrecord.records.lengths import HOUR
from agentrecord.records.usage import UsageBlock, UsageBy, UsageReport, UsageRow, UsageTotals
from agentrecord.store import Store
from agentrecord.store.usage_sums import NAMES

F = TypeVar("F", bound=Callable[..., Any])

EXIT_BUDGET = 4
BAR_WIDTH = 16
MINUTES = 60
"""Of an hour."""
MOST_TOLD = 5
"""So many models without a price are told one by one."""
_COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "total_tokens",
    "calls",
    "failed_calls",
    "unpriced_calls",
    "uncounted_calls",
)
_SHOWN = (
    ("calls", "calls", 3),
    ("failed_calls", "failed", 9),
    ("input_tokens", "input", 2),
    ("cache_read_tokens", "cache read", 2),
    ("cache_write_5m_tokens", "write 5m", 6),
    ("cache_write_1h_tokens", "write 1h", 7),
    ("output_tokens", "output", 2),
    ("reasoning_tokens", "reasoning", 8),
    ("unclassified_tokens", "unclassified", 10),
    ("total_tokens", "tokens", 1),
    ("unpriced_calls", "unpriced", 5),
    ("uncounted_calls", "uncounted", 11),
)


class Wanted(TypedDict):
    """The command's options."""

    by: str
    split: str | None
    since: str | None
    until: str | None
    no_subagents: bool
    blocks: bool
    timezone: int
    budget: Decimal | None


class Dollars(click.ParamType[Decimal]):
    """An amount of dollars, exact."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return the amount as a decimal."""
        try:
            found = Decimal(str(value).removeprefix("$"))
        except ArithmeticError:
            self.fail(f"{value!r} is no amount: write it as in 12.50", param, ctx)
        if not found.is_finite() or found < 0:
            self.fail(f"{value!r} is no amount: write it as in 12.50", param, ctx)
        return found


def figures(totals: UsageTotals) -> dict[str, object]:
    """Return sums as JSON has them: each token class once, the cost null if nothing has a price."""
    return {**{name: getattr(totals, name) for name in _COUNTS}, "cost_usd": totals.cost_usd}


def _count_column(name: str, title: str, priority: int) -> Column[UsageRow]:
    def value(row: UsageRow) -> int:
        return int(getattr(row.totals, name))

    return Column(
        name=name, title=title, value=value, text=lambda row: words.count(value(row)), right=True, priority=priority
    )


def _key_columns(report: UsageReport) -> list[Column[UsageRow]]:
    by = report.by
    if by is UsageBy.SESSION:
        return [
            Column(name="session", value=lambda row: row.key),
            Column(name="label", title="title", value=lambda row: row.label, flexible=True, priority=1),
        ]
    found: list[Column[UsageRow]] = [
        Column(name=str(by), value=lambda row: row.key, text=lambda row: row.label, flexible=True, least=LEAST_NAME)
    ]
    if report.split is not None:
        found.append(
            Column(
                name=f"by_{report.split}",
                title=str(report.split),
                value=lambda row: row.split or "",
                text=lambda row: row.split_label or row.split or "",
                flexible=True,
                least=LEAST_NAME,
            )
        )
    return found


def _columns(report: UsageReport) -> list[Column[UsageRow]]:
    terminal = out()
    whole = report.total.cost_nanos

    def share(row: UsageRow) -> float:
        return row.totals.cost_nanos / whole if whole else 0.0

    def share_text(row: UsageRow) -> str:
        return f"{terminal.bar(share(row), BAR_WIDTH)} {share(row):.0%}" if whole else ""

    return [
        *_key_columns(report),
        *[_count_column(name, title, priority) for name, title, priority in _SHOWN],
        Column(
            name="cost_usd", title="cost", value=lambda row: row.totals.cost_usd,
            text=lambda row: words.money(row.totals.cost_usd), right=True,
        ),
        Column(name="share", value=lambda row: round(share(row), 6), text=share_text, priority=4),
    ]  # fmt: skip


def _for_people(columns: Sequence[Column[UsageRow]], total: UsageTotals) -> list[Column[UsageRow]]:
    """Leave out, on a terminal, what is zero in every row."""
    telling = {name for name in _COUNTS if getattr(total, name)} | {"calls", "total_tokens"}
    return [column for column in columns if column.name not in _COUNTS or column.name in telling]


def _record(report: UsageReport, row: UsageRow) -> dict[str, object]:
    return {
        "key": row.key,
        "label": row.label,
        str(report.by): row.key,
        **({} if report.split is None else {f"by_{report.split}": row.split, "split_label": row.split_label}),
        **figures(row.totals),
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def listing(report: UsageReport) -> Listing[UsageRow]:
    """Return a usage report as a listing."""
    columns = _columns(report)
    if out().is_tty:
        columns = _for_people(columns, report.total)
    total = UsageRow(key="total", label="total", totals=report.total)
    return Listing(
        columns=columns,
        rows=report.rows,
        footer={column.name: column.shown(total) for column in columns if column.name != "share"},
        document={
            "by": str(report.by),
            **({} if report.split is None else {"split": str(report.split)}),
            "rows": [_record(report, row) for row in report.rows],
            "total": figures(report.total),
            "unpriced_models": list(report.unpriced_models),
            "prices": report.prices,
        },
        record=lambda row: _record(report, row),
        empty="No calls in this range. `agentrecord import` brings in transcripts; --since all looks at everything.",
    )


def warn_of_unpriced(models: Mapping[str, UsageTotals]) -> None:
    """Say on standard error which calls no sum contains, and the command that mends it; `models` are those summed."""
    found = {name: totals for name, totals in models.items() if totals.unpriced_calls}
    for model in sorted(found, key=lambda name: (-found[name].unpriced_calls, name))[:MOST_TOLD]:
        told = found[model]
        calls = words.plural(told.unpriced_calls, "call")
        if told.uncounted_calls >= told.unpriced_calls:
            hint(f"excludes {calls} on {model}: the source told no token counts", warning=True)
        else:
            hint(
                f"excludes {calls} on {model}: no price; agentrecord prices set {model} --input 1 --output 5",
                warning=True,
            )

    if len(found) > MOST_TOLD:
        hint(f"and {words.plural(len(found) - MOST_TOLD, 'more model')}: agentrecord usage --by model", warning=True)


def models_of(
    store: Store, *, since: datetime | None = None, until: datetime | None = None, include_subagents: bool = True
) -> dict[str, UsageTotals]:
    """Return what was used of each model in a range."""
    report = store.usage.report(UsageBy.MODEL, since=since, until=until, include_subagents=include_subagents)
    return {row.key: row.totals for row in report.rows}


def _block_listing(blocks: Sequence[UsageBlock], total: UsageTotals) -> Listing[UsageBlock]:
    columns: list[Column[UsageBlock]] = [
        Column(name="start_at", value=lambda b: b.start_at, text=lambda b: words.moment(b.start_at)[:16]),
        Column(name="end_at", value=lambda b: b.end_at, text=lambda b: words.moment(b.end_at)[:16], priority=3),
        Column(name="is_active", value=lambda b: b.is_active, text=lambda b: "active" if b.is_active else "",
               priority=5),
        Column(name="calls", value=lambda b: b.totals.calls, text=lambda b: words.count(b.totals.calls), right=True,
               priority=2),
        Column(name="total_tokens", value=lambda b: b.totals.total_tokens,
               text=lambda b: words.count(b.totals.total_tokens), right=True),
        Column(name="cost_usd", value=lambda b: b.totals.cost_usd, text=lambda b: words.money(b.totals.cost_usd),
               right=True),
        Column(name="unpriced_calls", value=lambda b: b.totals.unpriced_calls, right=True, priority=6,
               text=lambda b: words.count(b.totals.unpriced_calls)),
        Column(name="models", value=lambda b: " ".join(b.models), flexible=True, priority=4),
    ]  # fmt: skip
    return Listing(
        columns=columns,
        rows=blocks,
        document={"by": "block", "rows": [_block_record(block) for block in blocks], "total": figures(total)},
        record=_block_record,
        empty="No calls in this range.",
    )


def _block_record(block: UsageBlock) -> dict[str, object]:
    return {
        "start_at": block.start_at,
        "end_at": block.end_at,
        "first_at": block.first_at,
        "last_at": block.last_at,
        "is_active": block.is_active,
        "models": list(block.models),
        **figures(block.totals),
    }


def _check_budget(spent: Decimal | None, budget: Decimal | None) -> None:
    if budget is not None and (spent or Decimal(0)) > budget:
        hint(f"over budget: {words.money(spent)} spent, {words.money(budget)} allowed", warning=True)
        raise click.exceptions.Exit(EXIT_BUDGET)


def usage_options(by: UsageBy) -> Callable[[F], F]:
    """Give a command the options of a report, whose rows are `by` unless it is told otherwise."""
    made = (
        click.option("--by", type=click.Choice([str(one) for one in UsageBy]), default=str(by), show_default=True,
                     metavar="WHAT", help=f"One row for each: {', '.join(UsageBy)}."),
        click.option("--split", type=click.Choice([str(one) for one in NAMES]),
                     help="One row for each two: periods, or one of these, split by another of these."),
        since_option(),
        until_option(),
        click.option("--no-subagents", is_flag=True, help="Leave out what sub-agents called."),
        click.option("--blocks", is_flag=True, help="By five-hour windows of a coding plan instead."),
        click.option("--timezone", type=Zone(), default="UTC", show_default=True, metavar="ZONE",
                     help="Whose days: UTC, local or an offset such as +02:00."),
        click.option("--budget", type=Dollars(), metavar="USD", help="Exit 4 if the total is more than this."),
        output_options,
    )  # fmt: skip

    def decorate(command: F) -> F:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


@click.command("usage")
@usage_options(UsageBy.DAY)
def command(**wanted: Unpack[Wanted]) -> None:
    """Show tokens and costs, one row per day or per whatever --by names.

    A range of days or weeks counts whole days, of which today is the last, as the page of costs does; one of hours
    whole hours. Every total leaves out calls without a price and says how many on standard error.

    \b
    Examples:
      agentrecord usage --since 7d
      agentrecord usage --by model --since 2026-01-01 --json
      agentrecord usage --by day --split user --csv
      agentrecord usage --since 30d --budget 200 || echo too much
    """
    run(wanted)


def _blocks(store: Store, wanted: Wanted, since: datetime | None, until: datetime | None) -> UsageTotals:
    """Print the windows of a range, and return their sum."""
    found = store.usage.blocks(since=since, include_subagents=not wanted["no_subagents"])
    blocks = [block for block in found if until is None or block.start_at < until]
    total = UsageTotals()
    for block in blocks:
        total = total + block.totals
    show(_block_listing(blocks, total))
    if total.unpriced_calls:
        whole = {"since": blocks[0].start_at, "until": blocks[-1].end_at}
        warn_of_unpriced(models_of(store, **whole, include_subagents=not wanted["no_subagents"]))
    return total


def run(wanted: Wanted) -> None:
    """Print the report that was asked for."""
    if wanted["timezone"] % MINUTES and not wanted["blocks"]:
        raise click.BadParameter(
            "days must begin with an hour of UTC, as in +05:00: figures are kept by hour", param_hint="--timezone"
        )
    with reading() as store:
        now = store.engine.maker.clock.now()
        since, until = bounds(wanted["since"], wanted["until"], now=now, zone_minutes=wanted["timezone"], whole=HOUR)
        if wanted["blocks"]:
            _check_budget(_blocks(store, wanted, since, until).cost_usd, wanted["budget"])
            return
        with_subagents = not wanted["no_subagents"]
        report = store.usage.report(
            UsageBy(wanted["by"]), split=None if wanted["split"] is None else UsageBy(wanted["split"]),
            since=since, until=until, include_subagents=with_subagents, utc_offset_minutes=wanted["timezone"],
        )  # fmt: skip
        show(listing(report))
        if report.total.unpriced_calls:
            warn_of_unpriced(models_of(store, since=since, until=until, include_subagents=with_subagents))
        if chosen_form() is Form.TABLE:
            tell_prices(report.prices)
    _check_budget(report.total.cost_usd, wanted["budget"])
