"""`agentrecord budgets`: limits on what calls may cost, and how each stands."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

import click

from agentrecord.cli import settings, words
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.prices import nanos
from agentrecord.cli.terminal import hint, out
from agentrecord.cli.usage import BAR_WIDTH, EXIT_BUDGET, Dollars
from agentrecord.exceptions import NotFound
from agentrecord.records.budget import Budget, BudgetChanges, BudgetPeriod, BudgetStatus, NewBudget
from agentrecord.records.unset import UNSET
from agentrecord.store import Store

_EMPTY = "No budget is set; agentrecord budgets set team --limit 50 --period month"


def _state(standing: BudgetStatus) -> str:
    if not standing.budget.is_active:
        return "off"
    if standing.is_over:
        return "over"
    if standing.is_used_up:
        return "used up"
    return "near" if standing.is_near else "ok"


def _colour(standing: BudgetStatus) -> dict[str, object]:
    colours = {"over": "red", "used up": "red", "near": "yellow", "ok": "green"}
    return {"fg": colours.get(_state(standing))}


def _who(budget: Budget) -> str:
    told = [budget.user, None if budget.agent_id is None else f"agent {budget.agent_id}"]
    return " with ".join(name for name in told if name is not None) or "the project"


def _columns() -> list[Column[BudgetStatus]]:
    terminal = out()

    def share_text(standing: BudgetStatus) -> str:
        return f"{terminal.bar(min(1.0, standing.share), BAR_WIDTH)} {standing.share:.0%}"

    return [
        Column(name="name", value=lambda s: s.budget.name, flexible=True),
        Column(name="user", value=lambda s: s.budget.user, text=lambda s: _who(s.budget), title="who", priority=3),
        Column(name="agent_id", value=lambda s: s.budget.agent_id, text=lambda s: s.budget.agent_id or "", priority=9),
        Column(name="period", value=lambda s: str(s.budget.period), priority=2),
        Column(name="limit_usd", title="limit", value=lambda s: s.budget.limit_usd,
               text=lambda s: words.money(s.budget.limit_usd), right=True),
        Column(name="spent_usd", title="spent", value=lambda s: s.spent_usd, text=lambda s: words.money(s.spent_usd),
               right=True),
        Column(name="reserved_usd", title="reserved", value=lambda s: s.reserved_usd,
               text=lambda s: words.money(s.reserved_usd), right=True, priority=5),
        Column(name="remaining_usd", title="left", value=lambda s: s.remaining_usd,
               text=lambda s: words.money(s.remaining_usd), right=True, priority=4),
        Column(name="share", value=lambda s: round(s.share, 6), text=share_text, priority=6),
        Column(name="unpriced_calls", title="unpriced", value=lambda s: s.unpriced_calls, right=True, priority=8,
               text=lambda s: words.count(s.unpriced_calls) if s.unpriced_calls else ""),
        Column(name="state", value=_state, look=_colour, priority=1),
    ]  # fmt: skip


def _show(found: Sequence[BudgetStatus]) -> None:
    show(Listing(columns=_columns(), rows=found, empty=_EMPTY))


def _all(store: Store) -> list[BudgetStatus]:
    found: list[BudgetStatus] = []
    cursor = None
    while True:
        page = store.budgets.statuses(limit=200, cursor=cursor)
        found.extend(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return found


@click.group("budgets", invoke_without_command=True)
@click.option("--fail-if-over", is_flag=True, help="Exit 4 if one is used up.")
@output_options
@click.pass_context
def command(context: click.Context, fail_if_over: bool) -> None:
    """List the budgets, what is spent and reserved of each in its present period (UTC), and what is left.

    A call that asks first is refused where it might cross one; calls that were imported or never asked count too.

    \b
    Examples:
      agentrecord budgets
      agentrecord budgets set team --limit 50 --period month
      agentrecord budgets set ana --limit 5 --period day --user ana@example.org
      agentrecord budgets remove team
    """
    if context.invoked_subcommand is not None:
        return
    with reading() as store:
        found = _all(store)
        _show(found)
    used_up = [standing for standing in found if standing.budget.is_active and standing.is_used_up]
    for standing in used_up:
        if standing.is_over:
            over = words.money(standing.spent_usd - standing.budget.limit_usd)
            hint(f"{standing.budget.name} is over by {over}: calls that did not ask first count too", warning=True)
    if fail_if_over and used_up:
        raise click.exceptions.Exit(EXIT_BUDGET)


class Given(TypedDict):
    """The options of `budgets set`."""

    limit: Decimal | None
    period: str | None
    agent: str | None
    allow_unpriced: bool | None
    is_active: bool | None


@command.command("set", short_help="Make a budget, or change one.")
@click.argument("name")
@click.option("--limit", type=Dollars(), metavar="USD", help="What may be spent in each period.")
@click.option("--period", type=click.Choice([str(period) for period in BudgetPeriod]),
              help="When it starts anew, in UTC: weeks on Monday, a total never. A new budget's is month.")  # fmt: skip
@click.option("--agent", metavar="AGENT", help="Of this agent's calls only; --user likewise.")
@click.option("--allow-unpriced/--refuse-unpriced", default=None,
              help="Whether calls pass that have no price or no bound on their output.")  # fmt: skip
@click.option("--on/--off", "is_active", default=None, help="Whether it limits anything.")
@output_options
def set_budget(name: str, **given: Unpack[Given]) -> None:
    """Make the budget NAME, or change the one that there is: what no option names stays.

    It is of the whole project, or with --user of that user's calls, with --agent of that agent's, with both of that
    user's with that agent.

    \b
    Examples:
      agentrecord budgets set team --limit 50 --period month
      agentrecord budgets set ana --limit 5 --period day --user ana@example.org
      agentrecord budgets set team --limit 80
    """
    user = settings.current().user
    with writing(as_user=False) as store:
        known = store.budgets.find(name)
        budget = _make(store, name, user, given) if known is None else _change(store, known, user, given)
        _show([store.budgets.status(budget)])


def _make(store: Store, name: str, user: str | None, given: Given) -> UUID:
    limit = nanos("--limit", given["limit"])
    if limit is None:
        raise click.UsageError(f"there is no budget {name!r} yet; say --limit USD to make it")
    new = NewBudget(
        name=name, period=BudgetPeriod(given["period"] or "month"), limit_nanos=limit, user=user,
        agent_id=given["agent"], allow_unpriced=bool(given["allow_unpriced"]),
        is_active=given["is_active"] is not False,
    )  # fmt: skip
    return store.budgets.create(new).id


def _change(store: Store, known: Budget, user: str | None, given: Given) -> UUID:
    if user not in (None, known.user) or given["agent"] not in (None, known.agent_id):
        raise click.UsageError(
            f"the budget {known.name!r} is of {_who(known)}, and stays so; choose another name, or remove it first"
        )
    limit, period = nanos("--limit", given["limit"]), given["period"]
    changes = BudgetChanges(
        limit_nanos=UNSET if limit is None else limit,
        period=UNSET if period is None else BudgetPeriod(period),
        allow_unpriced=UNSET if given["allow_unpriced"] is None else given["allow_unpriced"],
        is_active=UNSET if given["is_active"] is None else given["is_active"],
    )
    return store.budgets.update(known.id, changes).id


@command.command("remove", short_help="Delete a budget.")
@click.argument("name")
def remove_budget(name: str) -> None:
    """Delete the budget NAME; `agentrecord budgets set NAME --off` keeps it without its limiting anything.

    \b
    Example:
      agentrecord budgets remove team
    """
    with writing(as_user=False) as store:
        known = store.budgets.find(name)
        if known is None:
            raise NotFound("budget", name)
        store.budgets.delete(known.id)
    hint(f"removed {name}")
