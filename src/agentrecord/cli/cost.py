"""`agentrecord cost`: what was spent, the most expensive first."""

from typing import Unpack

import click

from agentrecord.cli.usage import Wanted, run, usage_options
from agentrecord.records.usage import UsageBy


@click.command("cost")
@usage_options(UsageBy.MODEL)
def command(**wanted: Unpack[Wanted]) -> None:
    """Show what was spent, one row per model or per whatever --by names: the same figures as `usage`.

    A range of days or weeks counts whole days, of which today is the last, as the page of costs does; one of hours
    whole hours. Every total leaves out calls without a price and says how many on standard error.

    \b
    Examples:
      agentrecord cost
      agentrecord cost --by user --since 30d
      agentrecord cost --by tool --split model
      agentrecord cost --since 7d --budget 50 || echo too much
    """
    run(wanted)
