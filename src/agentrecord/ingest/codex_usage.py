"""The usage that Codex reports: cumulative totals, beside what the last call used, both told again and again."""

from dataclasses import dataclass

from agentrecord.ingest.fields import Row, digest, table_of, tokens_of, uncached
from agentrecord.records.tokens import TokenCounts

FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredCall:
    """One call as the meter shows it; `usage` is its usage as reported, or as the totals imply."""

    usage: Row
    tokens: TokenCounts
    dedup_key: str | None


class UsageMeter:
    """Tells calls from repeated reports of the same totals.

    A fork's rollout repeats its parent's reports with new timestamps, but the totals and the ids of turns stay:
    they are what identifies a call. Where a version has no unique ids of turns, the thread stands in for them.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.thread: str | None = None
        self.turn: str | None = None
        self._total: Row = {}

    def read(self, info: Row) -> MeteredCall | None:
        """Return the call that this report tells of; None if it was told before.

        Raises `ValueError` if the report cannot be right or names no usage that is known.
        """
        total, last = table_of(info, "total_token_usage"), table_of(info, "last_token_usage")
        if not total and not last:
            raise ValueError("token_count without total_token_usage or last_token_usage: the usage was left out")
        if total and total == self._total:
            return None
        before, self._total = self._total, total or self._total
        usage = last or _difference(before, total)
        return MeteredCall(usage=usage, tokens=_tokens(usage), dedup_key=self._dedup_key(total, usage))

    def _dedup_key(self, total: Row, usage: Row) -> str | None:
        is_unique = self.turn is not None and len(self.turn) == _UUID_LENGTH
        within = self.turn if is_unique else self.thread
        if not total or not within:
            return None
        # Forks of one thread go on from the same totals: what the call itself used tells them apart.
        return f"codex:{within}:{digest([total.get(name) for name in FIELDS], [usage.get(name) for name in FIELDS])}"


def _tokens(usage: Row) -> TokenCounts:
    cached, written = tokens_of(usage, "cached_input_tokens"), tokens_of(usage, "cache_write_input_tokens")
    return TokenCounts(
        input=uncached(tokens_of(usage, "input_tokens"), cached, written),
        cache_read=cached,
        cache_write_5m=written,
        output=tokens_of(usage, "output_tokens"),
        reasoning=tokens_of(usage, "reasoning_output_tokens"),
    )


def _difference(before: Row, after: Row) -> Row:
    """Return what was used between two totals; all of the later one if the count started anew."""
    known = [(name, tokens_of(before, name) or 0, tokens_of(after, name)) for name in FIELDS]
    used = {name: new - old for name, old, new in known if new is not None}
    return {name: new for name, _, new in known if new is not None} if min(used.values(), default=0) < 0 else used
