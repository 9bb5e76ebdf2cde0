"""`agentrecord export`: sessions and runs out of the record, to import elsewhere or to open in a spreadsheet."""

import sys
from pathlib import Path

import click

from agentrecord.cli import words
from agentrecord.cli.moments import bounds, since_option, until_option
from agentrecord.cli.opening import reading
from agentrecord.cli.progress import BAR_WIDTH, Meter
from agentrecord.cli.terminal import hint
from agentrecord.ingest.load import Progress
from agentrecord.ingest.otlp_export import Document, ExportAs
from agentrecord.ingest.otlp_leaving import leaving
from agentrecord.records.exchange import ExportFilter

_NOWHERE = Path()


class UnitMeter(Meter):
    """Shows how many sessions and runs were written."""

    def line(self, progress: Progress, now: float) -> str:
        """Return the progress as one line: share, sessions and runs, time left."""
        done, total = progress.files_done, progress.files_total
        bar = self._terminal.bar(done / total, BAR_WIDTH).ljust(BAR_WIDTH) + " " if self._terminal.is_tty else ""
        left = (now - self._began) * (total - done) / max(done, 1)
        told = f"{done:,}/{total:,} sessions and runs"
        return f"{self._label}  {bar}{done / total:4.0%}  {told}  {words.duration(left * 1000)} left"

    def at(self, done: int, total: int) -> None:
        """Show where the export is."""
        self(Progress(path=_NOWHERE, files_done=done, files_total=total, bytes_done=done, bytes_total=total))


@click.command("export")
@click.option("--session", help="One session, by its own id or its row id, and the sessions below it.")
@click.option("--run", help="One run and all below it, by its own id or its row id.")
@since_option("What was at work from when on")
@until_option()
@click.option("--as", "shape", type=click.Choice([str(shape) for shape in ExportAs]), default=str(ExportAs.JSON),
              show_default=True, help="OTLP as one JSON document or one request a line; or a row a span.")  # fmt: skip
def command(session: str | None, run: str | None, since: str | None, until: str | None, shape: str) -> None:
    """Write sessions and runs to the standard output, whole, whatever door they came through.

    What `json` and `jsonl` write can be imported again, here or elsewhere, with `agentrecord import otlp`, and sent to
    any OpenTelemetry collector. What came in as traces leaves as the spans that were sent.

    \b
    Examples:
      agentrecord export --session talk > talk.json
      agentrecord export --user ana > ana.json
      agentrecord export --since 7d --as jsonl > week.jsonl
      agentrecord export --run 0af7651916cd43dd8448eb211c80319c --as csv
    """
    document, count, meter = Document(ExportAs(shape)), 0, UnitMeter("export")
    with reading() as store:
        start, end = bounds(since, until, now=store.engine.maker.clock.now())
        where = ExportFilter(
            session=None if session is None else store.sessions.get(session).id,
            run=None if run is None else store.runs.get(run).id,
            since=start,
            until=end,
        )
        total, output = store.exchange.count(where), sys.stdout.buffer
        output.write(document.begin())
        for page in leaving(store, where):
            output.write(document.page(page.spans))
            count += len(page.spans)
            meter.at(min(page.units, total), total)
        output.write(document.end())
        output.flush()
        meter.finish()
    hint(f"{count:,} spans" if count else "nothing that was asked for is in the record")
