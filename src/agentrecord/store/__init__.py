"""What can be done with facts: functions `verb(conn, scope, …)`, all or nothing each, and the two faces over them."""

from agentrecord.store._store import AsyncStore, Store, opened

__all__ = ["AsyncStore", "Store", "opened"]
