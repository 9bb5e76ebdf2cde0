"""`agentrecord tail`: what happens, one line per event, as it comes."""

import time
from collections.abc import Iterator
from uuid import UUID

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import Filtering, words_argument
from agentrecord.cli.opening import reading
from agentrecord.cli.output import (
    GAP,
    Form,
    chosen_form,
    csv_line,
    encode,
    flush,
    output_options,
    plain,
    tell_nothing,
    write_json,
)
from agentrecord.cli.terminal import Terminal, cells, clip, hint, one_line, out, pad, say
from agentrecord.records.change import Change, ChangeKind
from agentrecord.records.change_filter import ChangeFilter, change_filter
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.query import joined
from agentrecord.records.usage import dollars
from agentrecord.store import Store
from agentrecord.store.feed import MAX_CHANGES

POLL_S = 0.5
_COLORS = {
    ChangeKind.MESSAGE: "cyan",
    ChangeKind.LLM_CALL: "blue",
    ChangeKind.TOOL_CALL: "yellow",
    ChangeKind.ERROR: "red",
    ChangeKind.RUN: "magenta",
    ChangeKind.SESSION: "green",
}
_BAD = ("error", "failed")
MIN_TEXT = 24
_NOTHING = "Nothing has arrived yet."
_NONE_FITS = "Nothing that arrived fits these words yet."
_HEAD = 8 + 9 + 9 + 3 * GAP


class Summary:
    """What came while a tail ran; what was told twice, because it changed, counts once."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.seen: dict[ChangeKind, dict[UUID, int]] = {kind: {} for kind in ChangeKind}

    def add(self, change: Change) -> None:
        """Count one change."""
        self.seen[change.kind][change.id] = change.cost_nanos or 0

    @property
    def is_something(self) -> bool:
        """Whether anything came."""
        return any(self.seen.values())

    def __str__(self) -> str:
        """Return it as one line; what runs and sessions cost is what their calls did."""
        counted = [words.plural(len(ids), kind.replace("_", " ")) for kind, ids in self.seen.items() if ids]
        spent = sum(self.seen[ChangeKind.LLM_CALL].values())
        cost = f", {words.money(dollars(spent))}" if spent else ""
        return f"{', '.join(counted) or 'nothing came'}{cost}"


def line(change: Change, terminal: Terminal) -> str:
    """Return a change as a line for people; where it is narrow, the session's id goes first, then the cost."""
    bad = change.status in _BAD or change.kind is ChangeKind.ERROR
    head = [
        f"{change.at:%H:%M:%S}",
        terminal.style(pad(change.kind, 9), fg="red" if bad else _COLORS[change.kind]),
        terminal.style(pad(clip(change.status or "", 9, mark=terminal.glyph("more")), 9), fg="red" if bad else None),
    ]
    # What made no call cost nothing that could be told.
    is_told = change.cost_nanos if change.kind is not ChangeKind.LLM_CALL else change.cost_nanos is not None
    tail = [words.money(dollars(change.cost_nanos or 0)) if is_told else "", change.session_id or ""]
    room = terminal.width - _HEAD
    while tail and room - sum(cells(part) + GAP for part in tail if part) < MIN_TEXT:
        tail.pop()
    text = one_line(change.line)
    text = clip(text, max(1, room - sum(cells(part) + GAP for part in tail if part)), mark=terminal.glyph("more"))
    return (" " * GAP).join([*head, text, *filter(None, tail)])


def _shown(change: Change, form: Form, terminal: Terminal) -> str:
    if form in (Form.JSON, Form.JSONL):
        return encode(change)
    if form is Form.TABLE:
        return line(change, terminal)
    values = (change.at, change.kind, change.status, change.session_id, change.line, change.cost_nanos)
    if form is Form.CSV:
        return csv_line([plain(value) for value in values])
    return "\t".join(one_line(plain(value)) for value in values)


def follow(store: Store, wanted: ChangeFilter, *, last: int, goes_on: bool) -> Iterator[Change]:
    """Yield the last changes that are wanted, and if it `goes_on`, every later one as it arrives."""
    # With a filter more of them are looked at than are shown.
    found = store.feed.changes(kinds=wanted.kinds, limit=MAX_CHANGES if wanted.query.terms else max(1, last))
    matching = [change for change in found.items if wanted.matches(change)]
    yield from matching[len(matching) - min(last, len(matching)) :]
    while goes_on:
        if not found.more:
            time.sleep(POLL_S)
        found = store.feed.changes(found.place, kinds=wanted.kinds, limit=MAX_PAGE)
        yield from filter(wanted.matches, found.items)


@click.command("tail", cls=Filtering)
@words_argument
@click.option("-n", "--lines", type=click.IntRange(0, MAX_PAGE), default=10, show_default=True,
              help="Begin with the last so many events.")  # fmt: skip
@click.option("--kind", "kinds", multiple=True, type=click.Choice([str(kind) for kind in ChangeKind]),
              help="Of this kind only; may be given more than once.")  # fmt: skip
@click.option("--no-follow", is_flag=True, help="Stop after the last events.")
@output_options
def command(text: tuple[str, ...], lines: int, kinds: tuple[str, ...], no_follow: bool) -> None:
    """Follow what arrives and changes, one event per line; Ctrl-C ends it with a summary.

    WORDS are text in the line, and kind, status, user, agent, session, run, model, tool, cost.

    \b
    Examples:
      agentrecord tail
      agentrecord tail kind:error,run user:bob
      agentrecord tail -status:success cost:>0.05
      agentrecord tail -n 100 --no-follow --jsonl
    """
    wanted = change_filter(joined(text), [ChangeKind(kind) for kind in kinds])
    summary, form, terminal = Summary(), chosen_form(), out()
    with reading() as store:
        changes = follow(store, wanted, last=lines, goes_on=not no_follow)
        if no_follow and form is Form.JSON:
            found = list(changes)
            write_json({"items": found})
            if not found:
                tell_nothing(_NONE_FITS if text or kinds else _NOTHING)
            return
        try:
            for change in changes:
                summary.add(change)
                say(_shown(change, form, terminal))
                flush()
        except KeyboardInterrupt:
            hint(f"\n{summary}")
    if not summary.is_something:
        tell_nothing(_NONE_FITS if text or kinds else _NOTHING)
