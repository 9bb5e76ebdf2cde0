"""A file that keeps room: on a full disk not even a delete succeeds, unless something can be given up for it."""

import os
from pathlib import Path

BALLAST_BYTES = 8 * 1024 * 1024


class Ballast:
    """Space laid by beside a database, given back to the disk when a write that makes room needs it."""

    def __init__(self, path: Path) -> None:
        """Take where the ballast lies; nothing is laid by yet."""
        self._path = path
        self._wanted = False

    def lay(self) -> None:
        """Lay the space by, if the disk has room for it."""
        self._wanted = True
        if self._path.exists():
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)

    def free(self) -> bool:
        """Give the space back to the disk; say whether there was any."""
        if not self._path.exists():
            return False
        self._path.unlink()
        self._wanted = True
        return True

    def lay_again(self) -> None:
        """Lay the space by if it was once before."""
        if self._wanted:
            self.lay()
