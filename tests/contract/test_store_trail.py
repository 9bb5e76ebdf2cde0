"""The audit trail of one object, with the hash of the entry before each."""

import pytest

from agentrecord.exceptions import InvalidFilter
from faces import Facing, covers


@covers("audit.record", "audit.trail")
def test_the_trail_of_an_object_shows_each_entry_with_the_hash_before_it(store: Facing) -> None:
    entries = [
        store.audit.record(action, kind, name)
        for action, kind, name in (("a", "run", "1"), ("b", "run", "2"), ("c", "session", "1"), ("d", "run", "1"))
    ]
    found = store.audit.trail("run", "1")
    assert [chained.entry for chained in found] == [entries[3], entries[0]]
    assert [chained.previous_hash for chained in found] == [entries[2].chain_hash, None]
    assert [chained.entry.action for chained in store.audit.trail("run", limit=2)] == ["d", "b"]
    assert store.audit.trail("run", "unknown") == store.audit.trail("run", limit=0) == ()
    with pytest.raises(InvalidFilter):
        store.audit.trail("run", limit=-1)
