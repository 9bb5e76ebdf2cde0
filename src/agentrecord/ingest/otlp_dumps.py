"""Dumped OTLP into the record: files of JSON requests, read line by line through the same mapping as over HTTP."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agentrecord.exceptions import NotFound
from agentrecord.ingest.load import CLOCK_SLACK
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_logs import logs_of_json
from agentrecord.ingest.otlp_wire import MAX_REASONS, Received, fact_portions, portions, spans_of_json
from agentrecord.ingest.source import walk
from agentrecord.records.span import SOURCE, TraceCounts
from agentrecord.records.transcript import ImportBatch, Unreadable
from agentrecord.store import Store

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
SPANS_AT_ONCE = 256
SPANS_KEPT = 2048
_EXCERPT = 160
_LOGS = b'"resourceLogs"'
_SIGNALS = (b'"resourceSpans"', _LOGS, b'"resourceMetrics"')


@dataclass(slots=True, kw_only=True)
class DumpSummary:
    """What an import of dumps did: what was stored, and the lines and spans that could not be."""

    files: int = 0
    counts: TraceCounts = field(default_factory=TraceCounts)
    refused: int = 0
    reasons: list[str] = field(default_factory=list)
    unreadable: list[tuple[Path, Unreadable]] = field(default_factory=list)


def import_dumps(store: Store, paths: Sequence[Path], *, dry_run: bool = False) -> DumpSummary:
    """Import the dumps at or below `paths`; what is in the record already stays as it is.

    Raises `NotFound` for a path that is not there.
    """
    summary = DumpSummary()
    for path in paths:
        if not path.exists():
            raise NotFound("file or folder", path)
        for file in walk(path, SUFFIXES):
            _import_file(store, file, summary, dry_run=dry_run)
    return summary


def _import_file(store: Store, file: Path, summary: DumpSummary, *, dry_run: bool) -> None:
    latest = store.engine.maker.clock.now() + CLOCK_SLACK
    waiting = Received()
    unreadable: list[Unreadable] = []
    for number, request in _requests(file):
        try:
            received = _received(request, latest)
        except ValueError as error:
            shown = request[:_EXCERPT].decode("utf-8", "replace")
            unreadable.append(Unreadable(line=number, reason=str(error), excerpt=shown))
            continue
        summary.refused += received.rejected
        summary.reasons += [reason for reason in received.reasons if reason not in summary.reasons]
        waiting.spans += received.spans
        waiting.facts += received.facts
        if len(waiting.spans) + len(waiting.facts) >= SPANS_KEPT:
            _store(store, waiting, summary, dry_run=dry_run)
            waiting = Received()
    _store(store, waiting, summary, dry_run=dry_run)
    summary.files += 1
    summary.unreadable += [(file, line) for line in unreadable]
    if unreadable and not dry_run:
        store.imports.load(ImportBatch(source=SOURCE, path=str(file), unreadable=tuple(unreadable)))


def _received(request: bytes, latest: datetime) -> Received:
    received = spans_of_json(request, latest=latest)
    if not any(signal in request for signal in _SIGNALS):
        raise ValueError("is no OTLP: it holds no resourceSpans and no resourceLogs")
    if _LOGS in request:
        logs = logs_of_json(request, latest=latest)
        received.spans += logs.spans
        received.rejected += logs.rejected
        received.reasons += logs.reasons
    return received


def _store(store: Store, waiting: Received, summary: DumpSummary, *, dry_run: bool) -> None:
    if dry_run:
        summary.counts.spans += len(waiting.spans) + len(waiting.facts)
        return
    for facts in fact_portions(waiting.facts, SPANS_AT_ONCE):
        found = store.exchange.restore(facts)
        summary.counts.add(TraceCounts(spans=found.added, unchanged=found.unchanged, deleted=found.deleted))
        summary.refused += found.refused
        summary.reasons += [reason for reason in found.reasons if reason not in summary.reasons][:MAX_REASONS]
    for portion in portions(waiting.spans, SPANS_AT_ONCE):
        summary.counts.add(store.traces.record(portion, derive))


def _requests(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the requests of a dump with their lines: one on each line, or the whole file as one."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        first = lines.readline().strip()
        if first and not (first.startswith(b"{") and first.endswith(b"}")):
            yield 1, first + b"\n" + lines.read()
            return
        if first:
            yield 1, first
        for number, line in enumerate(lines, start=2):
            if line.strip():
                yield number, line
