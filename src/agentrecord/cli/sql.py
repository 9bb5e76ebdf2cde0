"""`agentrecord sql`: a question in SQL, answered read-only and within limits."""

import sys

import click

from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.terminal import hint
from agentrecord.records.sql import Cell, SqlTable
from agentrecord.store.queries import MAX_ROWS

Row = tuple[Cell, ...]


def _column(place: int, names: tuple[str, ...], rows: tuple[Row, ...]) -> Column[Row]:
    values = [row[place] for row in rows if row[place] is not None]
    is_number = bool(values) and all(isinstance(value, int | float) for value in values)
    # A column's name may come twice, and a listing tells its columns apart by name.
    name = names[place] if names.count(names[place]) == 1 else f"{names[place]}:{place + 1}"
    return Column(name=name, title=names[place], value=lambda row: row[place], right=is_number, flexible=not is_number)


def _tables(found: list[SqlTable]) -> Listing[SqlTable]:
    return Listing(
        columns=[
            Column(name="name", value=lambda table: table.name),
            Column(name="kind", value=lambda table: "view" if table.is_view else "table"),
            Column(name="columns", value=lambda table: ", ".join(table.columns), flexible=True),
        ],
        rows=found,
    )


@click.command("sql")
@click.argument("query", required=False)
@click.option("--limit", type=click.IntRange(1, MAX_ROWS), default=1000, show_default=True, help="Rows at most.")
@output_options
def command(query: str | None, limit: int) -> None:
    """Run QUERY, a SELECT, on the record: read-only, and for a second at most.

    Without QUERY it is read from a pipe; on a terminal, the tables and views that can be asked are listed. Ids are
    text in what is shown; on SQLite uuid('…') makes one to compare with.

    \b
    Examples:
      agentrecord sql
      agentrecord sql "SELECT session_id, title FROM ar_sessions LIMIT 10"
      agentrecord sql --csv < question.sql > answer.csv
    """
    with reading() as store:
        if query is None and sys.stdin.isatty():
            show(_tables(store.queries.tables()))
            return
        answer = store.queries.run(sys.stdin.read() if query is None else query, limit=limit)
    columns = [_column(place, answer.columns, answer.rows) for place in range(len(answer.columns))]
    names = [column.name for column in columns]
    show(
        Listing(
            columns=columns, rows=answer.rows, document=answer,
            record=lambda row: dict(zip(names, row, strict=True)), empty="The query gave no rows.",
        )
    )  # fmt: skip
    if answer.cut_because is not None:
        hint(answer.cut_because)
