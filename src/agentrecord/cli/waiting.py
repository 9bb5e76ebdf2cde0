"""Long work of which nobody knows how much is left: that it goes on, and for how long it has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import click

from agentrecord.cli import words
from agentrecord.cli.terminal import Terminal, clip, err

QUIET_S = 1.0
"""What takes no longer is not told of."""

REDRAW_S = 0.1
TOLD_S = 10.0
"""So often it is told where no line can be drawn again."""


@contextmanager
def working(label: str) -> Iterator[None]:
    """Tell on standard error how long the work within has taken, once it has taken a second."""
    done = Event()
    teller = Thread(target=_tell, args=(label, done, err()), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(label: str, done: Event, terminal: Terminal) -> None:
    began, wait, is_drawn = time.monotonic(), QUIET_S, False
    while not done.wait(wait):
        line = f"{label}  {words.duration(1000 * (time.monotonic() - began))}"
        if terminal.is_tty:
            is_drawn, wait = True, REDRAW_S
            click.echo(f"\r{clip(line, terminal.width - 1)}\x1b[K", nl=False, err=True)
        else:
            wait = TOLD_S
            click.echo(line, err=True)
    if is_drawn:
        click.echo("\r\x1b[K", nl=False, err=True)
