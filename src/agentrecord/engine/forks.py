"""Forks: no thread is inside a database's driver while its process forks.

A child has only the thread that forked. A lock that another thread held at that moment, SQLite's own among them, stays
locked in the child for ever, and whoever asks for it there waits for ever. So a fork waits until no thread is at work,
and what has locks of its own makes them anew in the child.
"""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from weakref import WeakMethod

PATIENCE_S = 10.0
"""How long a fork waits for those at work: one of them may itself wait for the thread that forks."""


class AtWork:
    """Entered by each thread around its work in a driver; a fork waits until all others have left."""

    def __init__(self) -> None:
        """Start with nobody inside."""
        self._begin()
        self._inside = 0
        self._is_forking = False
        self._own = threading.local()

    def _begin(self) -> None:
        # Taken by itself where nobody waits: Ctrl-C while a condition is entered would leave it locked for ever.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def _depth(self) -> int:
        return getattr(self._own, "depth", 0)

    def __enter__(self) -> None:
        """Enter, after a fork that waits; who is inside already enters at once, since the fork waits for him."""
        depth = self._depth()
        with self._lock:
            while self._is_forking and not depth:
                self._changed.wait()
            self._inside += 1
        self._own.depth = depth + 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave."""
        self._own.depth -= 1
        with self._lock:
            self._inside -= 1
            if self._is_forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside; keep all out until the fork is done."""
        self._lock.acquire()
        while self._is_forking:
            self._changed.wait()
        self._is_forking = True
        self._changed.wait_for(lambda: self._inside <= self._depth(), timeout=PATIENCE_S)

    def after_in_parent(self) -> None:
        """Let those in who wait."""
        self._is_forking = False
        self._changed.notify_all()
        self._lock.release()

    def after_in_child(self) -> None:
        """Start anew, with the one thread that there is."""
        self._begin()
        self._inside, self._is_forking = self._depth(), False


at_work = AtWork()
_begun_anew: list[WeakMethod[Callable[[], None]]] = []


def begin_anew_in_child(begin: Callable[[], None]) -> None:
    """Have the bound method `begin` called in a child when it is forked, for as long as its object lives."""
    _begun_anew[:] = [known for known in _begun_anew if known() is not None]
    _begun_anew.append(WeakMethod(begin))


def _in_child() -> None:
    at_work.after_in_child()
    for known in _begun_anew:
        begin = known()
        if begin is not None:
            begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=at_work.before_fork, after_in_parent=at_work.after_in_parent, after_in_child=_in_child)
