"""`agentrecord export`: spans out of the record, to import elsewhere or to open in a spreadsheet."""

import sys
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import click

from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.terminal import hint
from agentrecord.ingest.otlp_export import Document, ExportAs
from agentrecord.records.span import Span
from agentrecord.store import Store

PAGE_SPANS = 1000


def pages(
    store: Store, *, session: UUID | None, run: UUID | None, since: datetime | None, until: datetime | None
) -> Iterator[tuple[Span, ...]]:
    """Yield the spans that are asked for, page by page."""
    last: Span | None = None
    while True:
        found = store.traces.spans(session=session, run=run, since=since, until=until, after=last, limit=PAGE_SPANS)
        yield found
        if len(found) < PAGE_SPANS:
            return
        last = found[-1]


@click.command("export")
@click.option("--session", help="The spans of one session, by its own id or its row id.")
@click.option("--run", help="The spans of one run and of all below it, by its own id or its row id.")
@since_option("What began from when on")
@until_option()
@click.option("--as", "shape", type=click.Choice([str(shape) for shape in ExportAs]), default=str(ExportAs.JSON),
              show_default=True, help="OTLP as one JSON document or one request a line; or a row a span.")  # fmt: skip
def command(session: str | None, run: str | None, since: str | None, until: str | None, shape: str) -> None:
    """Write the spans of traces to the standard output, as they were sent.

    What `json` and `jsonl` write can be imported again, here or elsewhere, with `agentrecord import otlp`, and sent to
    any OpenTelemetry collector.

    \b
    Examples:
      agentrecord export --session talk > talk.json
      agentrecord export --since 7d --as jsonl > week.jsonl
      agentrecord export --run 0af7651916cd43dd8448eb211c80319c --as csv
    """
    document, count = Document(ExportAs(shape)), 0
    with reading() as store:
        start, end = bounds(since, until, now=store.engine.maker.clock.now())
        wanted = None if session is None else store.sessions.get(session).id
        work = None if run is None else store.runs.get(run).id
        output = sys.stdout.buffer
        output.write(document.begin())
        for spans in pages(store, session=wanted, run=work, since=start, until=end):
            output.write(document.page(spans))
            count += len(spans)
        output.write(document.end())
        output.flush()
    hint(f"{count:,} spans" if count else "no spans: only what came in as traces has some")
