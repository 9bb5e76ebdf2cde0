"""`agentrecord import`: transcripts of coding agents into the record."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from types import FrameType

import click

from agentrecord.cli import import_otlp, words
from agentrecord.cli.opening import writing
from agentrecord.cli.output import flush, output_options, wants_json, write_json
from agentrecord.cli.progress import Meter
from agentrecord.cli.settings import current
from agentrecord.cli.terminal import hint, say
from agentrecord.cli.usage import models_of, warn_of_unpriced
from agentrecord.exceptions import AgentRecordError
from agentrecord.ingest.load import Importer, ImportSummary, default_paths, import_paths
from agentrecord.ingest.registry import SOURCES
from agentrecord.ingest.source import Source
from agentrecord.records.usage import UsageBy, UsageReport, UsageTotals
from agentrecord.store import Store

ALL = "all"
POLL_S = 1.0
SHOWN_LINES = 5
_KINDS = ("sessions", "runs", "messages", "calls", "tool_calls", "events", "errors")

Work = list[tuple[Source, list[Path]]]


def _places(sources: Sequence[Source]) -> str:
    found = [str(path) for source in sources for path in source.roots(os.environ, Path.home())]
    return "\n  ".join(["the default places are", *found])


def plan(name: str, paths: Sequence[Path]) -> Work:
    """Return what to read for a source's name: the paths given, or the places where its tool keeps transcripts."""
    sources = list(SOURCES.values()) if name == ALL else [SOURCES[name]]
    if paths and name == ALL:
        raise click.UsageError(f"name the tool that wrote {paths[0]}: agentrecord import claude-code {paths[0]}")
    for path in paths:
        if not path.exists():
            raise AgentRecordError(f"there is no file or folder {path}; {_places(sources)}")
    if paths:
        return [(sources[0], list(paths))]
    found = [(source, default_paths(source, os.environ, Path.home())) for source in sources]
    work = [(source, places) for source, places in found if places]
    if not work:
        raise AgentRecordError(f"found nothing to import; {_places(sources)}\nname a PATH to read from elsewhere")
    return work


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _report(store: Store) -> UsageReport:
    return store.usage.report(UsageBy.TOTAL)


def _cost(before: UsageTotals, after: UsageTotals) -> Decimal | None:
    """Return by how much the cost grew; None where calls came in and none of them has a price."""
    calls, unpriced = after.calls - before.calls, after.unpriced_calls - before.unpriced_calls
    if calls and calls == unpriced:
        return None
    return (after.cost_usd or Decimal(0)) - (before.cost_usd or Decimal(0))


def _came_in(summary: ImportSummary, before: UsageReport, after: UsageReport) -> dict[str, object]:
    """Return the summary as JSON has it; tokens and dollars are what the record's totals grew by."""
    return {
        "source": summary.source,
        "dry_run": summary.dry_run,
        "files": summary.files,
        "files_unchanged": summary.files_unchanged,
        "bytes": summary.bytes,
        **asdict(summary.counts),
        "total_tokens": None if summary.dry_run else after.total.total_tokens - before.total.total_tokens,
        "cost_usd": None if summary.dry_run else _cost(before.total, after.total),
        "skipped": summary.skipped,
        "unreadable_lines": [
            {"path": str(path), "line": line.line, "reason": line.reason} for path, line in summary.unreadable
        ],
        "failed": [{"path": str(path), "reason": reason} for path, reason in summary.failed],
    }  # fmt: skip


def _tell(summary: ImportSummary, told: Mapping[str, object]) -> None:
    """Print a summary for people: what came in, what was there, what was left out and why."""
    counted = [words.plural(told[kind], kind.replace("_", " ").removesuffix("s"))  # type: ignore[arg-type]
               for kind in _KINDS if told[kind]]  # fmt: skip
    verb = "would add" if summary.dry_run else "added"
    say(f"{summary.source}: {verb} {', '.join(counted) or 'nothing new'}")
    tokens, cost = told["total_tokens"], told["cost_usd"]
    if isinstance(tokens, int) and isinstance(cost, Decimal | None) and tokens:
        say(f"  {tokens:,} tokens, {words.money(cost)}")
    read = f"  {words.plural(summary.files, 'file')} read ({words.size(summary.bytes)})"
    say(f"{read}, {summary.files_unchanged:,} unchanged; {words.plural(summary.counts.unchanged, 'fact')} known before")
    if summary.skipped:
        parts = sorted(summary.skipped.items(), key=lambda item: (-item[1], item[0]))
        say("  left out on purpose: " + ", ".join(f"{count:,} {reason}" for reason, count in parts))


def _warn(summary: ImportSummary) -> None:
    if summary.unreadable:
        kept = sum(line.was_kept for _, line in summary.unreadable)
        found = summary.counts.unreadable or kept
        hint(f"{words.plural(found, 'line')} could not be read as they are; `agentrecord unreadable` lists all:",
             warning=True)  # fmt: skip
        for path, line in summary.unreadable[:SHOWN_LINES]:
            hint(f"  {path}:{line.line}: {line.reason}", warning=True)
    if summary.counts.conflicts:
        hint(
            f"{words.plural(summary.counts.conflicts, 'fact')} kept as stored before, though the file says"
            " something else now; `agentrecord unreadable` tells which",
            warning=True,
        )
    for path, reason in summary.failed:
        hint(f"could not read {path}: {reason}", warning=True)


def _once(store: Store, work: Work, *, dry_run: bool, indexed: bool) -> list[ImportSummary]:
    summaries, documents = [], []
    for source, paths in work:
        before, meter = _report(store), Meter(source.name)
        summary = import_paths(
            store, source, paths, user=current().user, progress=meter, dry_run=dry_run, indexed=indexed
        )
        meter.finish()
        summaries.append(summary)
        documents.append(_came_in(summary, before, _report(store)))
        if not wants_json():
            _tell(summary, documents[-1])
        _warn(summary)
    if wants_json():
        write_json({"imports": documents})
    return summaries


def _watch(store: Store, work: Work, *, indexed: bool) -> None:
    importers = [
        (Importer(store, source, user=current().user, indexed=indexed, keeps_readers=True), paths)
        for source, paths in work
    ]
    stop, added = threading.Event(), 0
    hint("watching; Ctrl-C ends it")
    with _stopped_by_signals(stop):
        while not stop.is_set():
            for importer, paths in importers:
                before = _report(store)
                summary = importer.run([path for path in paths if path.exists()])
                if summary.counts.added or summary.failed or summary.unreadable:
                    added += summary.counts.added
                    _tell_change(summary, before, _report(store))
            stop.wait(POLL_S)
    hint(f"stopped; {words.plural(added, 'fact')} added")


def _tell_change(summary: ImportSummary, before: UsageReport, after: UsageReport) -> None:
    told = _came_in(summary, before, after)
    if wants_json():
        write_json(told)
    else:
        _tell(summary, told)
    _warn(summary)
    flush()


@click.command("import")
@click.argument("source", type=click.Choice([*SOURCES, import_otlp.NAME, ALL]), default=ALL)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--watch", is_flag=True, help="Go on importing what the tools write, until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Read and count, store nothing.")
@click.option("--no-index", is_flag=True, help="Leave the messages out of the search index.")
@output_options
def command(source: str, paths: tuple[Path, ...], watch: bool, dry_run: bool, no_index: bool) -> None:
    """Import transcripts of coding agents; what is in the record already stays as it is.

    Without PATH, from the places where the tools keep them; without SOURCE, from every tool that is found. `otlp` reads
    dumps of OpenTelemetry traces (OTLP in JSON, one request a file or a line), which have no such place.

    \b
    Examples:
      agentrecord import
      agentrecord import claude-code ~/.claude/projects --dry-run
      agentrecord import codex --watch --user bob --project shop
      agentrecord import otlp traces.jsonl
    """
    if source == import_otlp.NAME:
        if watch:
            raise click.UsageError("dumps do not grow: send spans to a server (agentrecord serve) instead of --watch")
        import_otlp.run(paths, dry_run=dry_run)
        return
    work = plan(source, paths)
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run cannot go together")
    # Which files were read is known to the project, not to one user of it.
    with writing(as_user=False) as store:
        if watch:
            _watch(store, work, indexed=not no_index)
            return
        summaries = _once(store, work, dry_run=dry_run, indexed=not no_index)
        warn_of_unpriced(models_of(store))
    if any(summary.failed for summary in summaries):
        raise click.exceptions.Exit(1)
