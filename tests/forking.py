"""Children of the test's own process: forked, and ended when they take too long."""

import os
import signal
from collections.abc import Callable

PATIENCE_S = 60


def fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked child and return the child's id; a child that hangs is ended by a signal."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(PATIENCE_S)
        work()
        code = 0
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child and return its exit code; that of one ended by a signal is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
