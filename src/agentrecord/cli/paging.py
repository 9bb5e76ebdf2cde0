"""Long lists in pieces: `--limit`, `--cursor`, `--all`, and the hint that names the next piece."""

from collections.abc import Callable
from typing import Any, TypeVar  # `Any`: decorators keep whatever they decorate

import click

from agentrecord.cli.output import Form, chosen_form
from agentrecord.cli.terminal import hint
from agentrecord.records.page import MAX_PAGE, Page

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def page_options(command: F) -> F:
    """Give a command the options that choose how much of a list it prints."""
    command = click.option("--all", "everything", is_flag=True, help="Print all rows.")(command)
    command = click.option("--cursor", metavar="PLACE", help="Go on from where an earlier list ended.")(command)
    return click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows at most.")(
        command
    )


def collect(ask: Callable[[int, str | None], Page[T]], *, limit: int, cursor: str | None, everything: bool) -> Page[T]:
    """Return up to `limit` rows, or all of them, as one page; `ask` is given a size and a cursor."""
    found: list[T] = []
    while True:
        size = MAX_PAGE if everything else min(MAX_PAGE, limit - len(found))
        page = ask(size, cursor)
        found.extend(page.items)
        cursor = page.next_cursor
        if cursor is None or (not everything and len(found) >= limit):
            return Page(found, limit, cursor, page.total, page.total_is_exact)


def tell_rest(page: Page[T]) -> None:
    """Say on standard error that there is more, and how to get it."""
    if page.next_cursor is None or chosen_form() is Form.JSON:
        return
    total = "" if page.total is None else f" of {page.total:,}{'' if page.total_is_exact else '+'}"
    hint(f"{len(page):,}{total} shown; --all shows every one, --cursor {page.next_cursor} the next ones")


def page_document(page: Page[Any]) -> dict[str, object]:
    """Return what `--json` prints for a page."""
    return {
        "items": list(page.items),
        "limit": page.limit,
        "next_cursor": page.next_cursor,
        "total": page.total,
        "total_is_exact": page.total_is_exact,
    }
