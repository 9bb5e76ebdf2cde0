"""How often somebody may ask: a bucket of tokens for each, filled at a steady rate."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from math import ceil

MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class RateLimit:
    """Allows each caller `per_minute` requests, all at once or evenly; held in this process."""

    def __init__(self, per_minute: int) -> None:
        """Take how many requests a minute; 0 for no limit."""
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, caller: str, now: datetime) -> int:
        """Take a token of `caller`; return 0, or in how many seconds there is one again."""
        if self._per_minute <= 0:
            return 0
        bucket = self._buckets.pop(caller, None) or _Bucket(float(self._per_minute), now)
        self._buckets[caller] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        passed_s = max(0.0, (now - bucket.at).total_seconds())
        bucket.tokens = min(float(self._per_minute), bucket.tokens + passed_s * self._per_minute / 60)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0
        return max(1, ceil((1 - bucket.tokens) * 60 / self._per_minute))
