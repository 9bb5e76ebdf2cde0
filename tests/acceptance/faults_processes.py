"""Starts the processes of a drill, waits for what they do, and kills them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHILDREN = Path(__file__).with_name("faults_children.py")
PATIENCE_S = 60.0


class Child:
    """A process that runs one role of `faults_children`."""

    def __init__(self, folder: Path, role: str, *arguments: object, before: Sequence[str] = ()) -> None:
        """Start it; `before` is a command that starts it in turn."""
        self.log = folder / f"{role}-{time.monotonic_ns()}.log"
        command = [*before, sys.executable, str(CHILDREN), role, *map(str, arguments)]
        paths = [str(Path(__file__).parent), *filter(None, sys.path)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
            )

    def said(self) -> str:
        """Return what it printed."""
        return self.log.read_text(errors="replace")

    def answer(self) -> dict[str, Any]:
        """Wait for its end and return the last line it printed, which is JSON."""
        code = self.process.wait(PATIENCE_S * 5)
        assert code == 0, f"ended with {code}: {self.said()[-3000:]}"
        found: dict[str, Any] = json.loads(self.said().splitlines()[-1])
        return found

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something happened; fail if the process ends first."""
        wait_for(lambda: happened() or self.process.poll() is not None)
        assert happened(), f"ended with {self.process.poll()}: {self.said()[-3000:]}"

    def kill_after(self, delay_s: float) -> None:
        """Kill it without warning once `delay_s` has gone by; fail if it had ended by then."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(delay_s)
        assert self.process.poll() is None, f"ended too early: {self.said()[-3000:]}"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """See that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)


@contextmanager
def child(folder: Path, role: str, *arguments: object, before: Sequence[str] = ()) -> Iterator[Child]:
    """Run a role for the length of a block."""
    started = Child(folder, role, *arguments, before=before)
    try:
        yield started
    finally:
        started.end()


def wait_for(happened: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Poll until something happened; fail when it takes too long."""
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline, f"did not happen within {patience_s:g} s"
        time.sleep(0.005)
