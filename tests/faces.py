"""Both faces of a store behind one, so that a test has one body: `store.sessions.get(…)`, blocking or awaited."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from agentrecord.records.scope import Role
from agentrecord.store import AsyncStore, Store
from agentrecord.store._faces import Face, Operation, operations_of

FACES = ("sync", "async")


def _operations() -> dict[str, Operation[Any, Any]]:
    with Store("memory:") as store:
        return {
            f"{name}.{operation}": found
            for name, group in vars(store).items()
            if isinstance(group, Face)
            for operation, found in operations_of(type(group))
        }


OPERATIONS = _operations()
"""Every operation that a store has, by `group.name`: the list that the contract is checked against."""


def covers(*operations: str) -> pytest.MarkDecorator:
    """Declare which operations a test exercises; the `store` fixture checks that it called them."""
    return pytest.mark.covers(*operations)


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        """Start the loop."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, awaited: Coroutine[Any, Any, Any]) -> Any:
        """Await something there and return what it gave."""
        return asyncio.run_coroutine_threadsafe(awaited, self._loop).result(timeout=120)

    def close(self) -> None:
        """Stop the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Group:
    """A group of operations; notes which of them were called."""

    def __init__(self, name: str, group: Any, run: Callable[[Any], Any], called: set[str]) -> None:
        """Wrap a group of either face."""
        self._name = name
        self._group = group
        self._run = run
        self._called = called

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        """Return an operation that blocks."""
        method = getattr(self._group, operation)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._called.add(f"{self._name}.{operation}")
            return self._run(method(*args, **kwargs))

        return call


class Facing:
    """A store of either face, blocking."""

    def __init__(self, store: Store | AsyncStore, loop: Loop, called: set[str]) -> None:
        """Wrap a store."""
        self.inner = store
        self.loop = loop
        self.called = called
        self.is_async = isinstance(store, AsyncStore)
        self.engine = store.engine
        self.scope = store.scope

    def _wait(self, answer: Any) -> Any:
        return self.loop.run(answer) if self.is_async else answer

    def __getattr__(self, group: str) -> Group:
        """Return a group of operations."""
        found = Group(group, getattr(self.inner, group), self._wait, self.called)
        self.__dict__[group] = found
        return found

    def call(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Run an operation by its full name."""
        group, name = operation.split(".")
        return getattr(getattr(self, group), name)(*args, **kwargs)

    def scoped(self, **narrower: Any) -> "Facing":
        """Return the same record, seen by somebody else."""
        return Facing(self._wait(self.inner.scoped(**narrower)), self.loop, self.called)

    def wider(self) -> "Facing":
        """Return the same record, seen by whoever looks after the whole project."""
        scope = replace(self.scope, user=None, role=Role.OPERATOR)
        return Facing(type(self.inner)(engine=self.inner.engine, scope=scope), self.loop, self.called)

    def run(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an operation of the test's own in a transaction."""
        return self._wait(self.inner.run(operation, *args, **kwargs))

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Run SQL with `?` for its values; table names stand without their schema."""
        if self.inner.engine.dialect.name != "sqlite":
            text = text.replace("?", "%s").replace(" ar_", " agentrecord.ar_")

        def ask(conn: Any, scope: Any) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = conn.text(text, values)
            return found

        observer, self.engine.observer = self.engine.observer, None
        try:
            rows: list[tuple[Any, ...]] = self.run(ask)
        finally:
            self.engine.observer = observer
        return rows

    def rows_in(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def session_uuid(self, name: str) -> UUID:
        """Return the row id of a session."""
        found: UUID = self.sessions.get(name).id
        return found
