"""`agentrecord error GROUP`: one group of equal errors; resolve it, open it again."""

import click

from agentrecord.cli import words
from agentrecord.cli.agents import section
from agentrecord.cli.errors import OCCURRENCES, group_columns
from agentrecord.cli.filtering import tell_prices
from agentrecord.cli.opening import reading, writing
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show, wants_json, write_json
from agentrecord.cli.terminal import say
from agentrecord.records.error import ErrorBreakdown
from agentrecord.records.usage import NamedCount

LATEST = 20


@click.command("error")
@click.argument("group")
@click.option("--resolve", "change", flag_value="resolve", help="Mark the group as resolved.")
@click.option("--reopen", "change", flag_value="reopen", help="Open it again.")
@output_options
def command(group: str, change: str | None) -> None:
    """Show a GROUP of equal errors, by its fingerprint: where it was met, its latest occurrences, a stack.

    With --resolve or --reopen, change how it stands first; that goes into the audit trail.

    \b
    Examples:
      agentrecord error 857143f5b149dd6e
      agentrecord error 857143f5b149dd6e --resolve
    """
    if change is not None:
        with writing(as_user=False) as store:
            store.errors.resolve(group) if change == "resolve" else store.errors.reopen(group)
    with reading() as store:
        now = store.engine.maker.clock.now()
        found = store.errors.group(group)
        told = store.errors.breakdown(found.fingerprint)
        latest = store.errors.list(group=found.id, derived=True, limit=LATEST)
    if wants_json():
        write_json({"group": found, "breakdown": told, "latest": list(latest)})
        return
    show(Listing(columns=group_columns(now), rows=[found]))
    if chosen_form() is not Form.TABLE:
        return
    _met(told)
    section("Latest occurrences", OCCURRENCES, latest.items)
    stack = next((one.stack_trace for one in latest if one.stack_trace), None)
    if stack:
        say(f"\n{stack.rstrip()}")


def _met(told: ErrorBreakdown) -> None:
    sections = (
        ("By agent", told.agents), ("By user", told.users), ("By version", told.versions), ("By model", told.models),
        ("By failed tool", told.tools),
    )  # fmt: skip
    for title, rows in sections:
        section(title, _NAMED, rows)
    if told.failed_runs:
        cost = words.money(told.usage.cost_usd) if told.usage.calls else words.NONE
        say(f"\n{words.plural(told.failed_runs, 'run')} of {told.runs:,} that met it failed; their calls cost {cost}")
        tell_prices(told.prices)


_NAMED: list[Column[NamedCount]] = [
    Column(name="name", value=lambda n: n.name, text=lambda n: n.name or words.NONE, flexible=True),
    Column(name="count", value=lambda n: n.count, text=lambda n: words.count(n.count), right=True),
]
