"""`agentrecord top`: what goes on now, drawn anew every second."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import click

from agentrecord.cli import words
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Form, Listing, chosen_form, output_options, show, table
from agentrecord.cli.runs import columns
from agentrecord.cli.terminal import Terminal, out, say, told_in_lines
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

EVERY_S = 1.0
HOUR = timedelta(hours=1)
_EMPTY = "No run is going on."
_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
_HOME, _LINE_END, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def _now(store: Store, *, limit: int) -> Listing[Run]:
    going_on = RunFilter(status=RunStatus.RUNNING, include_children=True)
    found = store.runs.list(going_on, sort="-started_at", limit=limit)
    shown = columns(store.engine.maker.clock.now(), found.items)
    shown = [column for column in shown if column.name != "duration_ms"]
    return Listing(columns=shown, rows=found.items, document=found, empty=_EMPTY)


def _head(store: Store) -> Iterator[str]:
    now = store.engine.maker.clock.now()
    # Figures are kept by the hour: this hour, and the one before, so that it is never less than one.
    since = now.replace(minute=0, second=0, microsecond=0) - HOUR
    report = store.usage.report(UsageBy.TOTAL, since=since)
    whole = report.total
    running = store.runs.sums(RunFilter(status=RunStatus.RUNNING, include_children=True))
    yield words.moment(now)
    yield f"{words.plural(running.runs, 'run')} going on"
    if not whole.calls:
        yield f"no call since {since:%H:%M}"
        return
    yield f"since {since:%H:%M}: {words.plural(whole.calls, 'call')}"
    if whole.failed_calls:
        yield f"{words.count(whole.failed_calls)} failed"
    yield f"{words.count(whole.total_tokens)} tokens"
    yield words.money(whole.cost_usd)
    if whole.unpriced_calls:
        yield f"excludes {words.plural(whole.unpriced_calls, 'call')} without a price"
    if report.prices is not None:
        yield f"prices: {report.prices}"


def _lines(store: Store, terminal: Terminal) -> Iterator[str]:
    yield from told_in_lines(_head(store), terminal)
    yield ""
    listing = _now(store, limit=MAX_PAGE)
    yield from table(listing, terminal)
    if not listing.rows:
        yield terminal.style(_EMPTY, dim=True)
    yield ""
    yield terminal.style("Ctrl-C ends it", dim=True)


@contextmanager
def _screen() -> Iterator[None]:
    """Draw on a screen of its own, and give the old one back."""
    click.echo(_SCREEN[0], nl=False)
    try:
        yield
    finally:
        click.echo(_SCREEN[1], nl=False)


def _draw(store: Store, terminal: Terminal, height: int) -> None:
    lines = list(_lines(store, terminal))[: max(1, height - 1)]
    click.echo(_HOME + "".join(f"{line}{_LINE_END}\n" for line in lines) + _BELOW, nl=False, color=terminal.color)


@click.command("top")
@click.option("--once", is_flag=True, help="Print what goes on now, and end; so it does wherever there is no terminal.")
@output_options
def command(once: bool) -> None:
    """Show the runs that go on, and what was spent lately, anew every second; Ctrl-C ends it.

    \b
    Examples:
      agentrecord top
      agentrecord top --once --json
    """
    terminal = out()
    with reading() as store:
        if once or not terminal.is_tty or chosen_form() is not Form.TABLE:
            if chosen_form() is Form.TABLE:
                for line in told_in_lines(_head(store), terminal):
                    say(line)
            show(_now(store, limit=MAX_PAGE))
            return
        with _screen(), suppress(KeyboardInterrupt):
            while True:
                _draw(store, out(), shutil.get_terminal_size().lines)
                time.sleep(EVERY_S)
