"""`agentrecord agents`: what agents did and cost, one of them, and two versions of one side by side."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar, Unpack

import click

from agentrecord.cli import words
from agentrecord.cli.figures import (
    FIGURE_SORTS,
    Wanted,
    cost,
    list_options,
    share,
    show_list,
    spent_columns,
    work_columns,
)
from agentrecord.cli.filtering import FilteringGroup, tell_prices
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import (
    LEAST_NAME,
    Column,
    Form,
    Listing,
    chosen_form,
    output_options,
    show,
    wants_json,
    write_json,
)
from agentrecord.cli.terminal import say
from agentrecord.records.agent import AgentDetails, AgentFigures, VersionFigures
from agentrecord.records.comparison import Measure, Unit, VersionComparison
from agentrecord.records.lengths import HOUR
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import UsageRow

T = TypeVar("T")

SORTS = ("agent_id", "last_active_at", *FIGURE_SORTS)


def columns(now: datetime) -> list[Column[AgentFigures]]:
    """Return the columns of agents with their figures."""
    return [
        Column(name="agent_id", title="agent", value=lambda a: a.agent.agent_id, flexible=True, least=LEAST_NAME),
        Column(name="version", value=lambda a: a.version, text=lambda a: a.version or words.NONE, priority=6),
        Column(name="last_active_at", title="last active", value=lambda a: a.last_active_at, priority=2,
               text=lambda a: words.seen(a.last_active_at, now)),
        *work_columns(),
        Column(name="latency_p95_ms", title="p95", value=lambda a: a.latency_p95_ms, right=True, priority=5,
               text=lambda a: words.duration(a.latency_p95_ms)),
        Column(name="calls", value=lambda a: a.usage.calls, text=lambda a: words.count(a.usage.calls), right=True,
               priority=8),
        Column(name="cost_per_run_usd", title="cost/run", value=lambda a: a.cost_per_run_usd, right=True, priority=5,
               text=lambda a: words.NONE if a.cost_per_run_usd is None else words.money(a.cost_per_run_usd)),
        *spent_columns(),
    ]  # fmt: skip


@click.group("agents", cls=FilteringGroup, invoke_without_command=True)
@list_options(SORTS, "-last_active_at")
@click.pass_context
def command(context: click.Context, text: tuple[str, ...] = (), **wanted: Unpack[Wanted]) -> None:
    """List agents with what they did and cost, the last active first; WORDS are a filter, as in the dashboard.

    A plain word must occur in the id or the name. docs/reference/filters.md lists the others: user, model, tool,
    version, cost, runs and more. A range counts whole UTC days. The last row sums up the whole filter.

    \b
    Examples:
      agentrecord agents --since 7d --sort -cost
      agentrecord agents has:error 'cost:>0.50' -user:bob
      agentrecord agents show claude-code
      agentrecord agents compare support-bot 1.3.0 1.4.0
    """
    if context.invoked_subcommand is None:
        empty = "No agents match. Each is made when a run first names it."
        show_list(text, wanted, lambda store: (store.agents.report, store.agents.sums), columns, empty=empty)


@command.command("show", short_help="Show one agent.")
@click.argument("agent")
@since_option("Over the days since")
@until_option()
@output_options
def show_agent(agent: str, since: str | None, until: str | None) -> None:
    """Show an agent by model and by tool, and its versions; --json has its days too.

    \b
    Example:
      agentrecord agents show claude-code --since 30d
    """
    with reading() as store:
        now = store.engine.maker.clock.now()
        first, last = bounds(since, until, now=now, whole=HOUR)
        found = store.agents.details(agent, since=first, until=last)
    if wants_json():
        write_json(found)
        return
    show(Listing(columns=columns(now), rows=[found.figures]))
    if chosen_form() is Form.TABLE:
        _tables(found, now)
        tell_prices(found.prices)


def _tables(found: AgentDetails, now: datetime) -> None:
    section("Models", model_columns(), found.models)
    section("Tools", tool_columns(), found.tools)
    section("Versions", _version_columns(now), found.versions)


def section(title: str, columns: Sequence[Column[T]], rows: Sequence[T]) -> None:
    """Print a table under a title; nothing where there are no rows."""
    if rows:
        say(f"\n{title}")
        show(Listing(columns=columns, rows=rows))


def model_columns() -> list[Column[UsageRow]]:
    """Return the columns of sums by model."""
    return [
        Column(name="model", value=lambda r: r.key, flexible=True),
        Column(name="calls", value=lambda r: r.totals.calls, text=lambda r: words.count(r.totals.calls), right=True),
        Column(name="failed", value=lambda r: r.totals.failed_calls, right=True, priority=2,
               text=lambda r: words.count(r.totals.failed_calls)),
        Column(name="tokens", value=lambda r: r.totals.total_tokens, right=True, priority=1,
               text=lambda r: words.tokens(r.totals)),
        Column(name="cost", value=lambda r: r.totals.cost_usd, text=lambda r: cost(r.totals), right=True),
    ]  # fmt: skip


def tool_columns() -> list[Column[ToolFigures]]:
    """Return the columns of uses by tool."""
    return [
        Column(name="tool", value=lambda t: t.tool_name, flexible=True),
        Column(name="uses", value=lambda t: t.calls, text=lambda t: words.count(t.calls), right=True),
        Column(name="failed", value=lambda t: t.errors, text=lambda t: words.count(t.errors), right=True),
        Column(name="share", value=lambda t: t.failure_rate, text=lambda t: share(t.failure_rate), right=True),
    ]


def _version_columns(now: datetime) -> list[Column[VersionFigures]]:
    return [
        Column(name="version", value=lambda v: v.version.version_number),
        Column(name="state", value=lambda v: "in service" if v.version.is_active else ""),
        Column(name="runs", value=lambda v: v.runs, text=lambda v: words.count(v.runs), right=True),
        Column(name="failed", value=lambda v: v.failed_runs, text=lambda v: words.count(v.failed_runs), right=True),
        Column(name="last_run_at", title="last run", value=lambda v: v.last_run_at, priority=1,
               text=lambda v: words.ago(v.last_run_at, now) if v.last_run_at else words.NONE),
    ]  # fmt: skip


@command.command("compare", short_help="Compare two versions of an agent.")
@click.argument("agent")
@click.argument("a", required=False)
@click.argument("b", required=False)
@since_option("Runs started since")
@until_option()
@click.option("--filter", "query", metavar="WORDS", help="Only runs that fit: a filter as `agentrecord runs` takes it.")
@output_options
def compare(agent: str, a: str | None, b: str | None, since: str | None, until: str | None, query: str | None) -> None:
    """Compare version B of an agent with version A, the last two without them: each measure and its difference.

    The 95 % interval is Newcombe's for the error rate and Welch's for means; with fewer than 30 runs on either side a
    difference says little, and the table says so.

    \b
    Examples:
      agentrecord agents compare support-bot
      agentrecord agents compare support-bot 1.3.0 1.4.0 --json
      agentrecord agents compare support-bot --filter '-env:staging'
    """
    with reading() as store:
        first, last = bounds(since, until, now=store.engine.maker.clock.now(), whole=HOUR)
        found = store.agents.compare(agent, a, b, since=first, until=last, query=query)
    if wants_json():
        write_json(found)
        return
    show(Listing(columns=_measure_columns(found), rows=found.measures))


def _written(value: float | None, unit: Unit) -> str:
    if value is None:
        return words.NONE
    match unit:
        case Unit.SHARE:
            return f"{100 * value:.1f}%"
        case Unit.DOLLARS:
            return f"{'-' if value < 0 else ''}${abs(value):,.4f}"
        case Unit.MILLISECONDS:
            sign = "-" if value < 0 else ""
            return sign + words.duration(abs(value))
        case Unit.TOKENS:
            return f"{value:,.0f}"
        case Unit.CALLS:
            return f"{value:,.1f}"
        case Unit.SCORE:
            return f"{value:,.2f}"


def _difference(value: float | None, unit: Unit) -> str:
    """Return by how much a measure differs, with its sign; shares differ by points of their percents."""
    written = _written(value, unit)
    if value is None:
        return written
    is_none = not written.strip("-$0.,% ms")
    return ("" if value <= 0 or is_none else "+") + (written.replace("%", " points") if unit is Unit.SHARE else written)


def _interval(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return words.NONE
    return f"{_difference(measure.low, measure.unit)} to {_difference(measure.high, measure.unit)}"


def _said(measure: Measure) -> str:
    if measure.has_few_runs:
        return f"too few {'sessions' if measure.unit is Unit.SCORE else 'runs'} (n<30)"
    if measure.low is None:
        return ""
    if not measure.is_clear:
        return "no clear difference"
    return "more" if (measure.delta or 0) > 0 else "less"


def _measure_columns(found: VersionComparison) -> list[Column[Measure]]:
    return [
        Column(name="measure", value=lambda m: m.name),
        Column(name="a", title=found.a.version_number, value=lambda m: m.a, text=lambda m: _written(m.a, m.unit),
               right=True),
        Column(name="b", title=found.b.version_number, value=lambda m: m.b, text=lambda m: _written(m.b, m.unit),
               right=True),
        Column(name="delta", title="difference", value=lambda m: m.delta, text=lambda m: _difference(m.delta, m.unit),
               right=True),
        Column(name="low", title="95 % interval", value=lambda m: m.low, text=_interval, right=True, priority=2),
        Column(name="high", title="", value=lambda m: m.high, text=lambda m: "", priority=9),
        Column(name="n_a", title="n", value=lambda m: m.n_a, text=lambda m: f"{m.n_a:,}/{m.n_b:,}", right=True,
               priority=3),
        Column(name="n_b", title="", value=lambda m: m.n_b, text=lambda m: "", priority=9),
        Column(name="says", value=_said, priority=1),
    ]  # fmt: skip
