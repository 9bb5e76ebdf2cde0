"""`agentrecord search`: messages that hold some words, with the place where they do."""

import click

from agentrecord.cli import words
from agentrecord.cli.moments import bounds, since_option
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, output_options, show
from agentrecord.cli.terminal import Terminal, cells, clip, hint, one_line, out, say
from agentrecord.records.message import MessageRole, SearchHit
from agentrecord.records.page import MAX_PAGE

_COLUMNS: list[Column[SearchHit]] = [
    Column(name="session_id", value=lambda hit: hit.session_id),
    Column(name="sequence", value=lambda hit: hit.sequence),
    Column(name="role", value=lambda hit: hit.role),
    Column(name="created_at", value=lambda hit: hit.created_at),
    Column(name="excerpt", value=lambda hit: "".join(hit.excerpt)),
]


def _lines(hit: SearchHit, terminal: Terminal) -> tuple[str, str]:
    head = f"{hit.session_id} #{hit.sequence}  {hit.role}  {words.moment(hit.created_at)}"
    room = terminal.width - cells(head) - 2
    title = clip(one_line(hit.session_title or ""), room, mark=terminal.glyph("more")) if room > 0 else ""
    marked = [
        terminal.style(one_line_kept(part), bold=True, fg="yellow") if place % 2 else one_line_kept(part)
        for place, part in enumerate(hit.excerpt)
    ]
    return terminal.style(f"{head}  {title}".rstrip(), dim=True), "  " + "".join(marked).strip()


def one_line_kept(text: str) -> str:
    """Return `text` on one line, with a blank at an end where it had one."""
    found = one_line(text)
    if not found:
        return " " if text else ""
    return (" " if text[0].isspace() else "") + found + (" " if text[-1].isspace() else "")


@click.command("search")
@click.argument("text", nargs=-1, required=True, metavar="WORDS...")
@click.option("--role", type=click.Choice([str(role) for role in MessageRole]), help="Said by one role only.")
@click.option("--session", metavar="ID", help="In one session only.")
@since_option("Said since")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True, help="Rows at most.")
@output_options
def command(text: tuple[str, ...], role: str | None, session: str | None, since: str | None, limit: int) -> None:
    """Find messages that hold all WORDS, the best match first.

    "Words in quotes" must stand side by side; a * after a word finds what begins with it.

    \b
    Examples:
      agentrecord search migration failed
      agentrecord search '"out of memory"' --role tool --since 30d
    """
    with reading() as store:
        start, _ = bounds(since, None, now=store.engine.maker.clock.now())
        page = store.messages.search(
            " ".join(text), role=MessageRole(role) if role else None,
            session=store.sessions.get(session).id if session else None, since=start, limit=limit,
        )  # fmt: skip
    if chosen_form() is not Form.TABLE or not page.items:
        show(Listing(columns=_COLUMNS, rows=page.items, document=page, empty="No message holds these words."))
        return
    terminal = out()
    for hit in page:
        for line in _lines(hit, terminal):
            say(line)
    if page.next_cursor is not None:
        hint(f"the best {len(page)} are shown; --limit shows more")
