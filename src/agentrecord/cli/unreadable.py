"""`agentrecord unreadable`: the lines that could not be read."""

import click

from agentrecord.cli import words
from agentrecord.cli.moments import bounds, since_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.paging import collect, page_document, page_options, tell_rest
from agentrecord.cli.terminal import one_line, say
from agentrecord.records.imports import UnreadableLine

_COLUMNS: list[Column[UnreadableLine]] = [
    Column(name="place", value=lambda line: f"{line.path}:{line.line}"),
    Column(name="reason", value=lambda line: line.reason, flexible=True),
    Column(name="was_kept", title="kept", value=lambda line: line.was_kept,
           text=lambda line: "altered" if line.was_kept else "no", priority=2),
    Column(name="source", value=lambda line: line.source, priority=3),
    Column(name="created_at", title="seen", value=lambda line: line.created_at,
           text=lambda line: words.moment(line.created_at), priority=4),
    Column(name="excerpt", value=lambda line: line.excerpt, flexible=True, priority=5),
]  # fmt: skip


@click.command("unreadable")
@click.option("--source", metavar="NAME", help="Of one source only: claude-code, codex, …")
@click.option("--path", metavar="FILE", help="Of one file only.")
@since_option("Imported since")
@page_options
@output_options
def command(
    source: str | None, path: str | None, since: str | None, limit: int, cursor: str | None, everything: bool
) -> None:
    """List the lines of transcripts that could not be read, or were kept altered, and why.

    \b
    Examples:
      agentrecord unreadable
      agentrecord unreadable --source claude-code --all --csv > lines.csv
    """
    with reading() as store:
        start, _ = bounds(since, None, now=store.engine.maker.clock.now())
        page = collect(
            lambda size, place: store.imports.unreadable(
                source=source, path=path, since=start, limit=size, cursor=place
            ),
            limit=limit, cursor=cursor, everything=everything,
        )  # fmt: skip
    if chosen_form() is Form.TABLE and page.items:
        for line in page:
            say(f"{line.path}:{line.line}: {one_line(line.reason)}{' (kept, altered)' if line.was_kept else ''}")
    else:
        show(Listing(
            columns=_COLUMNS, rows=page.items, document=page_document(page), empty="Every line could be read.",
        ))  # fmt: skip
    tell_rest(page)
