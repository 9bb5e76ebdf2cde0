"""The second line of isolation: PostgreSQL itself shows a transaction only the rows of the scope that it entered.

The policies compare each row with two settings, `app.project` and `app.user`. They are set for the transaction alone
(`SET LOCAL`), so that a pooler may hand its connection to anybody afterwards, and they are sent with the statement
that needs them, in the same round trip.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar  # `Any`: the driver's connection and the dialect are the libraries' own
from uuid import UUID

from sqlalchemy import Dialect

from agentrecord.engine.compiled import Compiled, Row
from agentrecord.engine.connection import Connection, Cursor, Waiting
from agentrecord.records.scope import Scope

W = TypeVar("W", bound=Waiting)
Seen = tuple[UUID | None, UUID | None]
"""The project and the user whose rows are seen; no project sees nothing, no user sees the project's whole."""

_SETTINGS = ("app.project", 'app."user"')
NOTHING: Seen = (None, None)


class PostgresConnection(Connection):
    """A transaction whose statements see what their job's scope may see."""

    def __init__(
        self, driver: Any, dialect: Dialect, *, schema: str | None = None, memo: dict[object, object] | None = None
    ) -> None:
        """Wrap a `driver` connection; until a scope is entered nothing is seen."""
        super().__init__(driver, dialect, schema=schema, memo=memo)
        self._wanted = NOTHING
        self._set = NOTHING
        self._waits_for: dict[object, Seen] = {}

    def begin_transaction(self) -> None:
        """Know that the settings of the last transaction ended with it."""
        self._set = NOTHING

    def begin_job(self, now: datetime, ids: Iterator[UUID]) -> None:
        """Set the time and the ids of the job that runs next, which sees nothing yet."""
        super().begin_job(now, ids)
        self._wanted = NOTHING

    def enter_scope(self, scope: Scope) -> None:
        """Let the statements of this job see what `scope` may see."""
        self._wanted = (scope.project, scope.user)

    @contextmanager
    def across_users(self) -> Iterator[None]:
        """Let the statements inside see all users of the project that was entered."""
        before = self._wanted
        self._wanted = (before[0], None)
        try:
            yield
        finally:
            self._wanted = before

    # -- what waits for the end of the transaction: written as whoever it waits for ---------------------------------

    def at_end(self, key: object, make: Callable[[], W]) -> W:
        """Return what waits under `key`; it will see its job's scope, or the project if jobs of several users add."""
        seen = self._waits_for.setdefault(key, self._wanted)
        if seen != self._wanted and seen[0] == self._wanted[0]:
            self._waits_for[key] = (seen[0], None)
        return super().at_end(key, make)

    def settle(self) -> None:
        """Write whatever waits, each seeing what it waits for."""
        waiting, self._waiting = self._waiting, {}
        seen, self._waits_for = self._waits_for, {}
        before = self._wanted
        try:
            for key, one in waiting.items():
                self._wanted = seen[key]
                one.write(self)
        finally:
            self._wanted = before

    def forget(self) -> None:
        """Drop what waits and what was learned: the transaction is undone."""
        super().forget()
        self._waits_for.clear()

    # -- statements ---------------------------------------------------------------------------------------------------

    def _run(self, compiled: Compiled, params: Mapping[str, object] | None) -> Cursor:
        self._before_statement()
        return super()._run(compiled, params)

    def many_tuples(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run SQL text once for each row of driver values."""
        self._before_statement()
        super().many_tuples(sql, rows)

    def text(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run SQL text in PostgreSQL's own words (`%s` for values) and return its rows."""
        self._before_statement()
        return super().text(sql, values)

    def _before_statement(self) -> None:
        if self._waiting:
            self.settle()
        if self._wanted != self._set:
            for name, wanted, is_set in zip(_SETTINGS, self._wanted, self._set, strict=True):
                if wanted != is_set:
                    # Not prepared: each text is one scope's, and would drive a statement that all use out of the cache.
                    value = "" if wanted is None else wanted.hex
                    self.driver.execute(f"SET LOCAL {name} = '{value}'", prepare=False)
            self._set = self._wanted
