"""`agentrecord import otlp`: dumps of OpenTelemetry traces into the record."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from agentrecord.cli import words
from agentrecord.cli.opening import writing
from agentrecord.cli.output import wants_json, write_json
from agentrecord.cli.terminal import hint, say
from agentrecord.exceptions import AgentRecordError
from agentrecord.ingest.otlp_dumps import DumpSummary, import_dumps

NAME = "otlp"
SHOWN_LINES = 5


def run(paths: Sequence[Path], *, dry_run: bool) -> None:
    """Import dumps and say what came in; raise `AgentRecordError` if no path is named or none is there."""
    if not paths:
        raise AgentRecordError("name the files or folders of OTLP JSON: agentrecord import otlp traces.jsonl")
    with writing() as store:
        summary = import_dumps(store, paths, dry_run=dry_run)
    if wants_json():
        write_json({"imports": [_told(summary, dry_run=dry_run)]})
    else:
        _tell(summary, dry_run=dry_run)
    for path, line in summary.unreadable[:SHOWN_LINES]:
        hint(f"{path}:{line.line}: {line.reason}", warning=True)
    if summary.refused:
        hint(f"{words.plural(summary.refused, 'span')} refused: {'; '.join(summary.reasons)}", warning=True)
    if summary.unreadable and not summary.counts.spans and not summary.counts.unchanged:
        raise click.exceptions.Exit(1)


def _told(summary: DumpSummary, *, dry_run: bool) -> dict[str, object]:
    return {
        "source": NAME,
        "dry_run": dry_run,
        "files": summary.files,
        **asdict(summary.counts),
        "refused": summary.refused,
        "reasons": summary.reasons,
        "unreadable_lines": [
            {"path": str(path), "line": line.line, "reason": line.reason} for path, line in summary.unreadable
        ],
    }


def _tell(summary: DumpSummary, *, dry_run: bool) -> None:
    counts = summary.counts
    verb = "would read" if dry_run else "added"
    traces = "" if dry_run else f" of {words.plural(counts.traces, 'trace')}"
    say(f"{NAME}: {verb} {words.plural(counts.spans, 'span')}{traces}; {counts.unchanged:,} known before")
    say(f"  {words.plural(summary.files, 'file')} read")
    if counts.deleted:
        say(f"  left out on purpose: {words.plural(counts.deleted, 'span')} of sessions that were deleted here")
