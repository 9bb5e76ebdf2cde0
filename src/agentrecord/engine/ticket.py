"""The write ticket: a kernel file lock around every write and every checkpoint, between processes.

SQLite's own busy handler sleeps and polls, so that one process can starve another for seconds; the kernel queues.
The same lock keeps two checkpoints apart, which SQLite builds before 3.51.3 need (the WAL-reset bug).
The kernel frees it when its holder dies.
"""

import fcntl
import os
import time
from pathlib import Path


class Ticket:
    """An exclusive lock on a file beside the database."""

    def __init__(self, path: Path) -> None:
        """Open (and make) the lock file, readable by its owner only."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.longest_wait_ms = 0.0

    def enter(self) -> None:
        """Wait for the ticket."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            began = time.monotonic()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self.longest_wait_ms = max(self.longest_wait_ms, (time.monotonic() - began) * 1000)

    def leave(self) -> None:
        """Give the ticket back."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
