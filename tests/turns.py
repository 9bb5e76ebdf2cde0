"""Turns at the processor: a test that measures time runs while no other worker runs one."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """What the workers of one run of tests take turns by: locks on two files, which end with the process."""

    def __init__(self, path: Path) -> None:
        """Take turns with all who name the same path, beside which the files are."""
        self._gate = path.with_suffix(".gate").open("w")
        self._floor = path.with_suffix(".floor").open("w")

    @contextmanager
    def turn(self, *, is_alone: bool) -> Iterator[None]:
        """Wait until nobody runs who is to be alone; for one that `is_alone`, until nobody runs at all."""
        # Whoever waits for the floor has the gate, so that those who come later cannot keep it from one for ever.
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._floor, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._floor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the files back; whoever has them open goes on."""
        for file in (self._gate, self._floor):
            file.close()
            Path(file.name).unlink(missing_ok=True)
