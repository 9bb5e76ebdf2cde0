"""What a call adds to every sum that counts it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold

from agentrecord.records.llm_call import CallStatus
from agentrecord.schema.tables import USAGE_COUNTERS

Key = TypeVar("Key")
MEASURED = (
    "status",
    *[name for name in USAGE_COUNTERS if name.endswith("_tokens")],
    "cost_nanos",
    "latency_ms",
)
"""The columns of a call that say what it adds."""


def call_counts(call: Mapping[str, Any]) -> tuple[int, ...]:
    """Return what a call's row adds to every sum that counts it, in the order of `USAGE_COUNTERS`."""
    latency, given, made = call["latency_ms"], call["input_tokens"], call["output_tokens"]
    cost = call["cost_nanos"]
    return (
        1,
        1 if call["status"] == CallStatus.ERROR else 0,
        1 if cost is None else 0,
        1 if given is None or made is None else 0,
        given or 0,
        call["cache_read_tokens"] or 0,
        call["cache_write_5m_tokens"] or 0,
        call["cache_write_1h_tokens"] or 0,
        made or 0,
        call["reasoning_tokens"] or 0,
        call["unclassified_tokens"] or 0,
        cost or 0,
        latency or 0,
        0 if latency is None else 1,
    )


def call_figures(call: Mapping[str, Any]) -> dict[str, int]:
    """Return what a call's row adds to every sum that counts it, by name."""
    return dict(zip(USAGE_COUNTERS, call_counts(call), strict=True))


class Spent:
    """What one key's calls add, and the time they span."""

    __slots__ = ("counts", "first", "last")

    def __init__(self, counts: Sequence[int], first: datetime, last: datetime) -> None:
        self.counts = counts
        self.first = first
        self.last = last

    def add(self, counts: Sequence[int], first: datetime, last: datetime) -> None:
        self.counts = [one + other for one, other in zip(self.counts, counts, strict=True)]
        if first < self.first:
            self.first = first
        if last > self.last:
            self.last = last


def gather(sums: dict[Key, Spent], key: Key, counts: Sequence[int], first: datetime, last: datetime) -> None:
    """Add counts, and the time that they span, to what is gathered under a key."""
    spent = sums.get(key)
    if spent is None:
        sums[key] = Spent(counts, first, last)
    else:
        spent.add(counts, first, last)
