"""How far an import has come: a bar on a terminal, elsewhere a line for every tenth."""

import time

import click

from agentrecord.cli import words
from agentrecord.cli.terminal import clip, err
from agentrecord.cli.waiting import QUIET_S, REDRAW_S
from agentrecord.ingest.load import Progress

BAR_WIDTH = 20


class Meter:
    """Shows the progress of one import on standard error, once it has taken a second."""

    def __init__(self, label: str) -> None:
        """Start the clock; `label` says what is imported."""
        self._label = label
        self._began = time.monotonic()
        self._drawn_at = 0.0
        self._tenth = 0
        self._terminal = err()

    def __call__(self, progress: Progress) -> None:
        """Show where the import is."""
        now = time.monotonic()
        if now - self._began < QUIET_S or not progress.bytes_total:
            return
        if self._terminal.is_tty:
            if now - self._drawn_at >= REDRAW_S:
                self._drawn_at = now
                shown = clip(self.line(progress, now), self._terminal.width - 1)
                click.echo(f"\r{shown}\x1b[K", nl=False, err=True)
            return
        tenth = progress.bytes_done * 10 // progress.bytes_total
        if tenth > self._tenth:
            self._tenth = tenth
            click.echo(self.line(progress, now), err=True)

    def line(self, progress: Progress, now: float) -> str:
        """Return the progress as one line: share, files, bytes, rate, time left."""
        share = progress.bytes_done / progress.bytes_total
        rate = progress.bytes_done / max(now - self._began, 0.001)
        left = (progress.bytes_total - progress.bytes_done) / rate if rate else 0
        bar = self._terminal.bar(share, BAR_WIDTH).ljust(BAR_WIDTH) + " " if self._terminal.is_tty else ""
        return (
            f"{self._label}  {bar}{share:4.0%}  {progress.files_done:,}/{progress.files_total:,} files"
            f"  {words.size(progress.bytes_done)} of {words.size(progress.bytes_total)}"
            f"  {words.size(rate)}/s  {words.duration(left * 1000)} left"
        )

    def finish(self) -> None:
        """Take the bar away."""
        if self._drawn_at:
            click.echo("\r\x1b[K", nl=False, err=True)
