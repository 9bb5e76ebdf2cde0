"""The connection on which a process writes a SQLite file, and the ticket that it writes with."""

import sqlite3

from agentrecord.engine.connection import Connection
from agentrecord.engine.ticket import Ticket


class SqliteChannel:
    """The writing connection of a process."""

    def __init__(self, driver: sqlite3.Connection, connection: Connection, ticket: Ticket | None) -> None:
        """Take an open connection and the ticket to write with."""
        self._driver = driver
        self.connection = connection
        self._ticket = ticket

    def enter(self) -> None:
        """Take the write ticket."""
        if self._ticket is not None:
            self._ticket.enter()

    def leave(self) -> None:
        """Give the write ticket back, and undo what Ctrl-C broke off."""
        try:
            self.rollback()
        finally:
            if self._ticket is not None:
                self._ticket.leave()

    def begin(self) -> None:
        """Start a transaction that may write from its first statement on."""
        self.rollback()
        self._driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable: WAL and FULL sync before this returns."""
        self._driver.execute("COMMIT")

    def rollback(self) -> None:
        """Undo; a full disk or an I/O error has already ended the transaction by itself."""
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def changes(self) -> int:
        """Return the number of rows ever written here."""
        return self._driver.total_changes

    def in_transaction(self) -> bool:
        """Say whether a transaction is open."""
        return self._driver.in_transaction
